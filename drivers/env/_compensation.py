"""Timing and compensation of Bosch's BMP280 and BME280, for their driver and their twins.

The formulas are those of the data sheets in floating point (appendix 8.1 of BST-BME280-DS002).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence


def standby(code: int, humid: bool) -> float:
    """Return the pause (s) between measurements in normal mode."""
    last = (0.01, 0.02) if humid else (2.0, 4.0)
    return (0.0005, 0.0625, 0.125, 0.25, 0.5, 1.0, *last)[code]


def duration(samples: Sequence[int], *, worst: bool) -> float:
    """Return how long (s) a measurement takes, typically or at worst; temperature comes first."""
    start, each, more = (1.25e-3, 2.3e-3, 0.575e-3) if worst else (1.0e-3, 2.0e-3, 0.5e-3)
    return start + each * sum(samples) + more * sum(1 for number in samples[1:] if number)


def compensate_temperature(raw: int, t: Sequence[int]) -> float:
    """Return the chip's fine temperature, 5120 to the °C, from its calibration T1..T3."""
    first = (raw / 16384.0 - t[0] / 1024.0) * t[1]
    return first + (raw / 131072.0 - t[0] / 8192.0) ** 2 * t[2]


def compensate_pressure(raw: int, fine: float, p: Sequence[int]) -> float:
    """Return the pressure (Pa) from the fine temperature and the calibration P1..P9."""
    var1 = fine / 2.0 - 64000.0
    var2 = (var1 * var1 * p[5] / 32768.0 + var1 * p[4] * 2.0) / 4.0 + p[3] * 65536.0
    var1 = (p[2] * var1 * var1 / 524288.0 + p[1] * var1) / 524288.0
    var1 = (1.0 + var1 / 32768.0) * p[0]
    if var1 == 0.0:
        return math.nan
    found = (1048576.0 - raw - var2 / 4096.0) * 6250.0 / var1
    return found + (p[8] * found * found / 2147483648.0 + found * p[7] / 32768.0 + p[6]) / 16.0


def compensate_humidity(raw: int, fine: float, h: Sequence[int]) -> float:
    """Return the relative humidity, 0 to 1, from the fine temperature and H1..H6."""
    var = fine - 76800.0
    slope = 1.0 + h[2] / 67108864.0 * var
    slope = h[1] / 65536.0 * (1.0 + h[5] / 67108864.0 * var * slope)
    found = (raw - (h[3] * 64.0 + h[4] / 16384.0 * var)) * slope
    found *= 1.0 - h[0] * found / 524288.0
    return min(max(found / 100.0, 0.0), 1.0)


def solve(measure: Callable[[int], float], wanted: float, bits: int) -> int:
    """Return the converter's value for a quantity that rises with it."""
    low, high = 0, (1 << bits) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if measure(middle) >= wanted else (middle + 1, high)
    return low
