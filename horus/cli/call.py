"""Let a device of a running robot do what it can beside its messages: calibrate, save, read.

Without a command, list those that the device has.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from horus.cli import live
from horus.cli.live import seconds

_EXAMPLES = """\
examples:
  horus call arm                     what the device arm can do
  horus call arm scan last=10        let it do it, and print the answer
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus call`."""
    parser.epilog = _EXAMPLES
    parser.add_argument("device", metavar="DEVICE", help="the device's name in horus.yaml")
    parser.add_argument("command", nargs="?", metavar="COMMAND", help="what it is to do")
    parser.add_argument(
        "arguments", nargs="*", default=[], metavar="NAME=VALUE", help="arguments, by name"
    )
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    parser.add_argument(
        "--timeout", type=seconds, default=60.0, metavar="S", help="longest wait (default: 60)"
    )
    live.add_session(parser)


def main(args: argparse.Namespace) -> int:
    """Call it; 1 when the device refuses or fails, 2 when nothing runs."""
    from horus.node.caller import HELP, Caller

    live.join(args)
    if not _has_commands(args.device):
        return 1
    command = args.command or HELP
    given = {}
    for text in args.arguments:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            print(f"horus call: {text!r} is not NAME=VALUE", file=sys.stderr)
            return 2
        given[name] = live.value(value)
    if command == HELP and given:
        print(f"horus call: {HELP} takes no arguments, not {', '.join(given)}", file=sys.stderr)
        return 2
    with Caller(args.device) as caller:
        answer = caller.wait(caller.ask(command, (), given, args.timeout))
    if args.json:
        import json

        print(json.dumps(answer, default=str))
    elif command == HELP:
        _print_commands(answer)
    elif answer is not None:
        print(live.shown(answer))
    return 0


def with_commands() -> list[str]:
    """Return what can be called in this run."""
    from horus.node.caller import servers
    from horus.node.params import SUFFIX

    return [
        name for name in servers() if not (name.startswith(("sim.", "horus/")) or SUFFIX in name)
    ]


def _has_commands(device: str) -> bool:
    """Return whether there is somebody to be called; if not, say what there is."""
    from horus.errors import did_you_mean
    from horus.node.caller import lacks_commands
    from horus.runtime.sessions import noted_devices

    known = with_commands()
    if device in known:
        return True
    devices = [noted.name for noted in noted_devices()]
    listed = f"; what has commands: {', '.join(known) or 'nothing in this run'}"
    if lacks_commands(device):
        text = f"{device} has no commands{listed}"
    elif device in devices:
        text = f"no process looks after {device}, or not yet: see horus devices"
    else:
        near = did_you_mean(device, [*known, *devices]) or listed
        text = f"nobody here is called {device!r}{near}"
    print(f"horus call: {text}", file=sys.stderr)
    return False


def _print_commands(about: dict[str, Any]) -> None:
    methods = about["methods"]
    if not methods:
        print(f"{about['name']} has no commands")
    for name, method in methods.items():
        words = [f"{argument['name']}=..." for argument in method["arguments"]]
        print(" ".join(["horus call", about["name"], name, *words]))
        if method["doc"]:
            print(f"    {method['doc'].splitlines()[0]}")
        for argument in method["arguments"]:
            unit = f" {argument['unit']}" if argument["unit"] else ""
            default = f", {argument['default']} unless given" if "default" in argument else ""
            print(f"    {argument['name']}: {argument['type']}{unit}{default}")
