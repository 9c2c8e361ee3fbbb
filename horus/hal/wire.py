"""What goes over a bus, bus by bus: told to somebody while it happens, and played as if it did.

An event is a dict. I2C: ``address``, ``write`` and ``read`` (or ``wanted`` and ``fault``). CAN and
serial: ``sent`` (from us) and ``data``; of CAN also what else a frame has, and ``stamp_ns``, when
it was received (monotonic). Modbus: ``unit`` with ``table``, ``address``, ``count`` and ``read``,
or with ``address``, ``values`` and ``single`` of what is written; and ``fault``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from horus.hal.can import CanBus, CanFrame
from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.i2c import I2cBus
from horus.hal.modbus import ModbusBus, Table
from horus.hal.serial import SerialBus
from horus.hal.tape import FLAGS, Event, Tape, Word, shown, word_of

__all__ = ["played", "tapped"]

Tell = Callable[[dict[str, Any]], object]
BusT = TypeVar("BusT")
T = TypeVar("T")
#: How long (s) a read that has nothing to give waits at most.
PAUSE = 0.001


def tapped(bus: BusT, tell: Tell) -> BusT:
    """Return a bus that does as the given one and tells of it; one of another kind as it is."""
    made: Any = bus
    if isinstance(bus, I2cBus):
        made = _TappedI2c(bus, tell)
    elif isinstance(bus, CanBus):
        made = _TappedCan(bus, tell)
    elif isinstance(bus, SerialBus):
        made = _TappedSerial(bus, tell)
    elif isinstance(bus, ModbusBus):
        made = _TappedModbus(bus, tell)
    return made  # type: ignore[no-any-return]


def played(kind: str, events: Sequence[Event], name: str = "recorded") -> Any:
    """Return a bus on which the devices answer as they did: ``i2c``, ``can``, ...

    A driver that says something else than was said then gets a `DeviceFault` (rejected) that names
    both. Answers come as fast as they are asked for.
    """
    return KINDS[kind](events, name)


class _TappedI2c(I2cBus):
    def __init__(self, bus: I2cBus, tell: Tell) -> None:
        self.name, self._bus, self._tell = bus.name, bus, tell

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        event: dict[str, Any] = {"address": address, "write": bytes(write)}
        try:
            data = self._bus.transfer(address, write, read)
        except DeviceFault as fault:
            self._tell(event | {"wanted": read, "fault": fault.kind.value, "text": fault.text})
            raise
        self._tell(event | {"read": bytes(data)})
        return data

    def close(self) -> None:
        self._bus.close()


class _TappedCan(CanBus):
    def __init__(self, bus: CanBus, tell: Tell) -> None:
        self.name, self._bus, self._tell = bus.name, bus, tell

    def send(self, frame: CanFrame) -> None:
        self._bus.send(frame)
        self._tell(_frame_event(frame, sent=True))

    def receive(self, timeout: float = 0.0) -> CanFrame | None:
        frame = self._bus.receive(timeout)
        if frame is not None:
            stamp = {"stamp_ns": frame.stamp_ns} if frame.stamp_ns else {}
            self._tell(_frame_event(frame, sent=False) | stamp)
        return frame

    def set_filters(self, frames: Iterable[tuple[int, bool]]) -> None:
        self._bus.set_filters(frames)

    def close(self) -> None:
        self._bus.close()


class _TappedSerial(SerialBus):
    def __init__(self, bus: SerialBus, tell: Tell) -> None:
        self.name, self.baudrate = bus.name, bus.baudrate
        self._bus, self._tell = bus, tell

    def write(self, data: bytes) -> None:
        self._bus.write(data)
        self._tell({"sent": True, "data": bytes(data)})

    def read(self, timeout: float = 0.0) -> bytes:
        data = self._bus.read(timeout)
        if data:
            self._tell({"sent": False, "data": bytes(data)})
        return data

    def close(self) -> None:
        self._bus.close()


class _TappedModbus(ModbusBus):
    def __init__(self, bus: ModbusBus, tell: Tell) -> None:
        self.name, self._bus, self._tell = bus.name, bus, tell

    def read(self, unit: int, table: Table, address: int, count: int) -> tuple[int, ...]:
        event = {"unit": unit, "table": table, "address": address, "count": count}
        found = self._told(event, lambda: self._bus.read(unit, table, address, count))
        self._tell(event | {"read": list(found)})
        return found

    def write(
        self, unit: int, address: int, values: Sequence[int], *, single: bool = False
    ) -> None:
        event = {"unit": unit, "address": address, "values": list(values), "single": single}
        self._told(event, lambda: self._bus.write(unit, address, values, single=single))
        self._tell(event)

    def _told(self, event: dict[str, Any], request: Callable[[], T]) -> T:
        try:
            return request()
        except DeviceFault as fault:
            self._tell(event | {"fault": fault.kind.value, "text": fault.text})
            raise

    def close(self) -> None:
        self._bus.close()


def _frame_event(frame: CanFrame, *, sent: bool) -> dict[str, Any]:
    flags = {name: True for name in FLAGS if getattr(frame, name)}
    return {"sent": sent, "id": frame.id, "data": bytes(frame.data), **flags}


class _Played:
    """A tape for each device, and the fault of a driver that differs from it."""

    def __init__(self, events: Sequence[Event], name: str = "recorded") -> None:
        self.name = name
        self._tapes: dict[object, Tape] = {}
        mine: dict[object, list[Event]] = {}
        for event in events:
            mine.setdefault(self.device_of(event), []).append(event)
        self._tapes = {device: Tape(some, name) for device, some in mine.items()}

    def device_of(self, event: Event) -> object:
        """Return what tells the devices of the bus apart."""
        return None

    def tape(self, device: object = None) -> Tape:
        """Return a device's tape, which is empty where there is none."""
        return self._tapes.setdefault(device, Tape((), self.name))

    def differs(self, tape: Tape, word: Word) -> DeviceFault:
        """Return the fault of a driver that says something else."""
        cure = "driver or options differ from those that were recorded"
        text = tape.difference(shown(word))
        return DeviceFault(FaultKind.REJECTED, text, bus=self.name, cure=cure)

    def close(self) -> None:
        """Leave the recording where it is."""


class _Answers(_Played):
    """Answers each device's transactions in the order in which they were recorded.

    A transaction may be left out (a driver that asks less often), never answered by another one.
    """

    def answer(self, device: object, word: Word) -> Event:
        """Return the event of what the driver says, or raise the fault that it was."""
        tape = self.tape(device)
        place = tape.find(lambda other: other == word)
        if place is None or place < tape.at:
            raise self.differs(tape, word)
        tape.at = tape.floor = place + 1
        event = tape.events[place]
        if "fault" in event:
            raise DeviceFault(FaultKind(event["fault"]), str(event["text"]), bus=self.name)
        return event


class PlayedI2c(_Answers, I2cBus):
    """Transactions as they were recorded."""

    def device_of(self, event: Event) -> object:
        """Return the address."""
        return event["address"]

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        """Return what the device answered to the same transaction."""
        return bytes(self.answer(address, ("i2c", address, bytes(write), read))["read"])


class PlayedModbus(_Answers, ModbusBus):
    """Requests as they were recorded."""

    def device_of(self, event: Event) -> object:
        """Return the unit."""
        return event["unit"]

    def read(self, unit: int, table: Table, address: int, count: int) -> tuple[int, ...]:
        """Return what the unit answered to the same request."""
        return tuple(self.answer(unit, ("modbus", unit, table, address, count))["read"])

    def write(
        self, unit: int, address: int, values: Sequence[int], *, single: bool = False
    ) -> None:
        """Take values, which must be those that were written then."""
        self.answer(unit, ("modbus", unit, address, tuple(values), single))


class _Stream(_Played):
    """Events one after the other: what was received comes until the next that we had sent."""

    def say(self, word: Word) -> None:
        """Go on behind the next event that we sent; it must be this one."""
        tape = self.tape()
        place = tape.expected()
        if place is None or tape.words[place] != word:
            raise self.differs(tape, word)
        tape.at = place + 1

    def hear(self, timeout: float) -> Event | None:
        """Return the next event that was received, if nothing is to be sent before."""
        tape = self.tape()
        if not tape.over and tape.words[tape.at] is None:
            tape.at += 1
            return tape.events[tape.at - 1]
        time.sleep(min(timeout, PAUSE))
        return None


class PlayedCan(_Stream, CanBus):
    """Frames as they were recorded: those received until the next one that was sent."""

    def send(self, frame: CanFrame) -> None:
        """Take a frame, which must be the one that was sent then."""
        self.say(word_of(_frame_event(frame, sent=True)) or ())

    def receive(self, timeout: float = 0.0) -> CanFrame | None:
        """Return the next frame that was received."""
        event = self.hear(timeout)
        if event is None:
            return None
        flags = {name: bool(event.get(name)) for name in FLAGS}
        return CanFrame(event["id"], event["data"], stamp_ns=time.monotonic_ns(), **flags)

    def set_filters(self, frames: Iterable[tuple[int, bool]]) -> None:
        """Let everything through."""


class PlayedSerial(_Stream, SerialBus):
    """Bytes as they were recorded: those received until the next that were sent."""

    def write(self, data: bytes) -> None:
        """Take bytes, which must be those that were sent then."""
        self.say(("serial", bytes(data)))

    def read(self, timeout: float = 0.0) -> bytes:
        """Return the next bytes that were received."""
        event = self.hear(timeout)
        return b"" if event is None else bytes(event["data"])


#: What plays each kind of bus.
KINDS: Mapping[str, Callable[[Sequence[Event], str], Any]] = {
    "i2c": PlayedI2c,
    "can": PlayedCan,
    "serial": PlayedSerial,
    "modbus": PlayedModbus,
}
