"""List the buses that are plugged into this machine, as YAML to paste into horus.yaml.

Nothing is opened without --probe. With it, the sensors on I2C buses are looked for; CAN buses and
serial ports are never written to, since what hangs on them may move.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from horus.hardware.probing import Answer, Claims
    from horus.hookspecs import Found


@dataclass
class Scan:
    """What was found: buses, sensors by bus, and remarks for people."""

    buses: list[Found] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus scan`."""
    parser.add_argument(
        "--probe",
        action="store_true",
        help="look for sensors on I2C buses: only where a driver of a sensor expects one, by "
        "reading; whatever could move is not asked",
    )
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")


def main(args: argparse.Namespace) -> int:
    """Print what is plugged in; 0 also when that is nothing."""
    scan = find(probe=args.probe)
    if args.json:
        about: dict[str, Any] = {"buses": [asdict(bus) for bus in scan.buses]}
        if args.probe:
            about["devices"] = {
                bus: [asdict(answer) for answer in answers] for bus, answers in scan.answers.items()
            }
        print(json.dumps({**about, "remarks": scan.remarks}, indent=2, default=str))
    else:
        print(as_yaml(scan, probe=args.probe), end="")
    return 0


def find(*, probe: bool, root: Path | None = None) -> Scan:
    """Look for buses, and for sensors on them where asked to."""
    from horus import plugins
    from horus.hardware import plugged

    scan = Scan(plugged.everything(root or plugged.ROOT))
    for info, found in plugins.call("horus_scan"):
        good = [bus for bus in found or () if isinstance(bus, plugins.Found)]
        if len(good) != len(found or ()):
            info.failed("horus_scan(): returned something that is not Found")
        scan.buses += good
    for info in plugins.plugins():
        if "horus_scan()" in info.problem:
            scan.remarks.append(f"{info}: {info.problem}")
    scan.buses = _named_apart(scan.buses)
    if probe:
        _probe(scan)
    return scan


def _named_apart(buses: list[Found]) -> list[Found]:
    """Give those whose proposed names are the same different ones."""
    from dataclasses import replace

    names: set[str] = set()
    made = []
    for bus in buses:
        name, number = bus.name, 2
        while name in names:
            name, number = f"{bus.name}_{number}", number + 1
        names.add(name)
        made.append(replace(bus, name=name))
    return made


def _probe(scan: Scan) -> None:
    """Look for sensors on the I2C buses that nobody else uses."""
    from horus.hal.faults import DeviceFault
    from horus.hardware import probing
    from horus.plugins import drivers

    claimed = probing.claims(drivers().values())
    scan.remarks += claimed.left_out
    for bus in scan.buses:
        if bus.use != "i2c":
            scan.remarks.append(f"{bus.name}: not probed: what is on it may move")
        elif bus.problem:
            scan.remarks.append(f"{bus.name}: not probed: {bus.problem}")
        else:
            try:
                scan.answers[bus.name] = _look(bus, claimed, scan.remarks)
            except DeviceFault as fault:
                scan.remarks.append(f"{bus.name}: not probed: {fault}")
    only_movers = sorted(set(claimed.movers) - set(claimed.sensors))
    if only_movers and scan.answers:
        shown = ", ".join(f"0x{address:02X}" for address in only_movers)
        scan.remarks.append(f"not touched, for only drivers of things that move are there: {shown}")


def _look(bus: Found, claimed: Claims, remarks: list[str]) -> list[Answer]:
    from horus.hal.backends.i2c_dev import I2cDev, I2cDevConfig
    from horus.hardware import plugged, probing

    device = str(bus.options["device"])
    held = kernel_drivers(device, plugged.ROOT)
    for address, driver in held.items():
        remarks.append(f"{bus.name}: 0x{address:02X} is held by the kernel's driver {driver}")
    opened = I2cDev(bus.name, I2cDevConfig(device=device))
    try:
        return probing.look(opened, claimed, held)
    finally:
        opened.close()


def kernel_drivers(device: str, root: Path) -> dict[int, str]:
    """Return the addresses on an adapter that drivers of the kernel hold, with their names."""
    number = device.rpartition("-")[2]
    found = {}
    for place in sorted((root / "sys/bus/i2c/devices").glob(f"{number}-*")):
        driver = place / "driver"
        try:
            address = int(place.name.partition("-")[2], 16)
        except ValueError:
            continue
        if driver.exists():
            found[address] = driver.resolve().name
    return found


def as_yaml(scan: Scan, *, probe: bool) -> str:
    """Return what was found as a part of a horus.yaml."""
    lines = ["# Plugged into this machine; take what you need into horus.yaml."]
    lines.append("buses:" if scan.buses else "buses: {}  # none found; horus doctor says more")
    for bus in scan.buses:
        about = f"  # {bus.about}" if bus.about else ""
        lines.append(f"  {bus.name}: {_flow({'use': bus.use, **bus.options})}{about}")
        if bus.problem and not probe:
            lines.append(f"  # {bus.problem}")
    if probe:
        lines += devices(scan)
    elif any(bus.use == "i2c" for bus in scan.buses):
        lines.append("# horus scan --probe looks for sensors on I2C")
    lines += [f"# {remark}" for remark in scan.remarks]
    return "\n".join(lines) + "\n"


def devices(scan: Scan) -> list[str]:
    """Return the lines of ``hardware:`` for what answered."""
    known = [(b, answer) for b, answers in scan.answers.items() for answer in answers]
    if not known:
        return ["hardware: {}  # no sensor found"]
    lines = ["hardware:"]
    names: dict[str, int] = {}
    for bus, answer in known:
        place = f"0x{answer.address:02X}"
        also = f"; may be {', '.join(answer.movers)} as well" if answer.movers else ""
        if not answer.uses:
            lines.append(f"  # {place} on {bus} answers; no driver of a sensor knows it{also}")
            continue
        use = answer.uses[0]
        names[use] = names.get(use, 0) + 1
        name = use if names[use] == 1 else f"{use}_{names[use]}"
        others = answer.uses[1:]
        remark = f"  # or {', '.join(others)}{also}" if others else ""
        lines.append(f"  {name}: {{use: {use}, bus: {bus}, address: {place}}}{remark}")
    return lines


def _flow(options: Mapping[str, object]) -> str:
    """Return a mapping in YAML on one line."""
    import yaml

    text: str = yaml.safe_dump(
        dict(options), default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True
    )
    return text.strip()
