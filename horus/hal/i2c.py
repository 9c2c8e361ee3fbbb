"""The I2C contract, for those who write a bus and those who use one."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.link import Clock, Link


class I2cBus(ABC):
    """One I2C bus, open.

    For bus authors: implement `transfer`, map every error of the library to a `DeviceFault`, and
    close in `close`; nothing else. For driver authors: use a `RegisterMap` rather than this.
    """

    kind = "i2c"
    name = "i2c"

    @abstractmethod
    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        """Write bytes, then read ``read`` bytes, as one transaction with one STOP.

        Both parts may be empty: a zero-length write only asks for an acknowledge. With both parts
        a repeated start stands between them. An absent address is a `DeviceFault` (no acknowledge).
        """

    @abstractmethod
    def close(self) -> None:
        """Release the bus; closing twice is harmless."""


class I2cLink(Link):
    """A device on an I2C bus: the memory behind a `RegisterMap`."""

    #: Attempts for one transaction; only a missing acknowledge is worth another.
    ATTEMPTS = 2

    def __init__(
        self, bus: I2cBus, address: int, device: str = "", clock: Clock = time.monotonic_ns
    ) -> None:
        super().__init__(device, bus.name, address, clock)
        self.bus = bus

    def transfer(self, write: bytes, read: int = 0) -> bytes:
        """Do one transaction with this device, stamped at its start."""
        for attempt in range(1, self.ATTEMPTS + 1):
            stamp = self.clock()
            try:
                data = self.bus.transfer(self.station, write, read)
                if len(data) != read:
                    raise DeviceFault(
                        FaultKind.CORRUPT, f"{len(data)} bytes arrived where {read} were asked for"
                    )
            except DeviceFault as fault:
                self.errors += 1
                if fault.kind is not FaultKind.NO_ACK or attempt == self.ATTEMPTS:
                    raise fault.at(self.device, self.bus_name) from None
                continue
            self.stamp_ns = stamp
            self.bytes += len(write) + read
            return data
        raise AssertionError("unreachable")

    def read(self, address: int, count: int) -> bytes:
        """Read consecutive registers in one burst."""
        return self.transfer(bytes((address,)), count)

    def write(self, address: int, data: bytes) -> None:
        """Write consecutive registers."""
        self.transfer(bytes((address,)) + data)
