"""A horus.yaml made of some devices of a rig, for processes of their own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import yaml

from horus.hardware.config import BusEntry, DeviceEntry, RobotConfig


def write_robot(robot: RobotConfig, devices: Iterable[DeviceEntry], folder: Path) -> Path:
    """Write the horus.yaml of devices and of the buses that they need; return its path."""
    buses: dict[str, BusEntry] = {}
    hardware: dict[str, Any] = {}
    for device in devices:
        name = device.bus
        while name:
            buses[name] = robot.buses[name]
            name = buses[name].parent
        about = hardware[device.name] = {"use": device.use, "bus": device.bus}
        about.update(_given(device.config))
        if device.sim is not None:
            about["mock"] = _given(device.sim)
    text = {
        "name": "rig",
        "buses": {n: {"use": bus.use, **_given(bus.config)} for n, bus in buses.items()},
        "hardware": hardware,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "horus.yaml"
    path.write_text(yaml.safe_dump(text, sort_keys=False))
    return path


def with_other(path: Path, entry: DeviceEntry, to: Path) -> Path:
    """Write a horus.yaml again, made by `write_robot`, with another device of that name."""
    text = yaml.safe_load(path.read_text())
    text["hardware"][entry.name] = {
        "use": entry.use,
        "bus": entry.bus,
        **_given(entry.config),
    }
    to.mkdir(parents=True, exist_ok=True)
    other = to / path.name
    other.write_text(yaml.safe_dump(text, sort_keys=False))
    return other


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
