"""Maps of Modbus registers: typed access for the driver, the tables of its twin."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, overload

from horus.hal.maps import DeviceMap
from horus.hal.modbus import MOST_READ, Table

#: Register addresses are two bytes.
SPACE = 65_536


class Registers(Protocol):
    """What a map reads and writes: a unit on a line, or a twin's tables."""

    def read(self, table: Table, address: int, count: int) -> tuple[int, ...]:
        """Return consecutive registers."""

    def write(
        self, table: Table, address: int, values: Sequence[int], *, single: bool = False
    ) -> None:
        """Write consecutive registers."""


class _Field:
    """A place in a table; reading it reads the unit, assigning to it writes the unit.

    ``format`` is in `struct` notation without a byte order: registers are big-endian. A number of
    four bytes has its high word first, unless ``low_first``.
    """

    name = "?"
    table: Table = "holding"

    def __init__(
        self,
        address: int,
        format: str = "H",
        *,
        reset: int | float = 0,
        single: bool = True,
        low_first: bool = False,
    ) -> None:
        if format[:1] in "<>=!@":
            raise ValueError(f"register {address}: {format!r}: registers are big-endian anyway")
        self.struct = struct.Struct(">" + format)
        self.address = address
        self.count = self.struct.size // 2
        self.reset = reset
        self.single = single and self.count == 1
        self.low_first = low_first
        if self.struct.size % 2 or not self.count or address < 0 or address + self.count > SPACE:
            raise ValueError(f"register {address}: {format!r} is not whole registers of a table")
        if self.count > MOST_READ:
            raise ValueError(f"register {address}: {format!r} is more than {MOST_READ} registers")
        if low_first and (self.count != 2 or len(self.struct.unpack(bytes(4))) != 1):
            raise ValueError(f"register {address}: low_first is for one number of four bytes")

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @property
    def width(self) -> int:
        """How many numbers it holds."""
        return len(self.struct.unpack(bytes(self.struct.size)))

    def take(self, registers: Sequence[int]) -> tuple[Any, ...]:
        """Return registers as numbers."""
        words = reversed(registers) if self.low_first else registers
        return self.struct.unpack(b"".join(word.to_bytes(2, "big") for word in words))

    def pack(self, *values: float) -> tuple[int, ...]:
        """Return numbers as registers; one that does not fit is a `ValueError`."""
        try:
            data = self.struct.pack(*values)
        except (struct.error, OverflowError) as error:
            raise ValueError(f"register {self.name}: {values}: {error}") from None
        words = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
        return tuple(reversed(words)) if self.low_first else tuple(words)

    def fetch(self, map: ModbusMap) -> tuple[Any, ...]:
        """Read its numbers."""
        return self.take(map.memory.read(self.table, self.address, self.count))

    def put(self, map: ModbusMap, *values: float) -> None:
        """Write its numbers."""
        words = self.pack(*values)
        map.memory.write(self.table, self.address, words, single=self.single)


class Holding(_Field):
    """One number in holding registers: ``Holding(5, "h", reset=100)``.

    A single register is written by function 6, or with ``single=False`` by 16.
    """

    def __init__(self, address: int, format: str = "H", **options: Any) -> None:
        super().__init__(address, format, **options)
        if self.width != 1:
            raise ValueError(f"register {address}: {format!r} is several numbers: use a block")

    @overload
    def __get__(self, map: None, owner: type) -> Holding: ...
    @overload
    def __get__(self, map: ModbusMap, owner: type) -> Any: ...
    def __get__(self, map: ModbusMap | None, owner: type) -> Any:
        return self if map is None else self.fetch(map)[0]

    def __set__(self, map: ModbusMap, value: float) -> None:
        self.put(map, value)


class Input(Holding):
    """One number in input registers; a driver cannot assign to it, its twin can."""

    table = "input"


class HoldingBlock(_Field):
    """Several numbers in consecutive holding registers, read or written in one request."""

    @overload
    def __get__(self, map: None, owner: type) -> HoldingBlock: ...
    @overload
    def __get__(self, map: ModbusMap, owner: type) -> tuple[Any, ...]: ...
    def __get__(self, map: ModbusMap | None, owner: type) -> Any:
        return self if map is None else self.fetch(map)

    def __set__(self, map: ModbusMap, values: tuple[float, ...]) -> None:
        self.put(map, *values)


class InputBlock(HoldingBlock):
    """Several numbers in consecutive input registers."""

    table = "input"


class ModbusMap(DeviceMap):
    """The registers of a unit, declared as class attributes.

    Every attribute access is a request in a driver and a memory access in a twin.
    """

    bus_kind: ClassVar[str] = "modbus"
    station_option: ClassVar[str] = "unit"
    fields: ClassVar[dict[str, _Field]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = {name: value for name, value in vars(cls).items() if isinstance(value, _Field)}
        cls.fields = {**cls.fields, **own}

    def __init__(self, memory: Registers) -> None:
        self.memory = memory

    @classmethod
    def image(cls) -> dict[Table, dict[int, int]]:
        """Return the registers of a unit just switched on; what is not there does not exist."""
        tables: dict[Table, dict[int, int]] = {"holding": {}, "input": {}}
        fields = sorted(cls.fields.values(), key=lambda field: -field.width)
        for field in fields:  # single numbers last: their reset values count
            words = field.pack(*[field.reset] * field.width)
            tables[field.table].update(enumerate(words, field.address))
        return tables
