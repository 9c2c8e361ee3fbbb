"""Batteries and supplies."""

from enum import IntEnum
from math import nan

from horus.message import UInt8, message
from horus.msgs._base import Stamped

__all__ = ["BatteryState", "BatteryStatus"]


class BatteryStatus(IntEnum):
    """What a battery is doing."""

    UNKNOWN = 0
    CHARGING = 1
    DISCHARGING = 2
    NOT_CHARGING = 3
    FULL = 4


@message
class BatteryState(Stamped):
    """The state of a battery. A value that is not measured is NaN."""

    voltage: float = 0.0
    """V: between the terminals."""

    current: float = nan
    """A: into the battery; negative while it discharges; NaN is not measured."""

    state_of_charge: float = nan
    """No unit: 0 (empty) to 1 (full); NaN is not measured."""

    charge: float = nan
    """Ah: left in the battery; NaN is not measured."""

    capacity: float = nan
    """Ah: when full, at its present age; NaN is unknown."""

    temperature: float = nan
    """°C: of the cells; NaN is not measured."""

    status: UInt8 = BatteryStatus.UNKNOWN
    """No unit: a `BatteryStatus`."""

    present: bool = True
    """No unit: False when the battery has been taken out."""
