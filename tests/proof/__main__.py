"""The long forms of the proofs: ``python -m tests.proof COMMAND``; CI runs short forms as tests."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.proof.crews import CORES


def say(text: str) -> None:
    print(f"  {text}", flush=True)


def model(args: argparse.Namespace) -> int:
    """Try the protocol exhaustively, each part also without each of its barriers."""
    from tests.proof.machine import Wrong
    from tests.proof.protocol import PARTS

    missed = 0
    for name, part in PARTS.items():
        for size in [(), part.larger] if part.larger else [()]:
            print(f"{name} {size or ''}: {part.world('', *size).search()} states, all well")
        for need in part.needs:
            try:
                part.world(need).search()
                missed += 1
                say(f"without {need}: NOT NOTICED")
            except Wrong as wrong:
                say(f"without {need}: {wrong}")
        for spare in part.spares:
            say(f"without {spare}: {part.world(spare).search()} states, all well")
    return 1 if missed else 0


def chaos(args: argparse.Namespace) -> int:
    """Kill publishers, readers, and supervisors and drivers of simulated robots."""
    from tests.proof.chaos import chaos as kill
    from tests.proof.robots import kill_robots

    print(f"seed {args.seed}")
    report = kill(args.kills, args.seed, say)
    print(report.line())
    print(*report.faults, sep="\n")
    if args.robots:
        killed = kill_robots(args.robots, args.seed, say)
        print(f"{args.robots} robots, {killed} of their processes killed: every motor came to rest")
    return 0 if report.good() else 1


def reads(args: argparse.Namespace) -> int:
    """Read under racing writers, in a process for each core."""
    if args.core:
        from tests.proof.reads import count_reads

        print(count_reads(args.reads, args.core, args.writers, say), flush=True)
        return 0
    return max(each_core())


def fuzz(args: argparse.Namespace) -> int:
    """Damage the files of a live topic; both cores read every case, each writes half of them."""
    if not args.core:
        return max(each_core(cases=args.cases // len(CORES)))
    from tests.proof import fuzz

    try:
        damages = fuzz.run(args.cases, args.seed, args.core, say, limit=not args.unlimited)
    finally:
        fuzz.clean()
    line = f"{args.core} writer, both readers: {args.cases} cases, {damages} damages"
    print(f"{line}: crashes 0, hangs 0, faults 0")
    return 0


def sanitize(args: argparse.Namespace) -> int:
    """Build the core with a sanitizer, and run it hard: ``sanitize address|thread``."""
    from tests.proof import sanitize

    with tempfile.TemporaryDirectory(prefix="horus-sanitize-") as folder:
        try:
            if args.which == "address":
                sanitize.address(Path(folder), args.cases)
            else:
                sanitize.thread(Path(folder), args.messages)
        except sanitize.Unavailable as why:
            print(f"NOT DONE: {why}")
            return 3
    print(f"{args.which}: nothing found")
    return 0


def each_core(**changed: object) -> list[int]:
    """Run this command for each core at the same time."""
    more = [f"--{name}={value}" for name, value in changed.items()]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.proof", *sys.argv[1:], *more, "--core", core],
            env=os.environ | {"HORUS_CORE": core},
        )
        for core in CORES
    ]
    return [abs(process.wait()) for process in started]


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(function: Any, **options: Any) -> argparse.ArgumentParser:
        one = commands.add_parser(function.__name__, help=function.__doc__)
        one.set_defaults(function=function)
        for name, default in options.items():
            one.add_argument(f"--{name}", type=type(default), default=default, help=f"({default})")
        return one

    command(model)
    command(chaos, kills=1000, robots=20, seed=int(time.time()))
    command(reads, reads=10_000_000, writers=2, core="")
    command(fuzz, cases=220_000, seed=0, core="", unlimited=0)
    command(sanitize, cases=5000, messages=500_000).add_argument(
        "which", choices=("address", "thread")
    )
    return parser


def main() -> int:
    args = arguments().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing stays behind
    folder = Path(tempfile.mkdtemp(prefix="horus-proof-", dir="/dev/shm"))
    os.environ["HORUS_SHM_DIR"] = str(folder)
    os.environ.pop("HORUS_SESSION_ID", None)
    try:
        return int(args.function(args))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
