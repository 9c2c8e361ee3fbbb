"""Send the messages of a recording again, with the timing they had.

Without --session it is a run of its own, whose id it prints; other commands and scripts take part
in it as in any run. In the run of a live robot, what would move something (commands, requests and
emergency stops) is refused unless --allow-commands says that it is wanted.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from horus_plugins.recording.errors import RecordingError, need_mcap
from horus_plugins.recording.progress import Progress
from horus_plugins.recording.record_command import seconds

from horus.cli import live

if TYPE_CHECKING:
    from horus_plugins.recording.bag import Bag

_EXAMPLES = """\
examples:
  horus replay run.mcap
  horus replay run.mcap --speed 2 --loop
  horus replay run.mcap --topics imu "*.state" --remap imu:=imu_old --session 771-b29-960
  horus replay run.mcap --start 10s --duration 5s
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus replay`."""
    parser.epilog = _EXAMPLES
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--topics", nargs="+", default=[], metavar="TOPIC", help="only these")
    parser.add_argument("--speed", type=float, default=1.0, help="2 is twice as fast (default 1)")
    parser.add_argument("--loop", action="store_true", help="begin anew at the end")
    parser.add_argument(
        "--remap", action="append", default=[], metavar="FROM:=TO", help="another name for a topic"
    )
    parser.add_argument("--start", type=seconds, default=0.0, metavar="TIME", help="skip so much")
    parser.add_argument("--duration", type=seconds, metavar="TIME", help="end after so much")
    parser.add_argument(
        "--wait", type=seconds, default=0.5, metavar="TIME", help="before the first (0.5s)"
    )
    parser.add_argument(
        "--allow-commands", action="store_true", help="drive the actuators of a live robot"
    )
    live.add_session(parser)


def main(args: argparse.Namespace) -> int:
    """Replay; 2 when it cannot begin."""
    need_mcap()
    from horus_plugins.recording.bag import Bag
    from horus_plugins.recording.replaying import Replay, moving, remaps

    from horus.bus import session

    if not 0 < args.speed <= 1000:
        raise RecordingError(f"--speed {args.speed:g}: it must be above 0, at most 1000", 2)
    bag = Bag(args.file)
    names = remaps(args.remap)
    progress = Progress()
    bag.progress = progress.show
    summary = bag.summary()
    progress.clear()
    bag.progress = lambda share: None
    known = sorted(summary.topics)
    bag.choose([*args.topics, *names], known)
    if bag.damage:
        print(f"{bag.path}: {bag.damage}", file=sys.stderr)
    if not summary.count:
        raise RecordingError(f"{bag.path} holds no messages of horus record", 2)
    bag.check_start(args.start, summary.seconds)
    own = None
    if args.session:
        run = live.join(args)
        _say_doubled(bag, args.topics, names)
        refused = [] if args.allow_commands else moving(bag, args.topics, names)
        if refused:
            raise RecordingError(
                f"session {run} is a robot's: {', '.join(refused)} would move it. Leave them out "
                "with --topics, rename them with --remap, or say --allow-commands",
                2,
            )
    else:
        own = session.new_session()
        run = own.id
        os.environ["HORUS_SESSION_ID"] = run
    stopped: list[int] = []
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda number, _: stopped.append(number))
    try:
        replay = Replay(bag, args.topics, names, args.speed)
        print(f"replaying {bag.path} in session {run}; Ctrl-C ends it", flush=True)
        _pause(args.wait, stopped)
        span = min(summary.seconds - args.start, args.duration or summary.seconds)

        def show(at: float) -> None:
            progress.show(at / span if span > 0 else 1.0, f"{at:.1f} of {span:.1f} s")

        while True:
            replay.run(args.start, args.duration, lambda: bool(stopped), show)
            if not args.loop or stopped:
                break
        _pause(0.2, stopped)  # those who read have a moment for the last ones
        replay.close()
    finally:
        progress.clear()
        if own is not None:
            session.end_session(own.id)
    late = replay.latest_ns / 1e6
    print(f"{replay.count} messages sent, the latest {late:.1f} ms after its time")
    return 0


def _say_doubled(bag: Bag, topics: list[str], names: dict[str, str]) -> None:
    """Say which topics the run has a publisher for already: who reads them gets both."""
    from horus_plugins.recording.replaying import sent

    from horus.bus.leftovers import topic_ends
    from horus.bus.session import topics_dir

    ends = topic_ends(topics_dir())
    for name in sorted(sent(bag, topics, names)):
        if name in ends and ends[name].publishers:
            text = f"{name} has a publisher in this run: its readers get both; see --remap"
            print(f"horus replay: {text}", file=sys.stderr, flush=True)


def _pause(length: float, stopped: list[int]) -> None:
    until = time.monotonic() + length
    while not stopped and time.monotonic() < until:
        time.sleep(min(0.02, length))
