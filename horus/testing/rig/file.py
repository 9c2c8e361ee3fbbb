"""Rig files: horus.yaml, and how to find each bus, what is wired, and what is allowed.

The schema beyond that of `horus.hardware.config`::

    rig:
      name: bench-a
      kind: real                    # real, virtual or mock
      allow: [motion, unplug]       # hazards that this bench accepts; by default none
    buses:
      can_a: {use: socketcan, match: {path: "0000:00:04.0"}, bitrate: 500000}
    hardware:
      imu: {use: mpu6050, bus: i2c0, facts: {still: true}, limits: {jitter_p99_ms: 2.0}}
      arm: {use: feetech, bus: servos, ids: [1, 2], hazard: [motion]}     # of those allowed
      gnss: {use: nmea, bus: usb0, checks: [C1, C4]}      # all others are left to another rig
    wires:
      pair: {kind: can-loopback, ends: [can_a, can_b]}
      jumper: {kind: serial-loopback, ends: [spare_uart]}
      known: {kind: i2c-known, bus: i2c0, address: 0x50, read: {reg: 0, value: 0}}
    faults:                         # of a device or of a bus
      servos: {unplug: {by: usb-hub, hub: 1-1, port: 3}}

What ``match:`` may have is in `horus.testing.rig.matching`, the means of faults in
`horus.testing.rig.faults`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from horus.hal.config import Config
from horus.hal.driver import Actuator
from horus.hardware.config import BusEntry, DeviceEntry, RobotConfig


@dataclass(frozen=True)
class RigDevice:
    """One device of a rig, with what the file says about it beyond horus.yaml."""

    entry: DeviceEntry
    facts: Mapping[str, Any]
    limits: Mapping[str, float]
    #: The hazards that this device may be used for; None: all that the rig allows.
    hazards: frozenset[str] | None = None
    #: The conformance checks that are done with it; None: all.
    checks: frozenset[str] | None = None

    @property
    def moves(self) -> bool:
        """Return whether it takes commands."""
        return issubclass(self.entry.driver, Actuator)

    @property
    def id(self) -> str:
        """Return the device's name, driver and place: ``imu[mpu6050@i2c0:0x68]``."""
        entry = self.entry
        place = f":{entry.place}" if entry.place else ""
        return f"{entry.name}[{entry.use}@{entry.bus}{place}]"


@dataclass(frozen=True)
class Wire:
    """What is wired on a rig to test its buses by themselves."""

    name: str
    kind: str
    #: The buses at its ends: two of a CAN pair, one of a jumper, that of a known chip.
    ends: tuple[str, ...]
    #: Of a known chip: its address, the register that is read, and what it holds.
    address: int = 0
    register: int = 0
    value: int = 0

    @property
    def id(self) -> str:
        """Return the wire's name and ends: ``pair[can_a-can_b]``."""
        return f"{self.name}[{'-'.join(self.ends)}]"


@dataclass(frozen=True)
class Means:
    """By what a fault can be injected."""

    by: str
    options: Config


@dataclass(frozen=True)
class RigFile:
    """A rig as its file describes it; options are checked, nothing has been looked for."""

    name: str
    kind: str
    path: Path
    allow: frozenset[str]
    robot: RobotConfig
    devices: Mapping[str, RigDevice]
    #: By which marks each bus is to be found.
    matches: Mapping[str, Mapping[str, str]]
    wires: Mapping[str, Wire]
    #: By device or bus, then by fault.
    means: Mapping[str, Mapping[str, Means]]

    def with_buses(self, buses: Mapping[str, BusEntry]) -> RigFile:
        """Return the rig with its buses as they were found."""
        return replace(self, robot=replace(self.robot, buses=buses), matches={})

    def root_of(self, bus: str) -> str:
        """Return the bus that a bus hangs from in the end; itself when it hangs from none."""
        while self.robot.buses[bus].parent:
            bus = self.robot.buses[bus].parent
        return bus

    def means_for(self, device: str, fault: str) -> Means | None:
        """Return the means for a fault of a device: its own, or those of a bus that it is on."""
        places = [device]
        bus = self.robot.hardware[device].bus
        while bus:
            places.append(bus)
            bus = self.robot.buses[bus].parent
        return next((m for place in places if (m := self.means.get(place, {}).get(fault))), None)


def load(path: str | Path) -> RigFile:
    """Read a rig from its file; all faults are one `ConfigError`, a line each."""
    from horus.testing.rig.reading import read_rig

    return read_rig(Path(path))
