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


class _Cells:
    """A twin's memory as its own map sees it: no bus, no side effects."""

    def __init__(self) -> None:
        self.bytes = bytearray(SPACE)

    def read(self, address: int, count: int) -> bytes:
        return bytes(self.bytes[address : address + count])

    def write(self, address: int, data: bytes) -> None:
        self.bytes[address : address + len(data)] = data


class RegisterSim(Sim[ConfigT, RegistersT]):
    """A chip made of registers, with the driver's own map as its memory.

    As in the chips themselves: the first byte written sets the register pointer, the pointer
    stays across a STOP and moves on with every byte read or written; a zero-length write leaves it.
    """

    map_type: ClassVar[type[RegisterMap]]

    def __init__(self, config: ConfigT, options: SimConfig | None = None) -> None:
        self._cells = _Cells()
        self.map: RegistersT = self.map_type(self._cells)  # type: ignore[assignment]
        self.pointer = 0
        super().__init__(config, options)

    def power_on(self) -> None:
        """Put every register to its reset value."""
        self._cells.bytes[:] = self.map_type.image()
        self.pointer = 0

    def on_write(self, address: int, value: int) -> None:
        """Store one byte from the bus; override for registers that do something."""
        self._cells.bytes[address] = value

    def on_read(self, address: int) -> int:
        """Return one byte to the bus; override for registers that reading changes."""
        return self._cells.bytes[address]

    def transfer(self, write: bytes, read: int) -> bytes:
        """Do one transaction, as the chip would."""
        if write:
            self.pointer = write[0]
        for value in write[1:]:
            self.on_write(self.pointer, value)
            self.pointer = (self.pointer + 1) % SPACE
        answer = bytearray()
        for _ in range(read):
            answer.append(self.on_read(self.pointer))
            self.pointer = (self.pointer + 1) % SPACE
        return bytes(answer)


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
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()

    def attach(self, twin: RegisterSim[Any, Any]) -> None:
        """Connect a twin at the address its configuration gives."""
        if twin.station in self.twins:
            raise ValueError(f"{self.name}: two devices at address 0x{twin.station:02X}")
        self.twins[twin.station] = twin

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        """Do one transaction with the twin at an address, faults included."""
        with self._lock:
            twin = self.twins.get(address)
            if twin is None or twin.faults.unplugged or twin.chance(twin.faults.nak):
                raise no_acknowledge(address, self.name)
            if twin.faults.slow:
                self._sleep(twin.faults.slow)
            twin.advance(self._clock())
            if twin.faults.silent or (read and twin.chance(twin.faults.drop)):
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
