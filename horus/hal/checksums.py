"""Checksums of serial protocols, by the names of the CRC catalogue (reveng.sourceforge.io)."""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Callable
from functools import lru_cache


def xor8(data: bytes) -> int:
    """Return all bytes combined by exclusive or (NMEA 0183, RPLidar)."""
    value = 0
    for byte in data:
        value ^= byte
    return value


def sum8(data: bytes) -> int:
    """Return the low byte of the sum (TFmini)."""
    return sum(data) & 0xFF


def inverted_sum8(data: bytes) -> int:
    """Return the inverted low byte of the sum (Dynamixel 1.0, Feetech)."""
    return ~sum(data) & 0xFF


def fletcher8(data: bytes) -> int:
    """Return CK_A in the low and CK_B in the high byte (UBX; RFC 1145)."""
    low = high = 0
    for byte in data:
        low = low + byte & 0xFF
        high = high + low & 0xFF
    return high << 8 | low


def crc16_xmodem(data: bytes) -> int:
    """Return CRC-16/XMODEM: polynomial 0x1021, start 0 (VESC, RoboClaw)."""
    return crc_hqx(data, 0)


def crc16_umts(data: bytes) -> int:
    """Return CRC-16/UMTS: polynomial 0x8005, start 0, not reflected (Dynamixel 2.0)."""
    table = _table(0x8005, 16)
    value = 0
    for byte in data:
        value = (value << 8 & 0xFFFF) ^ table[value >> 8 ^ byte]
    return value


def crc16_modbus(data: bytes) -> int:
    """Return CRC-16/MODBUS: polynomial 0x8005 reflected, start 0xFFFF; sent low byte first."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value


def crc8(polynomial: int, start: int = 0) -> Callable[[bytes], int]:
    """Return the function of a CRC-8 that is not reflected, such as 0x4D of the LD06."""
    table = _table(polynomial, 8)

    def check(data: bytes) -> int:
        value = start
        for byte in data:
            value = table[value ^ byte]
        return value

    return check


@lru_cache(maxsize=8)
def _table(polynomial: int, width: int) -> tuple[int, ...]:
    top, mask = 1 << width - 1, (1 << width) - 1
    table = []
    for byte in range(256):
        value = byte << width - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & mask
        table.append(value)
    return tuple(table)
