"""Register maps: one description gives the driver typed access and the twin its memory."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol, cast, overload

from horus.hal.faults import DeviceFault, FaultKind
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
    """A place in the map; reading it reads the chip, assigning to it writes the chip.

    Addresses count on through the banks of a chip that has some: 0x201 is 0x01 of bank 2.
    """

    name = "?"

    def __init__(self, address: int, format: str, bank: int) -> None:
        self.struct = struct.Struct(format)
        self.size = self.struct.size
        self.address = bank * SPACE + address
        if not 0 <= address < SPACE:
            raise ValueError(f"register 0x{address:02X} does not fit in {SPACE} addresses")

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def image(self, memory: bytearray, offset: int) -> None:
        """Put the reset value into a memory image."""


class Register(_Field):
    """One number of one or more bytes in `struct` notation: ``Register(0x75, "B", reset=0x68)``."""

    def __init__(self, address: int, format: str = "B", *, reset: int = 0, bank: int = 0) -> None:
        super().__init__(address, format, bank)
        self.reset = reset
        if len(self.struct.unpack(bytes(self.size))) != 1:
            raise ValueError(f"a register holds one number: use Burst(0x{address:02X}, {format!r})")
        self.struct.pack(reset)

    def image(self, memory: bytearray, offset: int) -> None:
        """Put the reset value into a memory image."""
        self.struct.pack_into(memory, offset, self.reset)

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

    def __init__(self, address: int, format: str, *, bank: int = 0) -> None:
        super().__init__(address, format, bank)

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
    """Some bits of a register; assigning reads it, changes these bits and writes it back.

    Of one byte, or of a longer register: ``Bits(0x01, low=9, width=3, format=">H")``. Without a
    ``reset`` they come up as the register that they are part of.
    """

    def __init__(
        self,
        address: int,
        low: int,
        width: int = 1,
        *,
        reset: int | None = None,
        format: str = "B",
        bank: int = 0,
    ) -> None:
        super().__init__(address, format, bank)
        highest = self.size * 8 - 1
        if low < 0 or width < 1 or low + width > highest + 1:
            what = "a byte" if self.size == 1 else f"{format!r}"
            raise ValueError(
                f"bits {low}..{low + width - 1} of 0x{address:02X}: {what} has 0..{highest}"
            )
        self.low = low
        self.highest = (1 << width) - 1
        self.mask = self.highest << low
        self.reset = reset

    def image(self, memory: bytearray, offset: int) -> None:
        """Put the reset value into a memory image."""
        if self.reset is not None:
            whole: int = self.struct.unpack_from(memory, offset)[0]
            self.struct.pack_into(memory, offset, whole & ~self.mask | self.reset << self.low)

    @overload
    def __get__(self, map: None, owner: type) -> Bits: ...
    @overload
    def __get__(self, map: RegisterMap, owner: type) -> int: ...
    def __get__(self, map: RegisterMap | None, owner: type) -> Bits | int:
        if map is None:
            return self
        return (self._whole(map) & self.mask) >> self.low

    def __set__(self, map: RegisterMap, value: int) -> None:
        if not 0 <= value <= self.highest:
            raise ValueError(f"bits {self.name}: {value!r} is not in 0..{self.highest}")
        whole = self._whole(map) & ~self.mask | value << self.low
        map.memory.write(self.address, self.struct.pack(whole))

    def _whole(self, map: RegisterMap) -> int:
        whole: int = self.struct.unpack(map.memory.read(self.address, self.size))[0]
        return whole


class BankSelect(Bits):
    """The bits that say which bank of registers the chip shows; they are there in every bank.

    A map that has them selects by itself what a field declared with ``bank=`` needs.
    """


class RegisterMap(DeviceMap):
    """The registers of a chip, declared as class attributes, over the memory they are in.

    Every attribute access is a bus transaction in a driver and a memory access in a twin.
    """

    bus_kind: ClassVar[str] = "i2c"
    #: I2C itself has no checksum; a chip that sends one sets this, and its driver checks it.
    checked: ClassVar[bool] = False
    station_option: ClassVar[str] = "address"
    #: Bytes behind each address; with more than one, a burst does not go on to the next address.
    width: ClassVar[int] = 1
    #: How the chip is told which bank to show; None for a chip with one.
    selector: ClassVar[BankSelect | None] = None
    fields: ClassVar[dict[str, _Field]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = {name: value for name, value in vars(cls).items() if isinstance(value, _Field)}
        cls.fields = {**cls.fields, **own}
        for field in cls.fields.values():
            if isinstance(field, BankSelect):
                cls.selector = field
        banks = cls.selector.highest + 1 if cls.selector else 1
        for field in cls.fields.values():
            bank, address = divmod(field.address, SPACE)
            room = cls.width if cls.width > 1 else SPACE - address
            if field.size > room:
                where = f"the {room} bytes of a register" if cls.width > 1 else f"{SPACE} addresses"
                raise ValueError(f"register 0x{address:02X} ({field.name}) does not fit in {where}")
            if bank >= banks:
                raise ValueError(f"{field.name} is in bank {bank}, but there are {banks} (0..)")

    def __init__(self, memory: Memory) -> None:
        selector = type(self).selector  # by way of the instance it would be read from the chip
        self.memory = memory if selector is None else _Banked(memory, selector)

    def transfer(self, write: bytes, read: int = 0) -> bytes:
        """Do one transaction as it is, with a chip that takes commands and has no registers."""
        answer: bytes = cast(Any, self.memory).transfer(write, read)
        return answer

    @classmethod
    def image(cls) -> bytearray:
        """Return the memory of a chip just switched on, bank after bank."""
        banks = cls.selector.highest + 1 if cls.selector else 1
        memory = bytearray(banks * SPACE * cls.width)
        for field in cls.fields.values():
            field.image(memory, field.address * cls.width)
        return memory


class WordRegisterMap(RegisterMap):
    """A chip whose registers are words of 16 bits, as most of TI's: the pointer counts words.

    Every field is one word, big-endian: ``Register(0x00, ">H", reset=0x399F)``.
    """

    width: ClassVar[int] = 2


class _Banked:
    """Selects the bank before each access, when it is not selected already."""

    def __init__(self, memory: Memory, selector: Bits) -> None:
        self.memory = memory
        self.selector = selector
        self.bank: int | None = None  # not known

    def read(self, address: int, count: int) -> bytes:
        """Read consecutive registers of one bank."""
        bank, address = divmod(address, SPACE)
        with self._selected(bank, address):
            return self.memory.read(address, count)

    def write(self, address: int, data: bytes) -> None:
        """Write consecutive registers of one bank."""
        bank, address = divmod(address, SPACE)
        with self._selected(bank, address):
            self.memory.write(address, data)
        if address <= self.selector.address < address + len(data):
            self.bank = None

    @contextmanager
    def _selected(self, bank: int, address: int) -> Iterator[None]:
        """Hold a bank selected; after an error, none is taken for selected any more."""
        known, self.bank = self.bank, None
        if address != self.selector.address and known != bank:
            if known is None:
                known = self._found()
            if known != bank:
                self.memory.write(self.selector.address, bytes((bank << self.selector.low,)))
            known = bank
        yield
        self.bank = known

    def _found(self) -> int:
        """Ask which bank is selected; another chip at this address is not written to."""
        found = self.memory.read(self.selector.address, 1)[0]
        if found & ~self.selector.mask:
            raise DeviceFault(
                FaultKind.REJECTED,
                f"register 0x{self.selector.address:02X} reads 0x{found:02X}, which is no bank of "
                "the chip that is expected",
                cure="correct use: or address: in horus.yaml",
            )
        return found >> self.selector.low
