"""The Modbus contract: registers of 16 bits in units on one line, and a unit's end of it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

from horus.hal.faults import TRANSIENT, DeviceFault, FaultKind
from horus.hal.link import Clock, Link

T = TypeVar("T")

#: The two tables of registers: what can be read and written, and what is only read.
Table = Literal["holding", "input"]

#: Most registers in one request (Modbus application protocol V1.1b3, 6.3 and 6.12).
MOST_READ, MOST_WRITTEN = 125, 123

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE = 1, 2, 3, 4
#: What the codes of an exception response mean (ibid., 7), and of which kind they are.
EXCEPTIONS = {
    ILLEGAL_FUNCTION: (FaultKind.REJECTED, "it does not know this function"),
    ILLEGAL_ADDRESS: (FaultKind.REJECTED, "it has no such register"),
    ILLEGAL_VALUE: (FaultKind.REJECTED, "it does not take this value or count"),
    DEVICE_FAILURE: (FaultKind.OTHER, "it failed"),
    5: (FaultKind.BUSY, "it needs longer for this"),
    6: (FaultKind.BUSY, "it is busy"),
    8: (FaultKind.CORRUPT, "its memory is damaged"),
    10: (FaultKind.NO_ACK, "the gateway has no path to it"),
    11: (FaultKind.NO_ACK, "it does not answer the gateway"),
}


class ModbusBus(ABC):
    """One Modbus line, open.

    For bus authors: map every error of the library to a `DeviceFault`, an exception response to
    `refusal`; one attempt a call. For driver authors: use a `ModbusMap` rather than this.
    """

    kind = "modbus"
    name = "modbus"

    @abstractmethod
    def read(self, unit: int, table: Table, address: int, count: int) -> tuple[int, ...]:
        """Return consecutive registers, each from 0 to 65535."""

    @abstractmethod
    def write(
        self, unit: int, address: int, values: Sequence[int], *, single: bool = False
    ) -> None:
        """Write consecutive holding registers; with ``single`` one, by the function for one."""

    @abstractmethod
    def close(self) -> None:
        """Release the line; closing twice is harmless."""


def refusal(unit: int, what: str, code: int, bus: str = "") -> DeviceFault:
    """Return the fault of a unit that answers with an exception."""
    kind, text = EXCEPTIONS.get(code, (FaultKind.OTHER, "it refuses"))
    return DeviceFault(kind, f"unit {unit}, {what}: {text} (exception {code})", bus=bus)


def no_answer(unit: int, bus: str, *, damaged: bool = False) -> DeviceFault:
    """Return the fault of a unit of which nothing, or only damaged bytes, came back."""
    kind = FaultKind.CORRUPT if damaged else FaultKind.TIMEOUT
    text = f"only damaged bytes from unit {unit}" if damaged else f"no answer from unit {unit}"
    cure = "check its power, its unit number, baud rate, parity, A and B, and the terminators"
    return DeviceFault(kind, text, bus=bus, cure=cure)


class ModbusLink(Link):
    """A unit on a Modbus line: the registers behind a `ModbusMap`."""

    #: Attempts for one request.
    ATTEMPTS = 3

    def __init__(
        self, bus: ModbusBus, unit: int, device: str = "", clock: Clock = time.monotonic_ns
    ) -> None:
        super().__init__(device, bus.name, unit, clock)
        self.bus = bus

    def read(self, table: Table, address: int, count: int) -> tuple[int, ...]:
        """Read consecutive registers in one request, stamped at its start."""
        values = self._attempt(lambda: self.bus.read(self.station, table, address, count))
        if len(values) != count:
            text = f"{len(values)} registers arrived where {count} were asked for"
            raise DeviceFault(FaultKind.CORRUPT, text, device=self.device, bus=self.bus_name)
        self.bytes += 2 * count
        return values

    def write(
        self, table: Table, address: int, values: Sequence[int], *, single: bool = False
    ) -> None:
        """Write consecutive holding registers in one request."""
        if table != "holding":
            raise AttributeError(f"input register {address} can only be read")
        self._attempt(lambda: self.bus.write(self.station, address, values, single=single))
        self.bytes += 2 * len(values)

    def _attempt(self, request: Callable[[], T]) -> T:
        for attempt in range(1, self.ATTEMPTS + 1):
            stamp = self.clock()
            try:
                answer = request()
            except DeviceFault as fault:
                self.errors += 1
                if fault.kind not in TRANSIENT or attempt == self.ATTEMPTS:
                    raise fault.at(self.device, self.bus_name) from None
                continue
            self.stamp_ns = stamp
            return answer
        raise AssertionError("unreachable")
