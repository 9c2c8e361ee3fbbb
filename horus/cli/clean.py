"""Remove what killed runs and scripts left in shared memory; what is in use stays."""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus clean`."""
    parser.add_argument(
        "--force", action="store_true", help="remove what living processes use as well"
    )


def main(args: argparse.Namespace) -> int:
    """Remove leftovers and list them."""
    from horus.bus import leftovers, session

    report = leftovers.clean(force=args.force)
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
    if not report.removed:
        print(f"nothing to remove in {session.root()}")
    return 0
