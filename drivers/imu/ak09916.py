"""AKM AK09916: the magnetometer inside of an ICM-20948, as its inner I2C bus sees it.

Source: AK09916 datasheet 016014242-E-02. Registers are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

IDENTITY = 0x09
WIA2, ST1, DATA, ST2, CNTL2, CNTL3 = 0x01, 0x10, 0x11, 0x18, 0x31, 0x32
MODES = {10: 0x02, 20: 0x04, 50: 0x06, 100: 0x08}  # continuous measurement by Hz
SINGLE = 0x01
TESLA = 0.15e-6  # T per LSB
FULL_SCALE = 32752  # LSB, for each axis and for the sum of all three
READY = 0x01  # bit of ST1
OVERFLOW = 0x08  # bit of ST2


class Ak09916:
    """Its twin: off until told, keeps a result that is being read until ST2 is read."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Come up powered down."""
        self.bytes = bytearray(256)
        self.bytes[0:2] = bytes((0x48, IDENTITY))
        self.measured = -1
        self.held = False

    def write(self, register: int, value: int) -> None:
        """Store one byte; a reset happens at once, results cannot be written."""
        if register == CNTL3 and value & 1:
            self.reset()
        elif register == CNTL2:
            self.bytes[register] = value
            self.held = False

    def read(self, register: int, count: int) -> bytes:
        """Return consecutive registers; reading ST2 lets the next result in."""
        data = bytes(self.bytes[register : register + count])
        if register <= ST2 < register + count:
            self.held = False
            self.bytes[ST1] = 0
        elif register < ST2 and register + count > DATA:
            self.held = True
        return data

    def update(self, time: float, field: Callable[[], list[float]]) -> None:
        """Ask for the field in T along its axes when the next measurement is due."""
        mode = self.bytes[CNTL2]
        rate = next((hertz for hertz, code in MODES.items() if code == mode), 0)
        if mode == SINGLE:
            self.bytes[CNTL2] = 0
        elif not rate or int(time * rate) == self.measured:
            return
        self.measured = int(time * rate)
        if self.held:
            return
        raw = [round(value / TESLA) for value in field()]
        over = sum(abs(value) for value in raw) >= FULL_SCALE
        clipped = [min(max(value, -FULL_SCALE), FULL_SCALE) for value in raw]
        self.bytes[DATA : DATA + 6] = struct.pack("<3h", *clipped)
        self.bytes[ST2] = OVERFLOW if over else 0
        self.bytes[ST1] = READY
