"""Unplugging by a relay on a pin of this computer, through the kernel's GPIO character device.

Wire the relay so that it lets the power through while it is off (its contact NC). While a fault
lasts, the line is held, and switched off before it is given back: the Raspberry Pi's kernel leaves
a pin as it was when nobody holds it any more (persist_gpio_outputs). What a killed run has cut
comes back with the next one, or by ``gpioset``. Structures and numbers: linux/gpio.h, second
version of its interface.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from horus.hal.backends.access import denied
from horus.hal.config import Config, option
from horus.testing.rig.faults import MeansError

#: struct gpio_v2_line_request: 64 lines, name, flags, attributes, ten of them, count, sizes, fd.
_REQUEST = struct.Struct("=64I32sQI20x240sII20xi")
#: struct gpio_v2_line_config_attribute: id, padding, value, mask.
_ATTRIBUTE = struct.Struct("=IIQQ")
#: struct gpio_v2_line_values: bits, mask.
_VALUES = struct.Struct("=QQ")
GET_LINE, SET_VALUES = 0xC250B407, 0xC010B40F
_ACTIVE_LOW, _OUTPUT = 1 << 1, 1 << 3
_OUTPUT_VALUES = 2

Ioctl = Callable[[int, int, bytearray], object]


@dataclass(frozen=True, kw_only=True)
class GpioRelayOptions(Config):
    """Which pin."""

    chip: str = option("/dev/gpiochip0", doc="the GPIO chip's device node")
    line: int = option(low=0, high=1023, doc="the line's number; on a Raspberry Pi that of GPIOn")
    active_low: bool = option(False, doc="the relay is on while the pin is low")


class GpioRelay:
    """A relay that takes the power away while it is on."""

    options_type: ClassVar[type[Config]] = GpioRelayOptions

    def __init__(self, place: str, options: GpioRelayOptions, ioctl: Ioctl = fcntl.ioctl) -> None:
        self.place = place
        self.options = options
        self._ioctl = ioctl
        self._line: int | None = None

    def cut(self) -> None:
        """Switch the relay on, and hold it."""
        if self._line is None:
            self._line = self._taken(on=True)

    def restore(self) -> None:
        """Switch the relay off, and let it go."""
        line, self._line = self._line, None
        if line is None:  # a run that was killed may have left it on
            os.close(self._taken(on=False))
            return
        try:
            self._ioctl(line, SET_VALUES, bytearray(_VALUES.pack(0, 1)))
        except OSError as error:
            raise MeansError(
                f"{self.place}: line {self.options.line} of {self.options.chip} cannot be switched "
                f"off again: {error.strerror}; switch it off by hand: `gpioset`"
            ) from None
        finally:
            os.close(line)

    def _taken(self, *, on: bool) -> int:
        """Take the line as an output that is on or off; return what holds it."""
        path = Path(self.options.chip)
        request = bytearray(self._request(on))
        try:
            chip = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                self._ioctl(chip, GET_LINE, request)
            finally:
                os.close(chip)
        except OSError as error:
            raise MeansError(f"{self.place}: {self._told(error, path)}") from None
        return int(_REQUEST.unpack(request)[-1])

    def _request(self, on: bool) -> bytes:
        flags = _OUTPUT | (_ACTIVE_LOW if self.options.active_low else 0)
        values = _ATTRIBUTE.pack(_OUTPUT_VALUES, 0, int(on), 1)
        lines = [self.options.line, *[0] * 63]
        return _REQUEST.pack(*lines, b"horus-hil", flags, 1, values, 1, 0, 0)

    def _told(self, error: OSError, path: Path) -> str:
        if error.errno in (errno.EACCES, errno.EPERM):
            return str(denied(path, "")).removeprefix(": ")
        if error.errno == errno.EBUSY:
            return f"line {self.options.line} of {path} is in use: `gpioinfo` says by whom"
        if error.errno == errno.EINVAL:
            return f"{path} has no line {self.options.line} that can be an output: see `gpioinfo`"
        return f"{path} cannot be used: {error.strerror}; `gpiodetect` lists the chips"
