"""Run the checks on a rig: every conformance check for every device, and the tests of wires.

RIG comes first. What follows it are options of pytest, such as -k, -x or -v, and these:

  --rig-device NAME      this device alone; may be given several times
  --rig-wire NAME        this wire alone, without the devices; likewise
  --allow HAZARD         motion, heat, memory or unplug, where the rig's file allows it too
  --hil-report DIR       write report.json and report.html into this folder
  --hil-baseline FILE    compare with the report.json of an earlier run
  --hil-strict           a check that is skipped fails
  --hil-person           somebody is at the terminal, to pull plugs
  --hil-scale X          multiply limits of time by X
  --hil-soak S           run the long checks too, each for S seconds
  --hil-hang S           end the run when a check takes longer than this (600, times X)
  --hil-machines N       virtual machines of a virtual rig, each with some of its buses (one a core)

Exit status: 0 passed, 1 failed, 2 usage, 3 the rig is not ready, 4 a hazard is not allowed, 5
nothing ran.
"""

from __future__ import annotations

import argparse
import sys

#: What follows RIG is not for us to judge.
FIRST_ALONE = True

_RIGS = """\
RIG is a rig file, or
  mock         one simulated device of every driver, in simulated time
  mock:FILE    the devices of a rig's file, simulated
  twins:FILE   likewise, but on the wall clock and behind real wires (pty, socket, multicast)
  virtual      an emulated machine with a real kernel
  NAME         a rig file that HORUS brings, such as pi
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus hil run`."""
    parser.epilog = f"{_RIGS}\n{parser.epilog}"
    parser.add_argument("rig", metavar="RIG", nargs="?", help="what to run on")
    parser.usage = "horus hil run RIG [options of pytest]"


def main(args: argparse.Namespace) -> int:
    """Run the checks; return how they ended."""
    if args.rig is None:
        print("horus hil run: RIG comes first, such as: horus hil run mock", file=sys.stderr)
        return 2
    from horus.testing.rig import command

    return command.run(args.rig, args.rest)
