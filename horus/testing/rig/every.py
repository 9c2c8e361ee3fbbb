"""The rig with one simulated device of every driver that is installed.

``python -m horus.testing.rig.every`` prints its file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from horus.hal.driver import Driver
from horus.plugins import DriverEntry, PluginError, drivers
from horus.testing.bench import required_options

#: The kind of bus that stands for each in the file; with which option it is named, and how.
_BUSES = {
    "i2c": ("i2c", "device", "/dev/i2c-{}"),
    "can": ("socketcan", "channel", "can{}"),
    "serial": ("serial", "device", "/dev/ttyUSB{}"),
    "modbus": ("modbus", "device", "/dev/ttyUSB{}"),
}

#: Buses without devices, and what is wired to them.
_SPARE: dict[str, dict[str, Any]] = {
    "pair_a": {"use": "socketcan", "channel": "pair_a"},
    "pair_b": {"use": "socketcan", "channel": "pair_b"},
    "spare": {"use": "serial", "device": "/dev/spare"},
    "memory": {"use": "i2c", "device": "/dev/i2c-memory"},
}
_WIRES = (
    "wires:",
    "  pair: {kind: can-loopback, ends: [pair_a, pair_b]}",
    "  jumper: {kind: serial-loopback, ends: [spare]}",
    "  known: {kind: i2c-known, bus: memory, address: 0x50, read: {reg: 0x00, value: 0x5A}}",
)


def usable(entries: Iterable[DriverEntry]) -> Iterator[tuple[str, type[Driver[Any, Any]]]]:
    """Yield the drivers, by name, that can be loaded and have a twin."""
    for entry in entries:
        try:
            driver = entry.load()
        except PluginError:
            continue
        if driver.twin is not None:
            yield entry.name, driver


def text(entries: Iterable[DriverEntry] | None = None) -> str:
    """Return the file of a rig with a device of every driver, each on a bus of its own."""
    buses, devices = [], []
    numbers: dict[str, int] = {}
    for use, driver in usable(drivers().values() if entries is None else entries):
        kind, option, form = _BUSES[driver.map_type.bus_kind]
        number = numbers[option + form] = numbers.get(option + form, -1) + 1
        bus = f"{driver.map_type.bus_kind}{number}"
        about: dict[str, Any] = {"use": kind, option: form.format(number)}
        baudrate = getattr(driver.map_type, "baudrate", 0)
        if baudrate:
            about["baudrate"] = baudrate
        buses.append(f"  {bus}: {_flow(about)}")
        devices.append(f"  {use}: {_flow({'use': use, 'bus': bus, **_options(driver)})}")
    buses += [f"  {bus}: {_flow(about)}" for bus, about in _SPARE.items()]
    lines = ["rig: {name: mock, kind: mock}", "buses:", *buses, "hardware:", *devices, *_WIRES]
    return "\n".join(lines) + "\n"


def _options(driver: type[Driver[Any, Any]]) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in required_options(driver).items()
    }


def _flow(about: dict[str, Any]) -> str:
    """Return a mapping in YAML on one line."""
    return "{" + ", ".join(f"{key}: {_scalar(value)}" for key, value in about.items()) + "}"


def _scalar(value: Any) -> str:
    plain = isinstance(value, str) and value.replace("/", "").replace("-", "").replace("_", "")
    return value if plain and plain.isalnum() else json.dumps(value)


def main() -> int:
    """Print the file."""
    print(text(), end="")
    return 0


def write(folder: Path) -> Path:
    """Write the file into a folder; return its path."""
    path = folder / "mock.yaml"
    path.write_text(text())
    return path


if __name__ == "__main__":
    raise SystemExit(main())
