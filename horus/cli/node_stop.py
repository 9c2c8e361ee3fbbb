"""Stop one process of a running robot, while the others go on.

NAME is a process (see horus node list), a device, a bus, or a node in a process with others; what
is stopped is always a whole process. A driver's process makes its devices safe first; one that
does not end within --grace gets SIGTERM, then SIGKILL, and its devices are made safe for it.

Exit status: 0 when it is stopped; 1 when it is not, when a device could not be made safe, or there
is no such name; 2 without a run, or where --with-others is needed.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any, Literal

from horus.cli import live

if TYPE_CHECKING:
    from horus.runtime.asking import Target

#: In a line on what the supervisor did for a device: it is not known to be safe.
NOT_SAFE = "NOT MADE SAFE"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus node stop` and `horus node restart`."""
    parser.add_argument("name", metavar="NAME", help="a process, device, bus or node")
    parser.add_argument(
        "--with-others",
        action="store_true",
        help="also where other devices or nodes are in the same process",
    )
    parser.add_argument(
        "--grace",
        type=live.seconds,
        metavar="S",
        help="how long it has to stop before SIGTERM and SIGKILL (default: that of horus run)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    live.add_session(parser)


def main(args: argparse.Namespace) -> int:
    """Stop it; see the exit status above."""
    return order(args, "stop")


def order(args: argparse.Namespace, what: Literal["stop", "restart"]) -> int:
    """Have the named process stopped or restarted, and tell what became of it."""
    from horus.runtime import asking

    session_id = live.join(args)
    target = asking.find(session_id, args.name)
    if target.others and not args.with_others:
        again = f"horus node {what} {args.name} --with-others"
        print(
            f"horus: {args.name} is in the process {target.process.name} with "
            f"{', '.join(target.others)}: to {what} all of them: {again}",
            file=sys.stderr,
        )
        return 2
    answer = asking.ask(target.process.name, what, args.grace)
    answer = {**answer, "devices": target.devices, "others": target.others}
    if args.json:
        print(json.dumps(answer))
    else:
        _tell(answer, target, what)
    unsafe = any(NOT_SAFE in line for line in answer["last_words"])
    return 1 if unsafe or answer["lost"] or answer.get("failed") else 0


def _tell(answer: dict[str, Any], target: Target, what: str) -> None:
    name = answer["name"]
    inside = [*target.devices] or [*target.others]
    held = f" ({', '.join(inside)})" if inside else ""
    for line in (*answer["said"], *answer["last_words"]):
        print(f"  {line}")
    if answer["lost"]:
        print(f"horus: {name} is lost: not even SIGKILL ends it", file=sys.stderr)
    elif what == "stop":
        if answer["was_running"]:
            print(f"stopped {name}{held}: {answer['end']}")
        else:
            print(f"{name}{held} was not running: {answer['end']}")
    elif answer["failed"]:
        print(f"horus: {name} ended again at once: {answer['failed']}", file=sys.stderr)
    else:
        ready = "" if answer["ready"] else ", which has not begun its nodes yet"
        print(f"restarted {name}{held}: process {answer['pid']}{ready}")
