"""Register maps: one description gives the driver typed access and the twin its memory."""

from __future__ import annotations

import struct
from typing import Any, ClassVar, Protocol, overload

from horus.hal.maps import DeviceMap

#: Register addresses are one byte.
SPACE = 256


class Memory(Protocol):
    """What a register map reads and writes: a chip on a bus, or a twin's memory."""

    def read(self, address: int, count: int) -> bytes:
        """Return ``count`` bytes from consecutive addresses."""

    def write(self, address: int, data: bytes) -> None:
        """Write bytes to consecutive addresses."""


class _Field:
    """A place in the map; reading it reads the chip, assigning to it writes the chip."""

    name = "?"

    def __init__(self, address: int, size: int) -> None:
        if address < 0 or address + size > SPACE:
            raise ValueError(f"register 0x{address:02X} does not fit in {SPACE} addresses")
        self.address = address
        self.size = size

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def image(self, memory: bytearray) -> None:
        """Put the reset value into a memory image."""


class Register(_Field):
    """One number of one or more bytes in `struct` notation: ``Register(0x75, "B", reset=0x68)``."""

    def __init__(self, address: int, format: str = "B", *, reset: int = 0) -> None:
        self.struct = struct.Struct(format)
        super().__init__(address, self.struct.size)
        self.reset = reset
        if len(self.struct.unpack(bytes(self.struct.size))) != 1:
            raise ValueError(f"a register holds one number: use Burst(0x{address:02X}, {format!r})")
        self.struct.pack(reset)

    def image(self, memory: bytearray) -> None:
        """Put the reset value into a memory image."""
        self.struct.pack_into(memory, self.address, self.reset)

    @overload
    def __get__(self, map: None, owner: type) -> Register: ...
    @overload
    def __get__(self, map: RegisterMap, owner: type) -> int: ...
    def __get__(self, map: RegisterMap | None, owner: type) -> Register | int:
        if map is None:
            return self
        value: int = self.struct.unpack(map.memory.read(self.address, self.size))[0]
        return value

    def __set__(self, map: RegisterMap, value: int) -> None:
        try:
            data = self.struct.pack(value)
        except struct.error as error:
            raise ValueError(f"register {self.name}: {value!r} does not fit: {error}") from None
        map.memory.write(self.address, data)


class Burst(_Field):
    """Several numbers read or written in one transaction: ``Burst(0x3B, ">3h h 3h")``."""

    def __init__(self, address: int, format: str) -> None:
        self.struct = struct.Struct(format)
        super().__init__(address, self.struct.size)

    @overload
    def __get__(self, map: None, owner: type) -> Burst: ...
    @overload
    def __get__(self, map: RegisterMap, owner: type) -> tuple[int, ...]: ...
    def __get__(self, map: RegisterMap | None, owner: type) -> Burst | tuple[int, ...]:
        if map is None:
            return self
        return self.struct.unpack(map.memory.read(self.address, self.size))

    def __set__(self, map: RegisterMap, values: tuple[int, ...]) -> None:
        try:
            data = self.struct.pack(*values)
        except struct.error as error:
            raise ValueError(f"burst {self.name}: {values!r} does not fit: {error}") from None
        map.memory.write(self.address, data)


class Bits(_Field):
    """Some bits of one byte; assigning reads the byte, changes these bits and writes it back."""

    def __init__(self, address: int, low: int, width: int = 1, *, reset: int = 0) -> None:
        super().__init__(address, 1)
        if low < 0 or width < 1 or low + width > 8:
            raise ValueError(f"bits {low}..{low + width - 1} of 0x{address:02X}: a byte has 0..7")
        self.low = low
        self.highest = (1 << width) - 1
        self.mask = self.highest << low
        self.reset = reset

    def image(self, memory: bytearray) -> None:
        """Put the reset value into a memory image."""
        memory[self.address] = memory[self.address] & ~self.mask | self.reset << self.low

    @overload
    def __get__(self, map: None, owner: type) -> Bits: ...
    @overload
    def __get__(self, map: RegisterMap, owner: type) -> int: ...
    def __get__(self, map: RegisterMap | None, owner: type) -> Bits | int:
        if map is None:
            return self
        return (map.memory.read(self.address, 1)[0] & self.mask) >> self.low

    def __set__(self, map: RegisterMap, value: int) -> None:
        if not 0 <= value <= self.highest:
            raise ValueError(f"bits {self.name}: {value!r} is not in 0..{self.highest}")
        old = map.memory.read(self.address, 1)[0]
        map.memory.write(self.address, bytes((old & ~self.mask | value << self.low,)))


class RegisterMap(DeviceMap):
    """The registers of a chip, declared as class attributes, over the memory they are in.

    Every attribute access is a bus transaction in a driver and a memory access in a twin.
    """

    bus_kind: ClassVar[str] = "i2c"
    station_option: ClassVar[str] = "address"
    fields: ClassVar[dict[str, _Field]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = {name: value for name, value in vars(cls).items() if isinstance(value, _Field)}
        cls.fields = {**cls.fields, **own}

    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    @classmethod
    def image(cls) -> bytearray:
        """Return the memory of a chip just switched on."""
        memory = bytearray(SPACE)
        for field in cls.fields.values():
            field.image(memory)
        return memory
