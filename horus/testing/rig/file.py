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
      arm: {use: feetech, bus: servos, ids: [1, 2], hazard: [motion]}
    wires:
      pair: {kind: can-loopback, ends: [can_a, can_b]}
    faults:
      servos: {unplug: {by: usb-hub, hub: 1-1, port: 3}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from horus.hardware.config import DeviceEntry, RobotConfig


@dataclass(frozen=True)
class RigDevice:
    """One device of a rig, with what the file says about it beyond horus.yaml."""

    entry: DeviceEntry
    facts: Mapping[str, Any]
    limits: Mapping[str, float]
    hazards: tuple[str, ...]

    @property
    def id(self) -> str:
        """Return the device's name, driver and place: ``imu[mpu6050@i2c0:0x68]``."""
        entry = self.entry
        place = f":{entry.place}" if entry.place else ""
        return f"{entry.name}[{entry.use}@{entry.bus}{place}]"


@dataclass(frozen=True)
class RigFile:
    """A rig as its file describes it; options are checked, nothing has been looked for."""

    name: str
    kind: str
    path: Path
    allow: frozenset[str]
    robot: RobotConfig
    devices: Mapping[str, RigDevice]


def load(path: str | Path) -> RigFile:
    """Read a rig from its file; all faults are one `ConfigError`, a line each."""
    from horus.testing.rig.reading import read_rig

    return read_rig(Path(path))
