"""A simulated CANopen node (CiA 301): object dictionary, SDO server, PDOs, NMT and heartbeats."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, TypeVar

from horus.hal.can import CanFrame
from horus.hal.canopen import (
    ABORT,
    BOOT_UP,
    DOWNLOADED,
    ENTER_PRE_OPERATIONAL,
    MASTER,
    NO_OBJECT,
    NO_SUB,
    NOT_MAPPABLE,
    OPERATIONAL,
    PDO_FULL,
    PRE_OPERATIONAL,
    READ_ONLY,
    RESET_NODE,
    START,
    STOP,
    STOPPED,
    WRONG_LENGTH,
    CanOpenFrames,
)
from horus.hal.config import DriverConfig
from horus.hal.simcan import CanSim

ConfigT = TypeVar("ConfigT", bound=DriverConfig)
FramesT = TypeVar("FramesT", bound=CanOpenFrames)
OFF = 1 << 31  # in the id of a PDO
PDOS = 4  # of each direction
RESET_COMMUNICATION = 0x82


class CanOpenSim(CanSim[ConfigT, FramesT]):
    """A node; a subclass fills its dictionary with `add` in `power_on` and gives it life.

    ``written(index, sub)`` is called after each change of an object, ``beat_lost()`` when a
    heartbeat that the node watches does not come any more.
    """

    def power_on(self) -> None:
        """Come up in the state pre-operational, with the objects every node has."""
        #: Format and value of each object; what is read-only is named in `_constant`.
        self.objects: dict[tuple[int, int], tuple[str, Any]] = {}
        self._constant: set[tuple[int, int]] = set()
        self._reading: bytes | None = None
        self._toggle = 0
        self._sent: dict[int, tuple[bytes, float]] = {}
        self._beat_due = 0.0
        self._watched: float | None = None
        self.add(0x1000, 0, "<I", 0, constant=True)
        self.add(0x1001, 0, "<B", 0, constant=True)
        self.add(0x1016, 0, "<B", 1, constant=True)
        self.add(0x1016, 1, "<I", 0)
        self.add(0x1017, 0, "<H", 0)
        self.add(0x1018, 0, "<B", 1, constant=True)
        self.add(0x1018, 1, "<I", 0, constant=True)
        for number in range(PDOS):
            for about, mapping, base in ((0x1400, 0x1600, 0x200), (0x1800, 0x1A00, 0x180)):
                self.add(about + number, 0, "<B", 5, constant=True)
                id = base + 0x100 * number + self.station
                self.add(about + number, 1, "<I", id | OFF)
                self.add(about + number, 2, "<B", 255)
                self.add(about + number, 3, "<H", 0)
                self.add(about + number, 5, "<H", 0)
                self.add(mapping + number, 0, "<B", 0)
                for place in range(1, 9):
                    self.add(mapping + number, place, "<I", 0)
        self.state = PRE_OPERATIONAL
        self.emit("heartbeat", BOOT_UP)

    def add(self, index: int, sub: int, format: str, value: Any, *, constant: bool = False) -> None:
        """Put an object into the dictionary; the format "s" is for texts."""
        self.objects[index, sub] = (format, value)
        if constant:
            self._constant.add((index, sub))

    def value(self, index: int, sub: int = 0) -> Any:
        """Return the value of an object."""
        return self.objects[index, sub][1]

    def change(self, index: int, sub: int, value: Any) -> None:
        """Set the value of an object from inside."""
        self.objects[index, sub] = (self.objects[index, sub][0], value)

    def written(self, index: int, sub: int) -> None:
        """Act on an object that was written from the bus."""

    def refused(self, index: int, sub: int, value: Any) -> int:
        """Return the abort code for a value that an object does not take; 0 if it does."""
        if index & ~(PDOS - 1) not in (0x1600, 0x1A00):
            return 0
        entries = [value] if sub else [self.value(index, n) for n in range(1, min(value, 8) + 1)]
        if any((entry >> 16, entry >> 8 & 0xFF) not in self.objects for entry in entries):
            return NOT_MAPPABLE
        return PDO_FULL if sum(entry & 0xFF for entry in entries) > 64 else 0

    def beat_lost(self) -> None:
        """Act on the loss of a heartbeat that is watched."""

    def preset_pdo(self, number: int, *objects: tuple[int, int], send: bool) -> None:
        """Map a PDO as delivered: (index, bits) from sub-index 0."""
        about, mapping = (0x1800, 0x1A00) if send else (0x1400, 0x1600)
        for place, (index, bits) in enumerate(objects, 1):
            self.change(mapping + number - 1, place, index << 16 | bits)
        self.change(mapping + number - 1, 0, len(objects))
        id = self.value(about + number - 1, 1)
        self.change(about + number - 1, 1, id & ~OFF)

    # the bus ------------------------------------------------------------------------------------

    def receive(self, frame: CanFrame) -> list[CanFrame]:
        """Take PDOs by the ids in the dictionary, and all else by the map."""
        number = self._receiver_of(frame)
        if number is None or self.faults.unplugged:
            return super().receive(frame)
        if self.state == OPERATIONAL and not self.chance(self.faults.nak):
            self._take_pdo(number, frame.data)
        return self._collect()

    def _receiver_of(self, frame: CanFrame) -> int | None:
        if frame.extended or frame.remote or frame.error:
            return None
        for number in range(PDOS):
            id = self.value(0x1400 + number, 1)
            if not id & OFF and id & 0x7FF == frame.id:
                return number
        return None

    def due(self) -> list[CanFrame]:
        """Send heartbeats, and PDOs at a change or when their time has come."""
        period = self.value(0x1017) / 1000
        if period and self.time >= self._beat_due:
            self._beat_due = max(self._beat_due + period, self.time)
            self.emit("heartbeat", self.state)
        if self.state == OPERATIONAL:
            for number in range(PDOS):
                self._send_pdo(number)
        watched = self.value(0x1016, 1) & 0xFFFF
        if self._watched is not None and 0 < watched < (self.time - self._watched) * 1000:
            self._watched = None
            self.beat_lost()
        return super().due()

    def on_nmt(self, command: int, node: int) -> None:
        """Change state as the master says, to this node or to all."""
        if node not in (0, self.station):
            return
        if command in (RESET_NODE, RESET_COMMUNICATION):
            self.power_on()
        states = {START: OPERATIONAL, STOP: STOPPED, ENTER_PRE_OPERATIONAL: PRE_OPERATIONAL}
        self.state = states.get(command, self.state)
        self._sent.clear()

    def on_master_beat(self, _state: int) -> None:
        """Watch the master's heartbeat from the first one on."""
        if self.value(0x1016, 1) >> 16 & 0x7F == MASTER:
            self._watched = self.time

    # PDOs ---------------------------------------------------------------------------------------

    def _mapped(self, mapping: int) -> Iterable[tuple[int, int, int]]:
        for place in range(1, self.value(mapping, 0) + 1):
            entry = self.value(mapping, place)
            yield entry >> 16, entry >> 8 & 0xFF, (entry & 0xFF) // 8

    def _take_pdo(self, number: int, data: bytes) -> None:
        for index, sub, length in self._mapped(0x1600 + number):
            if (index, sub) in self.objects and len(data) >= length:
                format = self.objects[index, sub][0]
                self.change(index, sub, struct.unpack_from(format, data)[0])
                self.written(index, sub)
            data = data[length:]

    def _send_pdo(self, number: int) -> None:
        id = self.value(0x1800 + number, 1)
        if id & OFF:
            return
        data = b"".join(
            struct.pack(*self.objects[index, sub])
            for index, sub, _ in self._mapped(0x1A00 + number)
            if (index, sub) in self.objects
        )
        last, at = self._sent.get(number, (b"", -1.0))
        inhibit = self.value(0x1800 + number, 3) / 10_000
        timer = self.value(0x1800 + number, 5) / 1000
        passed = self.time - at + 1e-6
        if (data != last and passed >= inhibit) or 0 < timer <= passed:
            self._sent[number] = (data, self.time)
            self.emit_frame(CanFrame(id & 0x7FF, data))

    # SDO server ---------------------------------------------------------------------------------

    def on_sdo_request(self, data: bytes) -> None:
        """Answer a question, an order, or go on with a text."""
        if self.state == STOPPED:
            return
        first, index, sub = struct.unpack_from("<BHB", data)
        if first >> 5 == 3:  # the next segment
            self._segment(first)
        elif first >> 5 == 2:
            self._upload(index, sub)
        elif first >> 5 == 1 and first & 2:
            length = 4 - (first >> 2 & 3) if first & 1 else 4
            self._download(index, sub, data[4 : 4 + length])
        elif first != ABORT:
            self._abort(index, sub, 0x05040001)

    def _answer(self, first: int, index: int, sub: int, data: bytes = b"") -> None:
        self.emit("sdo_answer", struct.pack("<BHB4s", first, index, sub, data))

    def _abort(self, index: int, sub: int, code: int) -> None:
        self._answer(ABORT, index, sub, struct.pack("<I", code))

    def _missing(self, index: int, sub: int) -> bool:
        if (index, sub) in self.objects:
            return False
        known = any(found == index for found, _ in self.objects)
        self._abort(index, sub, NO_SUB if known else NO_OBJECT)
        return True

    def _upload(self, index: int, sub: int) -> None:
        if self._missing(index, sub):
            return
        format, value = self.objects[index, sub]
        data = value.encode() if format == "s" else struct.pack(format, value)
        if len(data) <= 4:
            self._answer(0x43 | 4 - len(data) << 2, index, sub, data)
        else:
            self._reading, self._toggle = data, 0
            self._answer(0x41, index, sub, struct.pack("<I", len(data)))

    def _segment(self, first: int) -> None:
        if self._reading is None or first >> 4 & 1 != self._toggle:
            self._abort(0, 0, 0x05030000)
            return
        part, self._reading = self._reading[:7], self._reading[7:] or None
        head = self._toggle << 4 | (7 - len(part)) << 1 | (self._reading is None)
        self._toggle ^= 1
        self.emit("sdo_answer", struct.pack("<B7s", head, part))

    def _download(self, index: int, sub: int, data: bytes) -> None:
        if self._missing(index, sub):
            return
        format = self.objects[index, sub][0]
        if (index, sub) in self._constant:
            self._abort(index, sub, READ_ONLY)
        elif format == "s" or len(data) != struct.calcsize(format):
            self._abort(index, sub, WRONG_LENGTH)
        else:
            value = struct.unpack(format, data)[0]
            code = self.refused(index, sub, value)
            if code:
                self._abort(index, sub, code)
                return
            self.change(index, sub, value)
            self._answer(DOWNLOADED, index, sub)
            self.written(index, sub)
