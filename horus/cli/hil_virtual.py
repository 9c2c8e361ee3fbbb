"""Run a command in an emulated machine with a real kernel and emulated hardware.

The machine has CAN adapters, an I2C bus, a serial port and a USB serial adapter. It sees the files
of this one, with the same Python and packages, and can change none but those below --share: what a
command writes elsewhere is gone when it ends. Without an option it says whether all is there.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import struct
import sys
import termios
from pathlib import Path

_EXAMPLES = """\
examples:
  horus hil virtual --fetch                        get what it needs, about 90 MB, once
  horus hil virtual -- python my_program.py        run a program in it
  horus hil virtual --share out -- pytest --junitxml out/junit.xml
  horus hil virtual --shell                        look around in it; exit ends it
"""

TAKES_REST = True


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus hil virtual`."""
    parser.usage = "horus hil virtual [--fetch] [--shell] [--share DIR] [-- COMMAND ...]"
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "--fetch", action="store_true", help="get what is missing, repair what is damaged"
    )
    parser.add_argument("--shell", action="store_true", help="a shell in the machine")
    parser.add_argument(
        "--share",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="a folder that the command may write into",
    )


def main(args: argparse.Namespace) -> int:
    """Do it; the command's own exit status, 3 when the machine cannot be had."""
    from horus.testing.virtual.fetch import Cache, Progress
    from horus.testing.virtual.machine import Machine

    cache = Cache()
    command: list[str] = args.rest
    if args.fetch:
        fresh = cache.fetch(Progress())
        came = f"{fresh / 1e6:.0f} MB came" if fresh else "nothing was missing"
        print(f"the virtual rig is in {cache.folder} ({came})")
        if not args.shell and not command:
            return 0
    text = cache.lacks()
    if text:
        print(f"horus hil virtual: {text}", file=sys.stderr)
        return 3
    if not args.shell and not command:
        print(
            f"the virtual rig is ready, in {cache.folder}; horus hil virtual --help shows its use"
        )
        return 0
    for folder in args.share:
        folder.mkdir(parents=True, exist_ok=True)
    with Machine(cache, args.share) as machine:
        if not args.shell:
            return machine.run(command)
        if not sys.stdin.isatty():
            print("horus hil virtual: --shell needs a terminal", file=sys.stderr)
            return 2
        machine.shell([os.environ.get("SHELL", "/bin/sh"), "-i"], *_size())
    return 0


def _size() -> tuple[int, int]:
    """Return the rows and columns of the terminal."""
    rows, columns, _, _ = struct.unpack("4H", fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))
    return rows, columns
