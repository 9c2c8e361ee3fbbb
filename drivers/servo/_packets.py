"""Packets to and from smart servos on one line: what Dynamixel and Feetech have in common.

Each servo is a control table of bytes; instructions read and write it, one servo at a time or many
together. The protocols differ in their frames and in the width of addresses.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from horus.hal import DeviceFault, FaultKind, PacketMap, RegisterMap, SerialLink

PING, READ, WRITE, REG_WRITE, ACTION, REBOOT = 0x01, 0x02, 0x03, 0x04, 0x05, 0x08
SYNC_READ, SYNC_WRITE = 0x82, 0x83
BROADCAST = 0xFE
ATTEMPTS = 4
#: What an adapter and the operating system may add to an answer's way (s).
LATENCY = 0.02
PATIENT_WITH = 8  # servos; of more, each is asked only once whether it is there

_UNHEARD = frozenset({FaultKind.TIMEOUT, FaultKind.CORRUPT})
TableT = TypeVar("TableT", bound=RegisterMap)


class Packet(NamedTuple):
    """An instruction, or a status with its error byte in the instruction's place."""

    id: int
    code: int
    data: bytes


class ServoMap(PacketMap, Generic[TableT]):
    """A chain of servos at a serial port, each with the same control table."""

    station_option: ClassVar[str] = "ids"
    #: The control table of one servo; address and length on the wire; bytes of an empty status.
    table: ClassVar[type[RegisterMap]]
    place_format: ClassVar[struct.Struct]
    overhead: ClassVar[int]
    #: Bytes that the answer to a ping carries.
    ping_size: ClassVar[int] = 0

    def __init__(self, link: SerialLink) -> None:
        super().__init__(link)
        #: Names of the joints by id, for people.
        self.names: dict[int, str] = {}
        #: Error bytes of servos that told of a condition of theirs.
        self.alerts: dict[int, int] = {}

    @classmethod
    def encode(cls, id: int, code: int, data: bytes = b"") -> bytes:
        """Return the frame of an instruction."""
        raise TypeError(f"{cls.__name__} does not say how its frames are made: define encode")

    @classmethod
    def status(cls, frame: bytes) -> Packet | None:
        """Return what a frame says if it may be a status, else None."""
        raise TypeError(f"{cls.__name__} does not say how a status is read: define status")

    @classmethod
    def refusal(cls, error: int) -> str:
        """Return why a servo refused, from a status's error byte; "" when it did not."""
        return ""

    @classmethod
    def alert(cls, error: int) -> int:
        """Return the part of an error byte that tells of a condition of the servo."""
        return error

    def servo(self, id: int) -> TableT:
        """Return the control table of one servo; every access is a transaction."""
        return self.table(_Servo(self, id))  # type: ignore[return-value]

    def name(self, id: int) -> str:
        """Return what people call a servo."""
        joint = self.names.get(id)
        return f"servo {id} ({joint})" if joint else f"servo {id}"

    def ask(
        self, id: int, code: int, data: bytes = b"", count: int = 0, attempts: int = ATTEMPTS
    ) -> bytes:
        """Send an instruction to one servo and return the ``count`` bytes it answers."""
        request = self.encode(id, code, data)

        def accept(frame: bytes) -> bytes | None:
            status = self._heard(frame, request)
            if status is None or status.id != id or len(status.data) != count:
                return None
            return status.data

        timeout = LATENCY + self.link.time_for(len(request) + self.overhead + count)
        try:
            return self.link.ask(request, self.framing, accept, timeout, attempts)
        except DeviceFault as fault:
            if fault.kind in _UNHEARD:
                fault.text = f"{self.name(id)}: {fault.text}"
            raise

    def ping(self, id: int, attempts: int = ATTEMPTS) -> bytes:
        """Return what a servo answers to a ping."""
        return self.ask(id, PING, count=self.ping_size, attempts=attempts)

    def answers(self, id: int, attempts: int = ATTEMPTS) -> bool:
        """Return whether a servo answers a ping."""
        try:
            self.ping(id, attempts)
        except DeviceFault as fault:
            if fault.kind not in _UNHEARD:
                raise
            return False
        return True

    def read_all(self, ids: Iterable[int], address: int, count: int) -> dict[int, bytes]:
        """Read the same registers of several servos, asked by one frame; by id.

        A servo that is not heard is named in the fault. Servos answer in turn, so those behind one
        that is dead keep silent too: which it is, is found out by asking each.
        """
        ids = tuple(ids)
        found: dict[int, bytes] = {}
        stamp = 0
        for attempt in range(1, ATTEMPTS + 1):
            begun = self.link.clock()
            missing = [id for id in ids if id not in found]
            heard = self._read_together(missing, address, count, last=attempt == ATTEMPTS)
            if heard:
                stamp = stamp or begun
                found |= heard
            if len(found) == len(ids):
                self.link.stamp_ns = stamp
                return found
        raise self._unheard([id for id in ids if id not in found], ids)

    def _read_together(
        self, ids: list[int], address: int, count: int, last: bool
    ) -> dict[int, bytes]:
        """Return what was heard in one attempt; nothing if anything in it was damaged.

        In a damaged stream a short checksum may fit a wrong frame by chance, at the cost of the
        frame after it; where all frames came whole there can be no such one.
        """
        data = self.place_format.pack(address, count) + bytes(ids)
        request = self.encode(BROADCAST, SYNC_READ, data)
        heard: dict[int, bytes] = {}

        def accept(frame: bytes) -> dict[int, bytes] | None:
            status = self._heard(frame, request)
            if status is not None and status.id in ids and len(status.data) == count:
                heard[status.id] = status.data
            return heard if len(heard) == len(ids) else None

        size = len(request) + len(ids) * (self.overhead + count)
        timeout = LATENCY + self.link.time_for(size)
        try:
            return self.link.ask(request, self.framing, accept, timeout, attempts=1)
        except DeviceFault as fault:
            if fault.kind not in _UNHEARD or (fault.kind is FaultKind.CORRUPT and last):
                raise
            return heard if fault.kind is FaultKind.TIMEOUT else {}

    def _unheard(self, missing: list[int], ids: tuple[int, ...]) -> DeviceFault:
        attempts = 2 if len(missing) <= PATIENT_WITH else 1
        dead = [id for id in missing if not self.answers(id, attempts)] or missing
        text = f"no answer from {', '.join(map(self.name, dead))}"
        well = [str(id) for id in ids if id not in dead]
        return DeviceFault(
            FaultKind.TIMEOUT,
            f"{text}; {', '.join(well)} of the same chain answer" if well else text,
            cure="check its cable, its power and its id",
        )

    def write(self, id: int, address: int, data: bytes) -> None:
        """Write registers of one servo, which must say that it took them."""
        place = self.place_format.pack(address, 0)[: self.place_format.size // 2]
        self.ask(id, WRITE, place + data)

    def write_all(self, address: int, values: Mapping[int, bytes]) -> None:
        """Write the same registers of several servos by one frame; none of them answers."""
        size = len(next(iter(values.values())))
        data = self.place_format.pack(address, size)
        data += b"".join(bytes((id,)) + value for id, value in values.items())
        self.link.write(self.encode(BROADCAST, SYNC_WRITE, data))

    def ensure_all(self, address: int, values: Mapping[int, bytes], what: str) -> None:
        """Write the same registers of several servos and see that they have taken them."""
        size = len(next(iter(values.values())))
        for _ in range(ATTEMPTS):
            self.write_all(address, values)
            found = self.read_all(values, address, size)
            wrong = [id for id, value in values.items() if found[id] != value]
            if not wrong:
                return
        raise DeviceFault(
            FaultKind.REJECTED,
            f"{', '.join(map(self.name, wrong))}: {what} was not taken",
            cure="is its supply in range, and nobody else on the line?",
        )

    def _heard(self, frame: bytes, request: bytes) -> Packet | None:
        """Return the status in a frame; a refusal is a fault, an echo of the request is nothing."""
        status = None if frame == request else self.status(frame)
        if status is None:
            return None
        refused = self.refusal(status.code)
        if refused:
            raise DeviceFault(FaultKind.REJECTED, f"{self.name(status.id)} refused: {refused}")
        alert = self.alert(status.code)
        if alert:
            self.alerts[status.id] = alert
        else:
            self.alerts.pop(status.id, None)
        return status


class _Servo:
    """The memory of one servo of a chain, for its control table."""

    def __init__(self, chain: ServoMap[Any], id: int) -> None:
        self.chain = chain
        self.id = id

    def read(self, address: int, count: int) -> bytes:
        return self.chain.ask(
            self.id, READ, self.chain.place_format.pack(address, count), count=count
        )

    def write(self, address: int, data: bytes) -> None:
        self.chain.write(self.id, address, data)
