"""A horus.yaml made of one device of a rig, for a process of its own."""

from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import yaml

from horus.hardware.config import BusEntry, DeviceEntry, RobotConfig


def write_robot(robot: RobotConfig, device: DeviceEntry, folder: Path) -> Path:
    """Write the horus.yaml of one device and the buses that it needs; return its path."""
    buses: dict[str, BusEntry] = {}
    name = device.bus
    while name:
        buses[name] = robot.buses[name]
        name = buses[name].parent
    about: dict[str, Any] = {"use": device.use, "bus": device.bus, **_given(device.config)}
    if device.sim is not None:
        about["mock"] = _given(device.sim)
    text = {
        "name": device.name,
        "buses": {n: {"use": bus.use, **_given(bus.config)} for n, bus in buses.items()},
        "hardware": {device.name: about},
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "horus.yaml"
    path.write_text(yaml.safe_dump(text, sort_keys=False))
    return path


def _given(config: Any) -> dict[str, Any]:
    """Return the options that differ from their defaults, as YAML has them."""
    found = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if field.default is not MISSING and value == field.default:
            continue
        if isinstance(value, Path):
            value = str(value.resolve())
        found[field.name] = list(value) if isinstance(value, tuple) else value
    return found
