"""How long a robot moves on after something went wrong."""

import argparse
import os
import shutil
import statistics
import sys
import tempfile

from .measure import times_to_safe
from .scenarios import SCENARIOS


def main() -> int:
    """Measure and print the table; 1 when a median misses its aim."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.failsafe",
        description=__doc__,
        epilog="example: python -m tests.failsafe --runs 50",
    )
    parser.add_argument("--runs", type=int, default=5, help="of each scenario (default: 5)")
    parser.add_argument(
        "--only", metavar="TEXT", default="", help="scenarios with this in the name"
    )
    args = parser.parse_args()
    chosen = [scenario for scenario in SCENARIOS.values() if args.only in scenario.name]
    folder = ""
    if not os.environ.get("HORUS_SHM_DIR"):
        folder = os.environ["HORUS_SHM_DIR"] = tempfile.mkdtemp(
            prefix="horus-failsafe-", dir="/dev/shm"
        )
    missed = 0
    print(f"{'':22}  {'counted from':18}  {'aim':>7}  {'median':>7}  {'max':>7}  runs (ms)")
    try:
        for scenario in chosen:
            times = times_to_safe(scenario, args.runs)
            median, most = statistics.median(times), max(times)
            missed += median > scenario.aim
            row = "  ".join(f"{1e3 * value:7.1f}" for value in (scenario.aim, median, most))
            print(f"{scenario.name:22}  {scenario.since:18}  {row}  {len(times)}", flush=True)
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
    print("every run ended with every motor at rest")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
