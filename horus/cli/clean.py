"""Remove what killed runs and scripts left in shared memory; what is in use stays.

With --force it goes too, and whoever uses it can neither be heard nor stopped by others any more.
While a living process holds armed actuators, nothing is removed: stop them first.
"""

from __future__ import annotations

import argparse
import sys

_EXAMPLES = """\
examples:
  horus clean              what dead processes left
  horus clean --force      everything; runs that go on are cut off: end them with Ctrl-C first
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus clean`."""
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "--force",
        action="store_true",
        help="remove what living processes use as well; refused while one has armed actuators",
    )


def main(args: argparse.Namespace) -> int:
    """Remove leftovers and list them; 1 when actuators are armed that would get out of reach."""
    from horus.bus import leftovers, session
    from horus.runtime.sessions import armed_devices, running_sessions

    runs = running_sessions() if args.force else []
    armed = armed_devices() if args.force else {}
    for session_id, devices in armed.items():
        print(
            f"horus clean: session {session_id} has armed actuators ({', '.join(devices)}), which "
            "nobody could stop without it: first stop them "
            f"(horus estop --session {session_id}) or end the run (Ctrl-C)",
            file=sys.stderr,
        )
    if armed:
        print("horus clean: nothing was removed", file=sys.stderr)
        return 1
    report = leftovers.clean(force=args.force, at_once=True)
    for what, names in (
        ("session", report.sessions),
        ("topic", report.topics),
        ("ring", report.rings),
        ("semaphore", report.semaphores),
    ):
        for name in names:
            print(f"removed {what} {name}")
    for name in report.in_use:
        print(f"in use: {name}")
    for run in runs:
        print(
            f"horus clean: session {run.id} went on: its processes are out of reach now, also of "
            f"horus estop; end it: kill -INT {run.pid}",
            file=sys.stderr,
        )
    if not report.removed:
        print(f"nothing to remove in {session.root()}")
    return 0
