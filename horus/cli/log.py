"""Show what a running robot has printed lately, by process, node and level; with -f what comes.

The run keeps its last lines, 1 to 2 MB of them. Lines of the run itself, such as the end of a
process, have the name horus; what a program just prints is of the level info.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import TYPE_CHECKING

from horus.cli import live, looking

if TYPE_CHECKING:
    from horus.runtime.runlog import Line

_EXAMPLES = """\
examples:
  horus log                         all that is kept
  horus log -f --level warning      what is to be looked at, as it comes
  horus log --node left_wheel -n 20
"""
LEVELS = ("debug", "info", "warning", "error", "critical")
#: How often (s) it is looked for new lines.
LOOK = 0.1
_COLOURS = {"warning": 33, "error": 31, "critical": 31, "debug": 90}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus log`."""
    parser.epilog = _EXAMPLES
    parser.add_argument("-f", "--follow", action="store_true", help="go on, until Ctrl-C")
    parser.add_argument("--node", metavar="NAME", help="only this node, device or process")
    parser.add_argument(
        "--level",
        type=str.lower,
        choices=LEVELS,
        default="debug",
        help="only this level and above",
    )
    parser.add_argument("-n", "--lines", type=live.count, metavar="N", help="only the last N lines")
    looking.add_arguments(parser, topic=False)


def main(args: argparse.Namespace) -> int:
    """Print it; 1 when there is no such node, 2 when nothing runs."""
    from horus.bus.session import session_dir
    from horus.runtime.runlog import LogReader

    reader = LogReader(session_dir(live.join(args)))
    colour = live.colours()
    everything = list(reader.take())
    if args.node and not _known(args.node, everything):
        return 1
    wanted = [line for line in everything if _matches(args, line)]
    if not wanted and not args.follow:
        looking.note(f"{args.node or 'this run'} has printed nothing{_above(args.level)} lately")
    for line in wanted[-args.lines :] if args.lines else wanted:
        _print(line, args.json, colour)
    while args.follow:
        over = live.ended()
        for line in reader.take():
            if _matches(args, line):
                _print(line, args.json, colour)
        if over:
            looking.note("the session has ended")
            break
        time.sleep(LOOK)
    return 0


def _above(level: str) -> str:
    return "" if level == LEVELS[0] else f" of the level {level} or above"


def _known(name: str, lines: list[Line]) -> bool:
    """Return whether there is such a node, device or process; if not, say which there are."""
    from horus.errors import did_you_mean
    from horus.runtime.sessions import noted_devices, noted_processes

    known = {line.node for line in lines} | {line.process or "horus" for line in lines}
    known |= {device.name for device in noted_devices()}
    known |= {process.name for process in noted_processes(os.environ["HORUS_SESSION_ID"])}
    known.discard("")
    if name in known:
        return True
    near = did_you_mean(name, known) or f"; there are {', '.join(sorted(known))}"
    print(f"horus log: nobody here is called {name!r}{near}", file=sys.stderr)
    return False


def _matches(args: argparse.Namespace, line: Line) -> bool:
    if LEVELS.index(line.level) < LEVELS.index(args.level):
        return False
    return not args.node or args.node in (line.node, line.process or "horus")


def _print(line: Line, as_json: bool, colour: bool) -> None:
    process = line.process or "horus"
    if as_json:
        about = {"stamp": line.stamp, "process": process, "node": line.node, "level": line.level}
        print(json.dumps(about | {"text": line.text}), flush=True)
        return
    clock = time.strftime("%H:%M:%S", time.localtime(line.stamp))
    who = f"{process}/{line.node}" if line.node not in ("", process) else process
    text = f"{clock}.{int(line.stamp % 1 * 1000):03d} {line.level.upper():<7} {who}: {line.text}"
    if colour and line.level in _COLOURS:
        text = f"\x1b[{_COLOURS[line.level]}m{text}\x1b[0m"
    print(text, flush=True)
