"""Simulated Modbus units: twins made of registers, and the RTU line they are on."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, TypeVar

from horus.hal.checksums import crc16_modbus
from horus.hal.config import DriverConfig, SimConfig
from horus.hal.faults import DeviceFault
from horus.hal.framing import Checksum, Deframer, Framing
from horus.hal.link import Clock
from horus.hal.modbus import (
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    MOST_READ,
    MOST_WRITTEN,
    ModbusBus,
    Table,
    no_answer,
    refusal,
)
from horus.hal.modbusmap import ModbusMap
from horus.hal.sim import Sim
from horus.hal.simserial import SerialPort

ConfigT = TypeVar("ConfigT", bound=DriverConfig)
MapT = TypeVar("MapT", bound=ModbusMap)

READ_HOLDING, READ_INPUT, WRITE_ONE, WRITE_SEVERAL = 3, 4, 6, 16
_TABLES: dict[int, Table] = {READ_HOLDING: "holding", READ_INPUT: "input"}
CRC = Checksum(crc16_modbus, "<H")


class Refused(Exception):
    """Raised by a twin that answers with an exception: its code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Tables:
    """A twin's registers as its own map sees them: no line, no side effects."""

    def __init__(self) -> None:
        self.words: dict[Table, dict[int, int]] = {"holding": {}, "input": {}}

    def read(self, table: Table, address: int, count: int) -> tuple[int, ...]:
        return tuple(self.words[table][place] for place in range(address, address + count))

    def write(
        self, table: Table, address: int, values: Sequence[int], *, single: bool = False
    ) -> None:
        self.words[table].update(enumerate(values, address))


class ModbusSim(Sim[ConfigT, MapT]):
    """A unit made of registers, with the driver's own map as its tables.

    Only the registers in the map exist. Both ways of writing work.
    """

    map_type: ClassVar[type[ModbusMap]]

    def __init__(self, config: ConfigT, options: SimConfig | None = None) -> None:
        self._tables = _Tables()
        self.map: MapT = self.map_type(self._tables)  # type: ignore[assignment]
        super().__init__(config, options)

    def power_on(self) -> None:
        """Put every register to its reset value."""
        self._tables.words = self.map_type.image()

    def on_write(self, address: int, values: tuple[int, ...]) -> None:
        """Store registers from the line; override for those that do something or refuse."""
        self._tables.write("holding", address, values)

    def request(self, pdu: bytes) -> bytes:
        """Act on a request, without unit and checksum, and return the answer."""
        function = pdu[0]
        try:
            return bytes((function,)) + self._answer(function, pdu[1:])
        except Refused as refused:
            return bytes((function | 0x80, refused.code))

    def _answer(self, function: int, data: bytes) -> bytes:
        if function not in (*_TABLES, WRITE_ONE, WRITE_SEVERAL):
            raise Refused(ILLEGAL_FUNCTION)
        if len(data) < 4:
            raise Refused(ILLEGAL_VALUE)
        address, number = struct.unpack_from(">HH", data)
        if function in _TABLES:
            if not 1 <= number <= MOST_READ:
                raise Refused(ILLEGAL_VALUE)
            self._check(_TABLES[function], address, number)
            words = self._tables.read(_TABLES[function], address, number)
            return struct.pack(f">B{number}H", 2 * number, *words)
        if function == WRITE_ONE:
            self._check("holding", address, 1)
            self.on_write(address, (number,))
            return data[:4]
        if not 1 <= number <= MOST_WRITTEN or data[4:5] != bytes((2 * number,)):
            raise Refused(ILLEGAL_VALUE)
        self._check("holding", address, number)
        self.on_write(address, struct.unpack_from(f">{number}H", data, 5))
        return data[:4]

    def _check(self, table: Table, address: int, count: int) -> None:
        if any(place not in self._tables.words[table] for place in range(address, address + count)):
            raise Refused(ILLEGAL_ADDRESS)


class RtuRequests(Framing):
    """Requests of Modbus RTU: unit, function, data, CRC."""

    def measure(self, data: bytes) -> int:
        """Return the size of the request at the start of the data."""
        if len(data) < 2:
            return 0
        if data[1] == WRITE_SEVERAL:
            return 9 + data[6] if len(data) > 6 else 0
        return 8 if data[1] & 0x7F else -1

    def valid(self, frame: bytes) -> bool:
        """Return whether the CRC is right."""
        return CRC.fits(frame)


class ModbusSimHost:
    """Moves the twins on one line on, and carries RTU frames between them and the host."""

    def __init__(
        self,
        port: SerialPort,
        twins: Iterable[ModbusSim[Any, Any]],
        clock: Clock = time.monotonic_ns,
    ) -> None:
        self.port = port
        self.twins = list(twins)
        #: Monotonic time at which the host last wrote anything.
        self.commanded_ns = 0
        self._clock = clock
        self._heard = Deframer(RtuRequests())
        self._late: list[tuple[int, bytes]] = []

    def step(self, timeout: float = 0.0) -> None:
        """Wait up to ``timeout`` seconds for bytes, then act on all that came."""
        data = self.port.read(timeout)
        now = self._clock()
        for twin in self.twins:
            twin.advance(now)
        if data:
            self.commanded_ns = now
            for frame in self._heard.feed(data):
                for twin in self.twins:
                    if frame[0] in (0, twin.station):
                        self._serve(twin, frame, now)
        while self._late and self._late[0][0] <= now:
            self.port.write(self._late.pop(0)[1])

    def _serve(self, twin: ModbusSim[Any, Any], frame: bytes, now: int) -> None:
        faults = twin.faults
        if faults.unplugged or twin.chance(faults.nak):
            return
        try:
            body = frame[:1] + twin.request(frame[1:-2])
        except DeviceFault:  # one that was recorded: it did not answer
            return
        if frame[0] == 0 or faults.silent or twin.chance(faults.drop):  # 0 is for all: no answer
            return
        answer = bytearray(body + CRC.of(body))
        if twin.chance(faults.corrupt):
            answer[twin.random.randrange(len(answer))] ^= 1 << twin.random.randrange(8)
        if faults.slow:
            self._late.append((now + int(faults.slow * 1e9), bytes(answer)))
            self._late.sort()
        else:
            self.port.write(bytes(answer))


class SimModbusBus(ModbusBus):
    """A Modbus line inside one process, on a clock of its own, with twins on it."""

    def __init__(
        self,
        name: str = "modbus",
        clock: Clock = time.monotonic_ns,
        sleep: Callable[[float], object] = time.sleep,
        timeout: float = 0.1,
    ) -> None:
        self.name = name
        self.twins: dict[int, ModbusSim[Any, Any]] = {}
        self.timeout = timeout
        self._clock = clock
        self._sleep = sleep

    def attach(self, twin: ModbusSim[Any, Any]) -> None:
        """Connect a twin as the unit its configuration gives."""
        if twin.station in self.twins:
            raise ValueError(f"{self.name}: two units with number {twin.station}")
        self.twins[twin.station] = twin

    def read(self, unit: int, table: Table, address: int, count: int) -> tuple[int, ...]:
        """Read registers of a twin, faults included."""
        function = READ_HOLDING if table == "holding" else READ_INPUT
        answer = self._ask(unit, struct.pack(">BHH", function, address, count))
        return struct.unpack(f">{count}H", answer[2:])

    def write(
        self, unit: int, address: int, values: Sequence[int], *, single: bool = False
    ) -> None:
        """Write registers of a twin, faults included."""
        count = len(values)
        if single:
            request = struct.pack(">BHH", WRITE_ONE, address, values[0])
        else:
            head = struct.pack(">BHHB", WRITE_SEVERAL, address, count, 2 * count)
            request = head + struct.pack(f">{count}H", *values)
        self._ask(unit, request)

    def _ask(self, unit: int, request: bytes) -> bytes:
        twin = self.twins.get(unit)
        if twin is None or twin.faults.unplugged or twin.chance(twin.faults.nak):
            raise self._silence(unit)
        if twin.faults.slow:
            self._sleep(min(twin.faults.slow, self.timeout))
        twin.advance(self._clock())
        answer = twin.request(request)
        late = twin.faults.slow > self.timeout
        if late or twin.faults.silent or twin.chance(twin.faults.drop):
            raise self._silence(unit)
        if twin.chance(twin.faults.corrupt):
            raise no_answer(unit, self.name, damaged=True)
        if answer[0] & 0x80:
            where = f"registers from {int.from_bytes(request[1:3], 'big')}"
            raise refusal(unit, where, answer[1], self.name)
        return answer

    def _silence(self, unit: int) -> DeviceFault:
        self._sleep(self.timeout)
        return no_answer(unit, self.name)

    def close(self) -> None:
        """Leave the twins as they are."""
