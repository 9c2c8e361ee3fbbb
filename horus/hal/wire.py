"""What goes over a bus, bus by bus: told to somebody while it happens, and played as if it did.

An event is a dict: of I2C ``address``, ``write`` and ``read`` (or ``wanted`` and ``fault``); of CAN
and serial ``sent`` (from us) with ``data``, of CAN also what else a frame has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from horus.hal.can import CanBus, CanFrame
from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.i2c import I2cBus
from horus.hal.serial import SerialBus

__all__ = ["played", "tapped"]

Event = Mapping[str, Any]
Tell = Callable[[dict[str, Any]], object]
BusT = TypeVar("BusT")
_FLAGS = ("extended", "remote", "fd", "error")
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
    return made  # type: ignore[no-any-return]


def played(kind: str, events: Sequence[Event], name: str = "recorded") -> Any:
    """Return a bus on which the devices answer as they did: ``i2c``, ``can`` or ``serial``.

    A driver that says something else than was said then gets a `DeviceFault` (rejected) that names
    both. Answers come as fast as they are asked for.
    """
    kinds = {"i2c": PlayedI2c, "can": PlayedCan, "serial": PlayedSerial}
    if kind not in kinds:
        raise ValueError(f"{name}: a {kind} bus cannot be played; {', '.join(kinds)} can")
    return kinds[kind](events, name)


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
            self._tell(_frame_event(frame, sent=False))
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


def _frame_event(frame: CanFrame, *, sent: bool) -> dict[str, Any]:
    flags = {name: True for name in _FLAGS if getattr(frame, name)}
    return {"sent": sent, "id": frame.id, "data": bytes(frame.data), **flags}


def _mismatch(bus: str, said: str, recorded: str) -> DeviceFault:
    text = f"the driver says {said}, the recording has {recorded}"
    cure = "driver or options differ from those that were recorded"
    return DeviceFault(FaultKind.REJECTED, text, bus=bus, cure=cure)


class PlayedI2c(I2cBus):
    """Answers each device's transactions in the order in which they were recorded.

    A transaction may be left out (a driver that asks less often), never answered by another one.
    """

    def __init__(self, events: Sequence[Event], name: str = "recorded") -> None:
        self.name = name
        self._left: dict[int, list[Event]] = {}
        for event in events:
            self._left.setdefault(int(event["address"]), []).append(event)

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        """Return what the device answered to the same transaction."""
        left = self._left.get(address, [])
        for place, event in enumerate(left):
            wanted = event["wanted"] if "fault" in event else len(event["read"])
            if event["write"] == write and wanted == read:
                del left[: place + 1]
                if "fault" in event:
                    kind = FaultKind(event["fault"])
                    raise DeviceFault(kind, str(event["text"]), bus=self.name)
                return bytes(event["read"])
        said = f"write [{write.hex(' ')}] read {read} at 0x{address:02X}"
        raise _mismatch(self.name, said, _shown_i2c(left[0]) if left else "nothing more for it")

    def close(self) -> None:
        """Leave the recording where it is."""


def _shown_i2c(event: Event) -> str:
    wanted = event["wanted"] if "fault" in event else len(event["read"])
    return f"write [{event['write'].hex(' ')}] read {wanted} next"


class _Played:
    """Events one after the other: what was received comes until the next that we had sent."""

    def __init__(self, events: Sequence[Event], name: str = "recorded") -> None:
        self.name = name
        self._events = events
        self._at = 0

    def _say(self, said: Event, shown: Callable[[Event], str]) -> None:
        """Go on behind the next event that we sent; it must be this one."""
        for place in range(self._at, len(self._events)):
            event = self._events[place]
            if not event["sent"]:
                continue  # was not waited for
            if dict(event) != dict(said):
                raise _mismatch(self.name, shown(said), f"{shown(event)} next")
            self._at = place + 1
            return
        raise _mismatch(self.name, shown(said), "nothing more that was sent")

    def _hear(self, timeout: float) -> Event | None:
        if self._at < len(self._events) and not self._events[self._at]["sent"]:
            self._at += 1
            return self._events[self._at - 1]
        time.sleep(min(timeout, PAUSE))
        return None

    def close(self) -> None:
        """Leave the recording where it is."""


class PlayedCan(_Played, CanBus):
    """Frames as they were recorded: those received until the next one that was sent."""

    def send(self, frame: CanFrame) -> None:
        """Take a frame, which must be the one that was sent then."""
        self._say(_frame_event(frame, sent=True), lambda e: str(_frame(e)))

    def receive(self, timeout: float = 0.0) -> CanFrame | None:
        """Return the next frame that was received."""
        event = self._hear(timeout)
        return None if event is None else _frame(event)

    def set_filters(self, frames: Iterable[tuple[int, bool]]) -> None:
        """Let everything through."""


def _frame(event: Event) -> CanFrame:
    flags = {name: bool(event.get(name)) for name in _FLAGS}
    return CanFrame(event["id"], event["data"], stamp_ns=time.monotonic_ns(), **flags)


class PlayedSerial(_Played, SerialBus):
    """Bytes as they were recorded: those received until the next that were sent."""

    def write(self, data: bytes) -> None:
        """Take bytes, which must be those that were sent then."""
        said = {"sent": True, "data": bytes(data)}
        self._say(said, lambda e: f"[{e['data'].hex(' ')}]")

    def read(self, timeout: float = 0.0) -> bytes:
        """Return the next bytes that were received."""
        event = self._hear(timeout)
        return b"" if event is None else bytes(event["data"])
