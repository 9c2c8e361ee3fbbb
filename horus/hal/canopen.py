"""CANopen (CiA 301) in frames: what a master says and hears, and the client of a node's objects.

Made of the same frames and links as everything else, because a driver must neither block nor have
threads: the SDO client of the canopen package waits inside its calls for a thread that reads.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator
from typing import ClassVar

from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.frames import CanMap, Command, Report

#: Node id of this program, for its heartbeat.
MASTER = 0x7F
NMT, MASTER_BEAT = 0x000, 0x700 + MASTER  # ids that do not depend on the node
START, STOP, ENTER_PRE_OPERATIONAL, RESET_NODE = 0x01, 0x02, 0x80, 0x81  # NMT commands
BOOT_UP, STOPPED, OPERATIONAL, PRE_OPERATIONAL = 0x00, 0x04, 0x05, 0x7F  # states in a heartbeat
UPLOAD, DOWNLOADED, ABORT = 0x40, 0x60, 0x80  # first bytes of SDO frames
NO_OBJECT, NO_SUB, READ_ONLY, WRONG_LENGTH = 0x06020000, 0x06090011, 0x06010002, 0x06070010
NOT_MAPPABLE, PDO_FULL = 0x06040041, 0x06040042
ABORTS = {
    0x05030000: "toggle bit not alternated",
    0x05040001: "unknown SDO command",
    0x06010001: "cannot be read",
    READ_ONLY: "cannot be written",
    NO_OBJECT: "does not exist",
    NOT_MAPPABLE: "cannot be mapped into a PDO",
    PDO_FULL: "does not fit into the PDO",
    WRONG_LENGTH: "has another length",
    NO_SUB: "has no such sub-index",
    0x06090030: "does not take this value",
    0x08000022: "cannot be written in this state",
}
ATTEMPTS, ANSWER_WITHIN, STEP = 3, 0.1, 0.001  # of a question, s, s


class CanOpenFrames(CanMap):
    """The frames of any CANopen node; a driver's map adds its PDOs."""

    station_option: ClassVar[str] = "node"
    nmt = Command(NMT, "<BB")  # command, node (0 is all)
    master_beat = Command(MASTER_BEAT, "<B")
    sdo_request = Command(0x600, "<8s")
    sdo_answer = Report(0x580, "<8s", bytes)
    heartbeat = Report(0x700, "<B", int)

    @classmethod
    def can_id(cls, station: int, command: int) -> int:
        """Return the id of a function code and node."""
        return command if command in (NMT, MASTER_BEAT) else command + station


class Objects:
    """The object dictionary of a node, by expedited SDO: for use in `Driver.configure`.

    ``kind = yield from objects.read(0x1000, 0, "<I")``
    """

    def __init__(
        self, map: CanOpenFrames, fault: Callable[[FaultKind, str, str], DeviceFault]
    ) -> None:
        self._map = map
        self._fault = fault

    def ask(self, index: int, sub: int) -> None:
        """Put a question for an object on the bus."""
        self._map.sdo_request.send(struct.pack("<BHB4x", UPLOAD, index, sub))

    def put(self, index: int, sub: int, format: str, value: int) -> None:
        """Write an object without waiting for the answer."""
        data = struct.pack(format, value)
        first = 0x23 | 4 - len(data) << 2
        self._map.sdo_request.send(struct.pack("<BHB4s", first, index, sub, data))

    def found(self, index: int, sub: int) -> bytes | None:
        """Return the object's data where the newest answer is about it; else None.

        An abort is a `DeviceFault` (rejected).
        """
        answer = self._map.sdo_answer.latest()
        if answer is None or struct.unpack_from("<HB", answer, 1) != (index, sub):
            return None
        if answer[0] == ABORT:
            code = struct.unpack_from("<I", answer, 4)[0]
            why = ABORTS.get(code, "refused")
            text = f"object 0x{index:04X}:{sub} {why} (abort 0x{code:08X})"
            raise self._fault(FaultKind.REJECTED, text, "does the drive support it?")
        if answer[0] == DOWNLOADED:
            return b""
        length = 4 - (answer[0] >> 2 & 3) if answer[0] & 1 else 4
        return answer[4 : 4 + length]

    def read(self, index: int, sub: int, format: str) -> Generator[float, None, int]:
        """Return the value of an object."""
        data = yield from self._exchange(lambda: self.ask(index, sub), index, sub)
        try:
            return int(struct.unpack_from(format, data)[0])
        except struct.error:
            text = f"object 0x{index:04X}:{sub} has {len(data)} bytes"
            raise self._fault(FaultKind.CORRUPT, text, "") from None

    def write(
        self, index: int, sub: int, format: str, value: int, *, optional: bool = False
    ) -> Generator[float, None, bool]:
        """Write an object; return whether it is there, where it is ``optional``."""
        try:
            yield from self._exchange(lambda: self.put(index, sub, format, value), index, sub)
        except DeviceFault as fault:
            if optional and fault.kind is FaultKind.REJECTED:
                return False
            raise
        return True

    def map_pdo(
        self,
        number: int,
        *objects: tuple[int, int],
        send: bool,
        every_ms: int = 0,
        inhibit_ms: int = 0,
    ) -> Generator[float, None, None]:
        """Set up a PDO of (index, bits) from sub-index 0; ``send`` is one that the node sends.

        It is sent at a change, at least ``every_ms`` and at most ``inhibit_ms`` apart.
        """
        about, mapping = (0x1800, 0x1A00) if send else (0x1400, 0x1600)
        about, mapping = about + number - 1, mapping + number - 1
        base = (0x180 if send else 0x200) + 0x100 * (number - 1)
        id = base + self._map.link.station
        yield from self.write(about, 1, "<I", id | 1 << 31)  # off, while it is changed
        yield from self.write(mapping, 0, "<B", 0)
        for place, (index, bits) in enumerate(objects, 1):
            yield from self.write(mapping, place, "<I", index << 16 | bits)
        yield from self.write(mapping, 0, "<B", len(objects))
        yield from self.write(about, 2, "<B", 255)
        if send:
            yield from self.write(about, 3, "<H", inhibit_ms * 10)
            yield from self.write(about, 5, "<H", every_ms)
        yield from self.write(about, 1, "<I", id)

    def _exchange(
        self, question: Callable[[], None], index: int, sub: int
    ) -> Generator[float, None, bytes]:
        clock = self._map.link.clock
        for _ in range(ATTEMPTS):
            self._map.sdo_answer.forget()
            question()
            deadline = clock() + ANSWER_WITHIN * 1e9
            while clock() <= deadline:
                yield STEP
                data = self.found(index, sub)
                if data is not None:
                    return data
        text = f"object 0x{index:04X}:{sub} is not answered"
        raise self._fault(FaultKind.TIMEOUT, text, "")
