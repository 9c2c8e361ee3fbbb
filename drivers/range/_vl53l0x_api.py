"""The start-up of a VL53L0X as ST's API does it: its writes, and the timing of its steps.

Source: ST's API STSW-IMG005 1.0.2 (default tuning, SPAD management, reference calibration, timing
budget); no data sheet describes it.
"""

from __future__ import annotations

SHORTEST, LONGEST = 0.02, 0.1  # s: timing budgets used
SHARE = 0.9  # of the time from sample to sample, for the measurement

# Pairs of register and value; FF selects the page, 80 and page 1's 00 and 91 guard ranging.
UNLOCK, LOCK = "8001 FF01 0000", "0001 FF00 8000"
STOP = "FF00 8000 0001"  # ST clears 91 too, and keeps its value; a new start could not
ASK_SPADS = "FF07 8101 8001 946B 8300"
SPAD_WINDOW = "FF01 4F00 4E2C FF00 B6B4"
TUNING = """
    FF01 0000 FF00 0900 1000 1100 2401 25FF 7500 FF01 4E2C 4800 3020 FF00 3009 5400 3104 3203 4083
    4625 6000 2700 5006 5100 5296 5608 5730 6100 6200 6400 6500 66A0 FF01 2232 4714 49FF 4A00 FF00
    7A0A 7B00 7821 FF01 2334 4200 44FF 4526 4605 4040 0E06 201A 4340 FF00 3403 3544 FF01 3104 4B09
    4C05 4D04 FF00 4400 4520 4708 4828 6700 7004 7101 72FE 7600 7700 FF01 0D01 FF00 8001 01F8 FF01
    8E01 0001 FF00 8000
"""
# What TUNING makes of the periods (ns of a macro period) and the time-outs (macro periods).
PRE_PERIOD, FINAL_PERIOD = 53_384, 38_131  # of 14 and 10 pulse clocks
MSRC_TIMEOUT, PRE_TIMEOUT = 38, 151
MSRC_US = (MSRC_TIMEOUT * PRE_PERIOD + PRE_PERIOD // 2) // 1000
PRE_US = (PRE_TIMEOUT * PRE_PERIOD + PRE_PERIOD // 2) // 1000
#: µs of a measurement without its final range: start, end, DSS twice, pre-range, and overheads.
OVERHEAD = 1320 + 960 + 2 * (MSRC_US + 690) + (PRE_US + 660) + 550


def budget(rate: float) -> float:
    """Return the time (s) for one measurement at a rate (Hz): the more, the less noise."""
    return min(max(SHARE / rate, SHORTEST), LONGEST)


def final_timeout(seconds: float) -> int:
    """Return the time-out of the final range, encoded, that fills a timing budget (s)."""
    final = (round(seconds * 1e6) - OVERHEAD) * 1000 + FINAL_PERIOD // 2
    return encode_timeout(final // FINAL_PERIOD + PRE_TIMEOUT)


def encode_timeout(periods: int) -> int:
    """Return a time-out as the chip keeps it: (low byte << high byte) + 1 macro periods."""
    value, shift = periods - 1, 0
    while value > 255:
        value, shift = value >> 1, shift + 1
    return shift << 8 | value


def decode_timeout(word: int) -> int:
    """Return a time-out in macro periods."""
    return ((word & 0xFF) << (word >> 8)) + 1
