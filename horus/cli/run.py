"""Run node files, each in a process of its own, and the hardware of a horus.yaml."""

from __future__ import annotations

import argparse
import os
import sys

from horus import early
from horus.cli import live
from horus.cli.live import seconds

_EXAMPLES = """\
examples:
  horus run "nodes/*.py"                 all nodes of a folder
  horus run sensor.py controller.py      these files
  horus run "nodes/*.py" "nodes/*.rs"    Python and single-file Rust together
  horus run                              what the horus.yaml in this folder says
  horus run --mock examples/rover        what another folder's says, on simulated devices
  horus run camera.py --args "--device 0" --remap image:=left/image --restart on-failure

A driver's process that gives no sign of life for 1 s while it holds armed devices is killed, and
its devices are made safe; HORUS_HANG_LIMIT=SECONDS changes that (0.1 to 3600).
"""


def _words(text: str) -> tuple[str, ...]:
    import shlex

    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None


def _remapping(text: str) -> tuple[str, str]:
    from horus.bus import remap
    from horus.errors import TopicNameError

    try:
        return remap.parse(text)
    except TopicNameError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus run`."""
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "what",
        nargs="*",
        metavar="FILE",
        help="node files, quoted patterns of them, a horus.yaml or its folder (default: this one)",
    )
    parser.add_argument(
        "--mock", action="store_true", help="simulate every device instead of using real hardware"
    )
    parser.add_argument(
        "--wire", action="store_true", help="show the traffic of each bus on wire.<bus>"
    )
    parser.add_argument(
        "--args",
        type=_words,
        default=(),
        metavar="TEXT",
        help='arguments of the node files, as a shell splits them: --args "--gain 2"',
    )
    parser.add_argument(
        "--remap",
        action="append",
        type=_remapping,
        default=[],
        metavar="NAME:=OTHER",
        help="another name for a topic of the node files; may be given several times",
    )
    parser.add_argument(
        "--restart",
        choices=("never", "on-failure", "always"),
        default="never",
        help="start node files again, up to 5 times in a row, when they fail or whenever they end",
    )
    parser.add_argument(
        "--fail-fast", action="store_true", help="end the run when one process fails"
    )
    parser.add_argument(
        "--duration", type=seconds, metavar="S", help="end the run in order after S seconds"
    )
    parser.add_argument(
        "--rt",
        action="store_true",
        help="run nodes and drivers in real time (SCHED_FIFO, locked memory), as far as permitted",
    )
    parser.add_argument(
        "--rt-priority",
        type=int,
        metavar="N",
        help="their priority with --rt, 1 to 99 (default: 40)",
    )
    parser.add_argument(
        "--rt-cpus",
        metavar="N,N...",
        help="with --rt, the cores that they run on (default: any)",
    )
    parser.add_argument(
        "--stats",
        action="store_true",
        help="print at the end how well each node kept time: rate, ticks, lateness, jitter, budget",
    )
    parser.add_argument(
        "--grace",
        type=seconds,
        default=3.0,
        metavar="S",
        help="how long processes may take to stop, before SIGTERM and then SIGKILL (default: 3)",
    )


def main(args: argparse.Namespace) -> int:
    """Run what was named; return the exit status of the run."""
    from horus.launch import Launch
    from horus.runtime.run import find_job, run
    from horus.runtime.supervisor import Options

    if args.wire:
        os.environ["HORUS_WIRE"] = "1"  # see horus.hardware.wire
    colour = live.colours()
    options = Options(
        grace=args.grace,
        fail_fast=args.fail_fast,
        duration=args.duration,
        colour=colour,
        stats=args.stats,
        rt=_real_time(args),
    )
    try:
        launch = Launch(args=args.args, remap=dict(args.remap), restart=args.restart)
        job = find_job(args.what, mock=args.mock, launch=launch)
        early.over()
        status = run(job, options)
    except KeyboardInterrupt:  # later on the supervisor answers it
        print("\nhorus run: interrupted before anything was started", file=sys.stderr)
        return 0
    _tell_plugins(status)
    return status


def _real_time(args: argparse.Namespace) -> str:
    """Return what processes are told of real time; nothing without --rt."""
    from horus.runtime.files import UsageError
    from horus.scheduler.realtime import RealTime

    priority = RealTime.priority if args.rt_priority is None else args.rt_priority
    if not args.rt:
        if args.rt_cpus or priority != RealTime.priority:
            raise UsageError("--rt-priority and --rt-cpus are for a run with --rt: add --rt")
        return ""
    try:
        cpus = None if args.rt_cpus is None else [int(cpu) for cpu in args.rt_cpus.split(",")]
    except ValueError:
        raise UsageError(f"--rt-cpus {args.rt_cpus}: it takes numbers of cores: 2,3") from None
    try:
        return str(RealTime(priority=priority, cpus=cpus))
    except ValueError as error:
        raise UsageError(f"--rt: {error}") from None


def _tell_plugins(status: int) -> None:
    """Tell plugins that the run has ended; where there are none but our own, load nothing."""
    from importlib.metadata import entry_points

    if all(entry.value == "horus_drivers" for entry in entry_points(group="horus")):
        return
    from horus import notices

    for problem in notices.run_ended(status):
        print(f"horus run: {problem}", file=sys.stderr)
