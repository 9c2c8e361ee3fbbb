"""A simulated I2C bus in this process, and twins made of registers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from horus.hal.config import DriverConfig, SimConfig
from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.i2c import I2cBus
from horus.hal.link import Clock
from horus.hal.registers import SPACE, RegisterMap
from horus.hal.sim import Sim

ConfigT = TypeVar("ConfigT", bound=DriverConfig)
RegistersT = TypeVar("RegistersT", bound=RegisterMap)

#: Longest time (s) that a device may hold the clock line until the adapter gives up, as a real one
#: does: without it one slow device would keep the bus, and the process of its twins, for itself.
PATIENCE = 0.05


class _Cells:
    """A twin's memory as its own map sees it: all banks, no bus, no side effects."""

    def __init__(self, map_type: type[RegisterMap]) -> None:
        self.width = map_type.width
        self.bytes = map_type.image()

    def read(self, address: int, count: int) -> bytes:
        start = address * self.width
        return bytes(self.bytes[start : start + count])

    def write(self, address: int, data: bytes) -> None:
        start = address * self.width
        self.bytes[start : start + len(data)] = data


class RegisterSim(Sim[ConfigT, RegistersT]):
    """A chip made of registers, with the driver's own map as its memory.

    As in the chips themselves: the first byte written sets the register pointer, the pointer
    stays across a STOP and moves on with every byte read or written; a zero-length write leaves it.
    With registers wider than a byte it stays where it is, and values are whole registers.
    """

    map_type: ClassVar[type[RegisterMap]]

    def __init__(self, config: ConfigT, options: SimConfig | None = None) -> None:
        self._cells = _Cells(self.map_type)
        self.map: RegistersT = self.map_type(self._cells)  # type: ignore[assignment]
        self.map.memory = self._cells  # a twin sees all its banks at once
        self.pointer = 0
        #: Until this time (s) it acknowledges nothing; for chips that take long to start.
        self.deaf_until = 0.0
        super().__init__(config, options)

    def power_on(self) -> None:
        """Put every register to its reset value."""
        self._cells.bytes[:] = self.map_type.image()
        self.pointer = 0

    def on_write(self, address: int, value: int) -> None:
        """Store one register from the bus; override for registers that do something.

        As in the map, addresses count on through the banks.
        """
        self._cells.write(address, value.to_bytes(self.map_type.width, "big"))

    def on_read(self, address: int) -> int:
        """Return one register to the bus; override for registers that reading changes."""
        return int.from_bytes(self._cells.read(address, self.map_type.width), "big")

    def following(self, pointer: int) -> int:
        """Return where the pointer goes after an access; override where it does not move on."""
        return pointer if self.map_type.width > 1 else (pointer + 1) % SPACE

    def transfer(self, write: bytes, read: int) -> bytes:
        """Do one transaction, as the chip would; of half a register written nothing is kept."""
        width = self.map_type.width
        if write:
            self.pointer = write[0]
        for start in range(1, len(write) - width + 1, width):
            self.on_write(self._address(), int.from_bytes(write[start : start + width], "big"))
            self.pointer = self.following(self.pointer)
        answer = bytearray()
        while len(answer) < read:
            answer += self.on_read(self._address()).to_bytes(width, "big")
            self.pointer = self.following(self.pointer)
        return bytes(answer[:read])

    def _address(self) -> int:
        """Return what the pointer points at: in the selected bank, unless it is the selector."""
        selector = self.map_type.selector
        if selector is None or self.pointer == selector.address:
            return self.pointer
        bank = (self._cells.bytes[selector.address] & selector.mask) >> selector.low
        return bank * SPACE + self.pointer


class SimI2cBus(I2cBus):
    """An I2C bus with twins on it instead of chips."""

    def __init__(
        self,
        name: str = "i2c",
        clock: Clock = time.monotonic_ns,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.name = name
        self.twins: dict[int, RegisterSim[Any, Any]] = {}
        #: For each multiplexer, what returns the twins that hear an address through it.
        self.branches: list[Callable[[int], list[RegisterSim[Any, Any]]]] = []
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()

    def attach(self, twin: RegisterSim[Any, Any]) -> None:
        """Connect a twin at the address its configuration gives."""
        if twin.station in self.twins:
            raise ValueError(f"{self.name}: two devices at address 0x{twin.station:02X}")
        self.twins[twin.station] = twin

    def at(self, address: int) -> list[RegisterSim[Any, Any]]:
        """Return the twins that hear an address; behind multiplexers there may be several."""
        own = self.twins.get(address)
        found = [] if own is None else [own]
        for branch in self.branches:
            found += branch(address)
        return found

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        """Do one transaction with the twin at an address, faults included."""
        with self._lock:
            answers = [self._ask(twin, address, write, read) for twin in self.at(address)]
            heard = [answer for answer in answers if answer is not None]
            if not heard:
                raise no_acknowledge(address, self.name)
            together = heard[0]
            for other in heard[1:]:  # on open-drain wires a 0 wins
                together = bytes(a & b for a, b in zip(together, other, strict=True))
            return together

    def _ask(
        self, twin: RegisterSim[Any, Any], address: int, write: bytes, read: int
    ) -> bytes | None:
        """Return a twin's answer, None if it does not acknowledge."""
        if twin.faults.unplugged or twin.chance(twin.faults.nak):
            return None
        if twin.faults.slow:
            self._sleep(min(twin.faults.slow, PATIENCE))
        twin.advance(self._clock())
        if twin.time < twin.deaf_until:
            return None
        late = twin.faults.slow > PATIENCE
        if twin.faults.silent or late or (read and twin.chance(twin.faults.drop)):
            raise DeviceFault(
                FaultKind.TIMEOUT,
                f"address 0x{address:02X} holds the clock line low",
                bus=self.name,
                cure="power-cycle the device",
            )
        data = bytearray(twin.transfer(write, read))
        if data and twin.chance(twin.faults.corrupt):
            data[twin.random.randrange(len(data))] ^= 1 << twin.random.randrange(8)
        return bytes(data)

    def close(self) -> None:
        """Leave the twins as they are."""


def no_acknowledge(address: int, bus: str) -> DeviceFault:
    """Return the fault of an address at which nobody answers."""
    return DeviceFault(
        FaultKind.NO_ACK,
        f"nothing answers at address 0x{address:02X}",
        bus=bus,
        cure="check its power, its wiring, its address pin and the pull-ups",
    )
