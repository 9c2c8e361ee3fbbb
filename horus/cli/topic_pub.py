"""Send messages on a topic: a value as YAML, checked against the type that the topic carries.

A device that moves obeys a fresh command: the first one arms it. So the command topic of a device
asks for --arm, and what was sent once is followed for the device's command_timeout only.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from horus.cli import live, looking
from horus.cli.live import seconds
from horus.errors import HorusError

_EXAMPLES = """\
examples:
  horus topic pub goal '{x: 1.0, y: 2.0}'
  horus topic pub cmd_vel '{linear: 0.2}' --rate 10 --type horus.msgs:CmdVel
  horus topic pub left_wheel.command '{velocity: 1.0}' --rate 20 --duration 2 --arm
"""


class UsageError(HorusError):
    """The words make no sense, or need a second thought."""

    exit_code = 2


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus topic pub`."""
    parser.epilog = _EXAMPLES
    looking.add_arguments(parser)
    parser.add_argument("value", metavar="VALUE", help="the message, as YAML")
    parser.add_argument("--type", metavar="MODULE:CLASS", help="its type, where none is declared")
    parser.add_argument(
        "--rate", type=live.hertz, metavar="HZ", help="again and again, HZ times a second"
    )
    parser.add_argument("-n", "--count", type=live.count, metavar="N", help="N messages, then end")
    parser.add_argument("--duration", type=seconds, metavar="S", help="end after S seconds")
    parser.add_argument(
        "--create", action="store_true", help="also on a topic that nobody has opened"
    )
    parser.add_argument("--arm", action="store_true", help="also to a device that will move")


def main(args: argparse.Namespace) -> int:
    """Send it; 1 when the message does not fit the topic, 2 when the words make no sense."""
    from horus.bus import Publisher
    from horus.bus.observer import NoSuchTopic, folder_of

    live.join_any(args)
    try:
        folder: Path | None = folder_of(args.topic)
    except NoSuchTopic as error:
        if not args.create:
            raise NoSuchTopic(f"{error}, or add --create") from None
        folder = None
    _think_twice(args)
    cls = _declared(args, folder)
    value = _value(args.value)
    count = args.count or (None if args.rate or args.duration else 1)
    period = 1 / (args.rate or 10.0)
    with_end = time.monotonic() + (args.duration or float("inf"))
    publisher = Publisher(args.topic, cls)
    sent = 0
    try:
        due = time.monotonic()
        while (count is None or sent < count) and due < with_end and not live.ended():
            time.sleep(max(0.0, due - time.monotonic()))
            publisher.send(_message(cls, value))
            sent += 1
            due += period
    except KeyboardInterrupt:  # how one without an end ends
        pass
    finally:
        publisher.close()
    about = {"topic": args.topic, "sent": sent}
    print(json.dumps(about) if args.json else f"{args.topic}: {sent} sent", flush=True)
    return 0


def _think_twice(args: argparse.Namespace) -> None:
    """Refuse what would move something, unless it was meant."""
    from horus.runtime.sessions import noted_devices

    device, _, kind = args.topic.rpartition(".")
    if kind == "command" and device in {noted.name for noted in noted_devices()} and not args.arm:
        raise UsageError(
            f"a fresh command on {args.topic} arms {device}, and it moves: clear its way, keep "
            "`horus estop` at hand, and add --arm"
        )
    if args.topic == "estop":
        raise UsageError("the emergency stop is sent with: horus estop")


def _declared(args: argparse.Namespace, folder: Path | None) -> type[Any] | None:
    """Return the class of the topic's messages; None where none is declared."""
    from horus.bus import schemas
    from horus.bus.probe import state_of

    if args.type:
        return _class(args.type)
    state = None if folder is None else state_of(folder)
    if folder is None or state is None or not state.hash:
        return None
    spec = schemas.learn(folder, state.hash)
    if spec is None:
        raise HorusError(
            f"{args.topic} carries {state.type}, which is described nowhere: name its class with "
            "--type MODULE:CLASS"
        )
    return spec.cls


def _class(text: str) -> type[Any]:
    module, colon, name = text.partition(":")
    if not colon:
        raise UsageError(f"--type {text}: write MODULE:CLASS, such as horus.msgs:Twist")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"--type {text}: {error}") from None
    if not isinstance(found, type) or not hasattr(found, "__horus_spec__"):
        raise UsageError(f"--type {text}: not a class declared with @horus.message")
    return found


def _value(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"the message is no YAML: {' '.join(str(error).split())}") from None


def _message(cls: type[Any] | None, value: Any) -> Any:
    """Return the message that a value means; its stamp, if it has one, is now unless given."""
    if cls is None:
        return value
    from horus.errors import did_you_mean

    spec = cls.__horus_spec__
    known = list(spec.names)
    if not isinstance(value, dict):
        first = next((name for name in known if name not in ("stamp", "mock")), known[0])
        raise UsageError(
            f"{spec.name} has fields: write them as YAML, such as '{{{first}: 0}}'; it has "
            f"{', '.join(known)}"
        )
    for name in value:
        if name not in known:
            near = did_you_mean(str(name), known) or f"; it has {', '.join(known)}"
            raise UsageError(f"{spec.name} has no field {name!r}{near}")
    now = {"stamp": time.time()} if "stamp" in known else {}
    try:
        return cls(**(now | value))
    except TypeError as error:
        raise HorusError(f"{spec.name}: {error}") from None
