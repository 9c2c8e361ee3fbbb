"""`horus mock serve`: simulated chips on a /dev/i2c-N of this computer."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from horus.errors import HorusError, did_you_mean
from horus.hal.backends import backend
from horus.hal.backends.i2c_dev import I2cDevConfig
from horus.hardware.config import FILE_NAME, BusEntry, DeviceEntry, load


class ServeError(HorusError, ValueError):
    """A device that cannot be served."""

    exit_code = 2


def serve(names: Sequence[str], number: int, absent: str) -> int:
    """Serve the twins of devices until told to stop."""
    from horus.testing.virtual.twins import WiredTwins
    from horus.testing.virtual.twins import serve as hold

    devices = [_device(name) for name in names]
    node = f"/dev/i2c-{number}"
    bus = BusEntry("i2c", "i2c", backend("i2c"), I2cDevConfig(device=node), 1)
    places = {device.place for device in devices}
    if len(places) < len(devices):
        raise ServeError(f"two of {', '.join(names)} are at one address: give them others")
    on_it = [replace(device, bus=bus.name) for device in devices]
    simulation = WiredTwins([bus], on_it, getattr(errno, absent))
    try:
        shown = ", ".join(f"{device.name} ({device.use}) at {device.place}" for device in on_it)
        hold(
            simulation, f"{node}: {shown}; `horus mock list` shows what can be set; Ctrl-C ends it"
        )
    finally:
        simulation.close()
    return 0


def _device(name: str) -> DeviceEntry:
    """Return a device of this folder's horus.yaml, else one of a driver with its defaults."""
    from horus.plugins import drivers
    from horus.testing.bench import device_entry

    found: dict[str, DeviceEntry] = (
        dict(load(FILE_NAME).hardware) if Path(FILE_NAME).exists() else {}
    )
    if name not in found:
        known = [*found, *drivers()]
        if name not in drivers():
            near = did_you_mean(name, known)
            raise ServeError(f"{name} is no device of {FILE_NAME} here, and no driver{near}")
        found[name] = device_entry(name, name)
    device = found[name]
    kind = device.driver.map_type.bus_kind
    if kind != "i2c":
        raise ServeError(f"{name} ({device.use}) is a {kind} device: only i2c can be served")
    if device.driver.twin is None:
        raise ServeError(f"{name}: the driver {device.use} has no simulated twin")
    return device
