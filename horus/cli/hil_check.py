"""See whether a rig is ready: find its buses, lock them, ask each device who it is; move nothing.

Exit status: 0 ready, 2 usage, 3 not ready; with --wires that of their tests.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from horus.testing.rig.ready import Readiness


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus hil check`."""
    parser.add_argument("rig", metavar="RIG", help="a rig file, or the name of one HORUS brings")
    parser.add_argument("--wires", action="store_true", help="test the wires as well")


def main(args: argparse.Namespace) -> int:
    """Print what was found of the rig."""
    from horus.errors import ConfigError
    from horus.testing.rig import choice, command, ready
    from horus.testing.virtual import inside
    from horus.testing.virtual.fetch import Cache

    try:
        chosen = choice.find(args.rig)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    if chosen.how == choice.LIVE and chosen.rig.kind == "virtual" and not inside.is_inside():
        lacking = Cache().lacks()
        if lacking:
            print(f"NOT READY: {lacking}", file=sys.stderr)
            return 3
        print(f"{chosen.rig.name}: an emulated machine, which is made for each run")
    elif chosen.how == choice.LIVE:
        found = ready.look(chosen.rig, chosen.rig.devices)
        found.release()
        _show(found)
        if found.problems:
            return 3
    else:
        print(f"{chosen.rig.name}: simulated: there is nothing to look for")
    if args.wires:
        return command.run(args.rig, ["-m", "hil_needs"])
    return 0


def _show(found: Readiness) -> None:
    from horus.testing.rig.reading import NOT_YET

    rig = found.rig
    for bus in rig.robot.buses.values():
        if not bus.resource.startswith(NOT_YET):
            print(f"{bus.name}: {bus.use} {bus.resource}".rstrip())
    for name, identity in found.identities.items():
        entry = rig.robot.hardware[name]
        place = f" at {entry.place}" if entry.place else ""
        says = f", {identity}" if identity else ""
        print(f"{name}: {entry.use} on {entry.bus}{place}{says}")
    for problem in found.problems:
        print(f"NOT READY: {problem}", file=sys.stderr)
    if not found.problems:
        print(f"{rig.name} is ready")
