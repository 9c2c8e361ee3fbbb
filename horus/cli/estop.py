"""Stop everything that moves, and keep it stopped until it is released."""

from __future__ import annotations

import argparse
import sys

_EXAMPLES = """\
examples:
  horus estop                            stop every robot that runs here
  horus estop --reason "arm too close"   say why: every node and every status shows it
  horus estop --release                  let it be commanded again
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus estop`."""
    parser.epilog = _EXAMPLES
    parser.add_argument("--release", action="store_true", help="let it be commanded again")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, for people")
    parser.add_argument(
        "--session",
        metavar="ID",
        help="only this run (default: to stop, every one; to release, the only one)",
    )


def main(args: argparse.Namespace) -> int:
    """Send the stop or its release; 1 when an actuator has not confirmed it."""
    import os

    from horus.errors import HorusError
    from horus.runtime.sessions import join, running_sessions

    runs = [] if args.session or args.release else running_sessions()
    status = 0
    for run in runs or [join(args.session)]:
        os.environ["HORUS_SESSION_ID"] = run.id
        try:
            status = max(status, _send(run.id, args.reason, release=args.release))
        except (HorusError, OSError) as error:  # the other robots have their turn all the same
            print(f"horus: session {run.id}: NOT SENT: {error}", file=sys.stderr)
            status = 1
    return status


def _send(session_id: str, reason: str, *, release: bool) -> int:
    from horus.hardware import stopping
    from horus.runtime.sessions import running_sessions

    answers = stopping.send(reason, "horus estop", release=release)
    print(f"e-stop {'released' if release else 'engaged'} in session {session_id}")
    if not answers:
        later = "may be commanded" if release else "starts stopped"
        print(f"  nothing that moves is running; what starts later {later}")
    for answer in answers:
        print(f"  {answer.device}: {'' if answer.ok else 'NOT CONFIRMED: '}{answer.text}")
    if not release:
        which = f" --session {session_id}" if len(running_sessions()) > 1 else ""
        print(f"release it with: horus estop --release{which}")
    return 0 if all(answer.ok for answer in answers) else 1
