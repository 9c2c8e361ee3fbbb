"""Run the rover for a long time and say whether anything grew, drifted or was lost."""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import horus
from horus.bench.launch import machine, machine_line
from horus.bus import CORE_NAME

from . import report
from .robot import Robot

WARM_UP = (2.0, 120.0)  # s: a tenth of the time, within these
INTERVAL = (0.25, 5.0)  # s between two looks: a four-hundredth of the time, within these


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description=__doc__,
        epilog="The exit status is 1 when something is not flat, 2 when the robot did not run. "
        "example: python -m tests.soak --minutes 0.5 --json soak.json",
    )
    parser.add_argument("--minutes", type=minutes, default=30.0, help="how long (default: 30)")
    parser.add_argument("--json", metavar="PATH", type=Path, help="write the figures here")
    parser.add_argument(
        "--strict", action="store_true", help="lost messages and bus errors are wrong, too"
    )
    parser.add_argument("--samples", action="store_true", help="with all samples, in the JSON")
    return parser


def minutes(text: str) -> float:
    """Return a number of minutes that is long enough to judge anything."""
    value = float(text)
    if not 0.1 <= value <= 10_000:
        raise argparse.ArgumentTypeError(f"{text} is no number from 0.1 to 10000")
    return value


def within(value: float, bounds: tuple[float, float]) -> float:
    """Return the value, or the bound that it is beyond."""
    return min(max(value, bounds[0]), bounds[1])


def warm_up(seconds: float) -> float:
    """Return how much of a run is not judged."""
    return within(seconds / 10, WARM_UP)


def soak(robot: Robot, seconds: float, begin: float) -> list[dict[str, Any]]:
    """Look at the robot from the end of the warm-up on; return what was seen."""
    interval = within(seconds / 400, INTERVAL)
    samples: list[dict[str, Any]] = []
    due = begin + warm_up(seconds)
    while due <= begin + seconds:
        while (left := due - time.monotonic()) > 0:
            time.sleep(min(left, 1.0))
            if robot.process.poll() is not None:
                raise RuntimeError(f"the robot ended by itself\n{robot.log.read_text()[-4000:]}")
        samples.append({"seconds": time.monotonic() - begin, **robot.look()})
        due = max(due + interval, time.monotonic())
        if sys.stderr.isatty():
            _progress(samples, seconds)
    if sys.stderr.isatty():
        print(f"\r{'':100}\r", end="", file=sys.stderr)
    return samples


def _progress(samples: list[dict[str, Any]], seconds: float) -> None:
    first, last = samples[0]["processes"], samples[-1]["processes"]
    grown = sum(now["rss"] - first.get(name, now)["rss"] for name, now in last.items())
    skipped = sum(node["skipped"] for node in samples[-1]["nodes"].values())
    print(
        f"\r{samples[-1]['seconds'] / 60:6.1f} of {seconds / 60:g} min: memory "
        f"{sum(now['rss'] for now in last.values()) / report.MB:.1f} MB ({grown / 1024:+.0f} kB), "
        f"{sum(now['fds'] for now in last.values())} descriptors, {skipped} ticks skipped  ",
        end="",
        file=sys.stderr,
        flush=True,
    )


def main() -> int:
    """Soak, print, and return the exit status."""
    options = arguments().parse_args()
    signal.signal(signal.SIGTERM, _terminate)
    seconds, before = options.minutes * 60, machine()
    print(machine_line(before))
    print(f"horus {horus.__version__} ({CORE_NAME} core): the rover, {options.minutes:g} minutes")
    robot = Robot(warm_up(seconds))
    try:
        robot.start()
        samples = soak(robot, seconds, time.monotonic())
        end = robot.stop()
        complaints = robot.complaints()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        robot.close()
    print(report.text(samples, end))
    for line in complaints[:20]:
        print(f"it said: {line}")
    if options.json:
        figures = {
            "machine": {**before, "load_after": machine()["load"]},
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "horus": {"version": horus.__version__, "core": CORE_NAME},
            "python": platform.python_version(),
            "minutes": options.minutes,
            **report.as_json(samples, end),
            "said": complaints[:100],
            **({"samples": samples} if options.samples else {}),
        }
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    wrong = report.faults(samples, end) + (report.notes(samples) if options.strict else [])
    return 1 if wrong else 0


def _terminate(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
