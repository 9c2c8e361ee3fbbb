"""Pins, converters and radio remote controls."""

from math import nan
from typing import Annotated

from horus.message import EMPTY, Array, Float64Array, UInt32, VarArray, message
from horus.msgs._base import Stamped

__all__ = ["AnalogIO", "DigitalIO", "RcChannels"]


@message
class DigitalIO(Stamped):
    """The levels of up to 32 pins, as read or as they shall be."""

    levels: UInt32 = 0
    """No unit: bit n is the level of pin n; 1 is high."""

    mask: UInt32 = 0xFFFF_FFFF
    """No unit: bit n is 1 when this message speaks of pin n; a command leaves the others alone."""

    def is_high(self, pin: int) -> bool:
        """Return whether a pin is high."""
        return bool(self.levels >> pin & 1)


@message
class AnalogIO(Stamped):
    """The voltages of up to 16 channels, as read or as they shall be."""

    voltages: Annotated[Float64Array, VarArray("f8", 16)] = EMPTY
    """V: of each channel, from channel 0 on; NaN is not measured, or to be left alone."""


@message
class RcChannels(Stamped):
    """The sticks and switches of a radio remote control. Stop when ``failsafe`` is True."""

    channels: Annotated[tuple[float, ...], Array("f8", 16)] = (0.0,) * 16
    """No unit: -1 to 1 over a stick's normal travel, 0 is its middle; channel 1 is at index 0."""

    switches: tuple[bool, bool] = (False, False)
    """No unit: the two on-off channels (17 and 18) of SBUS."""

    failsafe: bool = False
    """No unit: True when the receiver has lost the remote control."""

    frame_lost: bool = False
    """No unit: True when the latest radio frame was lost; the channels are older."""

    link_quality: float = nan
    """No unit: the share of radio frames that arrive, 0 to 1; NaN is not measured."""

    rssi: float = nan
    """dBm: strength of the received signal; NaN is not measured."""
