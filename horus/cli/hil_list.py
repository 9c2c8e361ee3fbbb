"""List what is plugged in, with the marks by which a rig's file finds it again; open nothing."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

_RIG = "rig: {name: my-bench, kind: real}  # allow: [motion] where nobody can be hurt"
_NONE = "hardware: {}  # such as imu: {use: mpu6050, bus: i2c1}; horus drivers lists them"

if TYPE_CHECKING:
    from horus.testing.rig.matching import Candidate


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus hil list`."""
    parser.add_argument("--yaml", action="store_true", help="as the beginning of a rig's file")
    parser.add_argument(
        "--probe", action="store_true", help="look for sensors on I2C buses too, as horus scan does"
    )


def main(args: argparse.Namespace) -> int:
    """Print it; 0 also when that is nothing."""
    from horus.testing.rig import matching

    found = list(matching.everything())
    if args.yaml:
        print("\n".join([_RIG, *as_yaml(found), *(_hardware(found) if args.probe else [_NONE])]))
        return 0
    if not found:
        print("nothing is plugged in: no I2C adapter, no CAN interface, no serial port")
    for use, candidate in found:
        print(f"{use:<10} {candidate}")
        print(f"{'':<10}   {_line(use, candidate)}")
    if args.probe:
        from horus.cli import scan

        print(scan.as_yaml(scan.find(probe=True), probe=True), end="")
    return 0


def as_yaml(found: list[tuple[str, Candidate]]) -> list[str]:
    """Return the lines of ``buses:`` for what is plugged in."""
    lines = ["buses:" if found else "buses: {}  # nothing is plugged in"]
    for use, candidate in found:
        lines.append(f"  {_name(candidate)}: {{use: {use}, {_line(use, candidate)}}}")
    return lines


def _name(candidate: Candidate) -> str:
    """Return the name that is proposed for a bus."""
    return Path(candidate.resource).name.replace("-", "").replace(".", "_").lower()


def _hardware(found: list[tuple[str, Candidate]]) -> list[str]:
    """Return the lines of ``hardware:`` for the sensors that answer on I2C."""
    from horus.cli import scan

    seen = scan.find(probe=True)
    names = {candidate.resource: _name(candidate) for _, candidate in found}
    here = {bus.name: names.get(str(bus.options.get("device"))) for bus in seen.buses}
    seen.answers = {here.get(name) or name: answers for name, answers in seen.answers.items()}
    return scan.devices(seen)


def _line(use: str, candidate: Candidate) -> str:
    """Return the line by which a bus is found: its marks, or its name when it has none."""
    from horus.testing.rig import matching

    marks = matching.marks(use, candidate)
    if marks is None:
        option = matching.FAMILIES[use][1]
        return f"{option}: {candidate.resource}"
    # Numbers are written in quotes too: 1546:01a9 is text, and 0012 would be ten.
    shown = ", ".join(f"{key}: {json.dumps(value)}" for key, value in marks.items())
    return f"match: {{{shown}}}"
