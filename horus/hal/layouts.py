"""How values lie in a frame: what can stand for a ``struct`` format in a frame map."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any, Literal, Protocol


class Layout(Protocol):
    """Turns values into bytes and back; a ``struct.Struct`` is one."""

    @property
    def size(self) -> int:
        """Fewest bytes that can be unpacked."""

    def pack(self, *values: Any) -> bytes:
        """Return the bytes; values that do not fit are a ``struct.error`` or a `ValueError`."""

    def unpack_from(self, buffer: bytes) -> tuple[Any, ...]:
        """Return the values at the start of the bytes."""


def layout_of(format: str | Layout) -> Layout:
    """Return a layout: a format such as ``"<ff"`` becomes a ``struct.Struct``."""
    return struct.Struct(format or "<") if isinstance(format, str) else format


class Constant:
    """A frame that is always the same and carries no value: ``Constant("FFFFFFFFFFFFFFFC")``."""

    def __init__(self, hex: str) -> None:
        self.data = bytes.fromhex(hex)
        self.size = len(self.data)

    def pack(self, *values: Any) -> bytes:
        """Return the bytes; there are no values."""
        if values:
            raise ValueError(f"takes no values, not {len(values)}")
        return self.data

    def unpack_from(self, buffer: bytes) -> tuple[Any, ...]:
        """Return no values."""
        return ()

    def matches(self, data: bytes) -> bool:
        """Return whether this is the frame."""
        return data[: self.size] == self.data


class BitFields:
    """Numbers packed without regard to bytes: ``BitFields("u16 u12 u12 u12 u12")``.

    ``u`` is unsigned, ``s`` signed (two's complement). The first field has the highest bits of a
    big-endian frame; with ``little`` it has the lowest bits of a little-endian one.
    """

    def __init__(self, fields: str, *, little: bool = False) -> None:
        self._order: Literal["little", "big"] = "little" if little else "big"
        self.fields: list[tuple[bool, int, int]] = []  # signed, width, place of the lowest bit
        place = 0
        for word in fields.split():
            found = re.fullmatch(r"([us])(\d+)", word)
            if found is None:
                raise ValueError(f"{word!r} is no bit field: write u12 or s12")
            self.fields.append((found[1] == "s", int(found[2]), place))
            place += int(found[2])
        self.size = (place + 7) // 8
        if not little:
            self.fields = [(s, width, self.size * 8 - at - width) for s, width, at in self.fields]

    def pack(self, *values: int) -> bytes:
        """Return the bytes of whole numbers, each within its field; spare bits are 0."""
        if len(values) != len(self.fields):
            raise ValueError(f"takes {len(self.fields)} values, not {len(values)}")
        number = 0
        for value, (signed, width, place) in zip(values, self.fields, strict=True):
            low = -(1 << width - 1) if signed else 0
            if not low <= value < low + (1 << width):
                raise ValueError(f"{value} does not fit in {width} bits")
            number |= (value & (1 << width) - 1) << place
        return number.to_bytes(self.size, self._order)

    def unpack_from(self, buffer: bytes) -> tuple[int, ...]:
        """Return the whole numbers."""
        number = int.from_bytes(buffer[: self.size], self._order)
        values = []
        for signed, width, place in self.fields:
            value = number >> place & (1 << width) - 1
            values.append(value - (1 << width) if signed and value >> width - 1 else value)
        return tuple(values)


class Scaled:
    """Whole numbers that stand for quantities: ``Scaled(">ihh", 1, 0.1, 0.001)``.

    After the ``struct`` format, the value of one count of each number, in its unit.
    """

    def __init__(self, format: str, *units: float) -> None:
        self.struct = struct.Struct(format)
        self.size = self.struct.size
        self.units = units
        if len(self.struct.unpack(bytes(self.size))) != len(units):
            raise ValueError(f"{format!r} needs one unit for each of its numbers")

    def pack(self, *values: float) -> bytes:
        """Return the bytes of the nearest counts."""
        if len(values) != len(self.units):
            raise ValueError(f"takes {len(self.units)} values, not {len(values)}")
        pairs = zip(values, self.units, strict=True)
        return self.struct.pack(*(round(value / unit) for value, unit in pairs))

    def unpack_from(self, buffer: bytes) -> tuple[float, ...]:
        """Return the quantities."""
        pairs = zip(self.struct.unpack_from(buffer), self.units, strict=True)
        return tuple(count * unit for count, unit in pairs)


@dataclass(frozen=True)
class Span:
    """A range of a quantity spread over all counts of a field: ``Span(-12.5, 12.5, 16)``."""

    low: float
    high: float
    bits: int

    @property
    def most(self) -> int:
        """The highest count."""
        return (1 << self.bits) - 1

    @property
    def resolution(self) -> float:
        """The quantity of one count."""
        return (self.high - self.low) / self.most

    def count(self, value: float) -> int:
        """Return the count at or just below a quantity; one outside of the range is refused."""
        if not self.low <= value <= self.high:
            raise ValueError(f"{value:.6g} is not within {self.low:g} to {self.high:g}")
        return min(self.most, int((value - self.low) / (self.high - self.low) * self.most))

    def value(self, count: int) -> float:
        """Return the quantity of a count."""
        return self.low + count * self.resolution

    def inside(self, value: float) -> float:
        """Return the quantity, or the nearest end of the range."""
        return min(max(value, self.low), self.high)
