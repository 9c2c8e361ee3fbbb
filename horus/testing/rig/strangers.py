"""Twins that stand in the place of the device that is expected there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from horus.hal.config import DriverConfig
from horus.hal.driver import Driver
from horus.hal.registers import RegisterMap
from horus.hal.simi2c import RegisterSim
from horus.hardware.config import DeviceEntry
from horus.plugins import drivers
from horus.testing.bench import required_options
from horus.testing.rig.every import usable

#: A chip that answers, and every byte of which reads like an empty bus: no chip calls itself that.
BLANK = "blank chip"
_PATTERN = 0xFF


def names(entry: DeviceEntry) -> list[str]:
    """Return the drivers whose twins can be where a device is; on I2C also a blank chip."""
    kind = entry.driver.map_type.bus_kind
    if kind not in ("i2c", "can", "serial"):
        return []
    found = [
        use
        for use, driver in usable(drivers().values())
        if not _related(driver, entry.driver)
        and driver.map_type.bus_kind == kind
        and _options(driver, entry) is not None
    ]
    return [*found, BLANK] if kind == "i2c" else found


def twin(name: str, entry: DeviceEntry) -> Any:
    """Return the twin of one of `names`, at the place of a device."""
    if name == BLANK:
        return _Blank(entry.config)
    driver: Any = drivers()[name].load()
    return driver.twin(_options(driver, entry))


def stand_in(name: str, entry: DeviceEntry) -> DeviceEntry:
    """Return one of `names`, but for the blank chip, as an entry at the place of a device."""
    driver: Any = drivers()[name].load()
    return replace(entry, use=name, driver=driver, config=_options(driver, entry), sim=None)


def _related(one: type[Driver[Any, Any]], other: type[Driver[Any, Any]]) -> bool:
    """Return whether two drivers are for the same device: one twin is that of the other."""
    first, second = one.twin, other.twin
    assert first is not None and second is not None
    return issubclass(first, second) or issubclass(second, first)


def _options(driver: type[Driver[Any, Any]], entry: DeviceEntry) -> Any:
    """Return a driver's options at the place of another device; None where it cannot be."""
    made = driver.config_type(**required_options(driver))
    option = driver.map_type.station_option
    if not option:
        return made
    if not entry.stations:
        return None
    several = isinstance(getattr(made, option), tuple)
    place: Any = {option: entry.stations if several else entry.station}
    try:
        return replace(made, **place)
    except ValueError:
        return None


class _Blank(RegisterSim[DriverConfig, RegisterMap]):
    """A chip that acknowledges its address and takes whatever is written to it."""

    def transfer(self, write: bytes, read: int) -> bytes:
        """Answer with the same byte, whatever the register."""
        return bytes((_PATTERN,)) * read
