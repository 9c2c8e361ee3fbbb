"""CAN frame maps: one description of a device's frames, for the driver and for the twin.

A map says how an id is made of a station (node id) and a command number, and what each frame
carries. Frames are read by offset, not by length: senders may pad.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar, overload

from horus.hal.can import FD_LENGTHS, CanFrame
from horus.hal.canlink import CanLink, Inbox
from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.layouts import Constant, Layout, layout_of
from horus.hal.link import Link
from horus.hal.maps import DeviceMap

T = TypeVar("T")
#: Tells by data and station whether a frame is meant, where several share an id.
When = Callable[[bytes, int], bool]


class _Declared:
    """A frame in the map: its command number and its layout."""

    name = "?"

    def __init__(self, command: int, layout: str | Layout, when: When | None) -> None:
        self.command = command
        self.layout = layout_of(layout)
        if when is None and isinstance(self.layout, Constant):
            constant = self.layout
            self.when: When | None = lambda data, _: constant.matches(data)
        else:
            self.when = when

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def unpack(self, data: bytes) -> tuple[Any, ...]:
        """Return the values at the start of the data; too few bytes are a fault (corrupt)."""
        if len(data) < self.layout.size:
            raise DeviceFault(
                FaultKind.CORRUPT,
                f"{self.name} frame has {len(data)} bytes where {self.layout.size} are needed",
            )
        return self.layout.unpack_from(data)

    def pack(self, values: tuple[Any, ...]) -> bytes:
        """Return the data that carry these values; those that do not fit are a `ValueError`."""
        try:
            return self.layout.pack(*values)
        except (struct.error, OverflowError, ValueError) as error:
            raise ValueError(f"{self.name}{values}: {error}") from None


class Command(_Declared):
    """A frame to the device: ``Command(0x07, "<I")``, or with a layout of `horus.hal.layouts`."""

    def __init__(
        self, command: int, layout: str | Layout = "", *, when: When | None = None
    ) -> None:
        super().__init__(command, layout, when)

    @overload
    def __get__(self, map: None, owner: type) -> Command: ...
    @overload
    def __get__(self, map: CanMap, owner: type) -> BoundCommand: ...
    def __get__(self, map: CanMap | None, owner: type) -> Command | BoundCommand:
        return self if map is None else BoundCommand(map, self)


class Report(_Declared, Generic[T]):
    """A frame from the device, read into a type: ``Report(0x09, "<ff", Estimates)``.

    ``when(data, station)`` tells it from other reports with the same id: another kind of the same
    device, or the same kind of another device that reports to the same master.
    """

    def __init__(
        self,
        command: int,
        layout: str | Layout,
        type: Callable[..., T],
        *,
        when: When | None = None,
    ) -> None:
        super().__init__(command, layout, when)
        self.type = type

    @overload
    def __get__(self, map: None, owner: type) -> Report[T]: ...
    @overload
    def __get__(self, map: CanMap, owner: type) -> BoundReport[T]: ...
    def __get__(self, map: CanMap | None, owner: type) -> Report[T] | BoundReport[T]:
        return self if map is None else BoundReport(map, self)


class BoundCommand:
    """A command of one device."""

    def __init__(self, map: CanMap, declared: Command) -> None:
        self._map = map
        self._declared = declared
        self._sent_ns = 0

    def send(self, *values: Any) -> None:
        """Put the command on the bus."""
        map = self._map
        self._sent_ns = map.link.clock()
        map.link.send(map.encode(self._declared, map.link.station, map.config, values))

    def repeat(self, every: float, *values: Any) -> None:
        """Put the command on the bus unless that was done less than ``every`` seconds ago."""
        if self._map.link.clock() - self._sent_ns >= every * 1e9:
            self.send(*values)


class BoundReport(Generic[T]):
    """The newest report of one kind from one device."""

    def __init__(self, map: CanMap, declared: Report[T]) -> None:
        self._link = map.link
        self._declared = declared
        station, when = map.link.station, declared.when
        self._extended = map.extended
        self.inbox = Inbox(
            map.frame_id(declared, station, map.config),
            map.extended,
            (lambda data: when(data, station)) if when else None,
        )
        self._asked_ns = 0
        self._taken: CanFrame | None = None

    @property
    def stamp_ns(self) -> int:
        """Monotonic time of the newest report; 0 when none came yet."""
        frame = self.inbox.frame
        return frame.stamp_ns if frame else 0

    @property
    def age(self) -> float:
        """Seconds since the newest report; infinite when none came yet."""
        stamp = self.stamp_ns
        return (self._link.clock() - stamp) / 1e9 if stamp else math.inf

    def latest(self) -> T | None:
        """Return the newest report, however old, or None when none came yet."""
        frame = self.inbox.frame
        if frame is None:
            return None
        try:
            return self._declared.type(*self._declared.unpack(frame.data))
        except DeviceFault:
            self._link.errors += 1
            raise

    def new(self) -> T | None:
        """Return the newest report once, and stamp the sample with its arrival; None if not new."""
        frame = self.inbox.frame
        if frame is None or frame is self._taken:
            return None
        self._taken = frame
        self._link.stamp_ns = frame.stamp_ns
        return self.latest()

    def forget(self) -> None:
        """Drop the newest report, so that only a later one is seen: before a question is asked."""
        self.inbox.frame = None

    def require(self, max_age: float) -> T:
        """Return the newest report; none within ``max_age`` seconds is a `DeviceFault` (stale)."""
        age = self.age
        report = self.latest()
        if report is None or age > max_age:
            text = f"no {self._declared.name} " + (f"for {age:.2f} s" if report else "yet")
            raise DeviceFault(
                FaultKind.STALE,
                text,
                cure="check its power, its node id, the bit rate and the wiring",
            )
        return report

    def due(self, every: float) -> bool:
        """Return whether to ask for another: the newest is ``every`` s old, and so is the question.

        A device that sends the report by itself often enough is never asked.
        """
        now = self._link.clock()
        if now - max(self.stamp_ns, self._asked_ns) < every * 1e9:
            return False
        self._asked_ns = now
        return True

    def poll(self, every: float) -> T | None:
        """Return the newest report; ask by remote frame for another when it is `due`."""
        if self.due(every):
            self._link.send(CanFrame(self.inbox.id, remote=True, extended=self._extended))
        return self.latest()


class CanMap(DeviceMap):
    """The frames of a device, declared as class attributes; subclasses say how ids are made."""

    bus_kind: ClassVar[str] = "can"
    station_option: ClassVar[str] = "node"
    #: Whether ids have 29 bits.
    extended: ClassVar[bool] = False
    #: Whether the frames are FD frames; data are padded with `padding` to a length that FD has.
    fd: ClassVar[bool] = False
    padding: ClassVar[int] = 0
    commands: ClassVar[dict[str, Command]] = {}
    reports: ClassVar[dict[str, Report[Any]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = vars(cls).items()
        cls.commands = {**cls.commands, **{n: v for n, v in own if isinstance(v, Command)}}
        cls.reports = {**cls.reports, **{n: v for n, v in own if isinstance(v, Report)}}

    def __init__(self, link: CanLink, config: Any = None) -> None:
        self.link = link
        self.config = config
        # Bound once: commands remember when they were sent, reports what was taken.
        for name, command in self.commands.items():
            self.__dict__[name] = BoundCommand(self, command)
        bound = {name: BoundReport(self, report) for name, report in self.reports.items()}
        self.__dict__.update(bound)
        link.listen(*(report.inbox for report in bound.values()))

    @classmethod
    def of(cls, link: Link, config: Any) -> CanMap:
        """Return the map of one device; its options may decide about ids."""
        assert isinstance(link, CanLink)
        return cls(link, config)

    @classmethod
    def can_id(cls, station: int, command: int) -> int:
        """Return the CAN id of a command or report of one device."""
        raise TypeError(f"{cls.__name__} does not say how its CAN ids are made: define can_id")

    @classmethod
    def frame_id(cls, declared: _Declared, station: int, config: Any) -> int:
        """Return the CAN id of a frame; override it where an option decides, such as a master's."""
        return cls.can_id(station, declared.command)

    @classmethod
    def encode(
        cls, declared: _Declared, station: int, config: Any, values: tuple[Any, ...]
    ) -> CanFrame:
        """Return the frame that carries these values."""
        data = declared.pack(values)
        if cls.fd:
            length = next((n for n in FD_LENGTHS if n >= len(data)), len(data))
            data = data.ljust(length, bytes([cls.padding]))
        id = cls.frame_id(declared, station, config)
        return CanFrame(id, data, extended=cls.extended, fd=cls.fd)
