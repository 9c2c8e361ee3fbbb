"""CAN frame maps: one description of a device's frames, for the driver and for the twin.

A map says how an id is made of a station (node id) and a command number, and what each frame
carries. Frames are read by offset, not by length: senders may pad.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar, overload

from horus.hal.can import CanFrame
from horus.hal.canlink import CanLink
from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.maps import DeviceMap

T = TypeVar("T")


class _Declared:
    """A frame in the map: its command number and its layout."""

    name = "?"

    def __init__(self, command: int, format: str) -> None:
        self.command = command
        self.struct = struct.Struct(format or "<")

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def unpack(self, data: bytes) -> tuple[Any, ...]:
        """Return the values at the start of the data; too few bytes are a fault (corrupt)."""
        if len(data) < self.struct.size:
            raise DeviceFault(
                FaultKind.CORRUPT,
                f"{self.name} frame has {len(data)} bytes where {self.struct.size} are needed",
            )
        return self.struct.unpack_from(data)


class Command(_Declared):
    """A frame to the device: ``Command(0x07, "<I")``."""

    def __init__(self, command: int, format: str = "") -> None:
        super().__init__(command, format)

    @overload
    def __get__(self, map: None, owner: type) -> Command: ...
    @overload
    def __get__(self, map: CanMap, owner: type) -> BoundCommand: ...
    def __get__(self, map: CanMap | None, owner: type) -> Command | BoundCommand:
        return self if map is None else BoundCommand(map, self)


class Report(_Declared, Generic[T]):
    """A frame from the device, read into a type: ``Report(0x09, "<ff", Estimates)``."""

    def __init__(self, command: int, format: str, type: Callable[..., T]) -> None:
        super().__init__(command, format)
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

    def send(self, *values: float) -> None:
        """Put the command on the bus."""
        self._map.link.send(self._map.encode(self._map.link.station, self._declared, values))


class BoundReport(Generic[T]):
    """The newest report of one kind from one device."""

    def __init__(self, map: CanMap, declared: Report[T]) -> None:
        self._link = map.link
        self._declared = declared
        self._id = map.can_id(self._link.station, declared.command)
        self._extended = map.extended
        self._asked_ns = 0
        self._taken_ns = 0

    @property
    def stamp_ns(self) -> int:
        """Monotonic time of the newest report; 0 when none came yet."""
        frame = self._link.newest(self._id)
        return frame.stamp_ns if frame else 0

    @property
    def age(self) -> float:
        """Seconds since the newest report; infinite when none came yet."""
        stamp = self.stamp_ns
        return (self._link.clock() - stamp) / 1e9 if stamp else math.inf

    def latest(self) -> T | None:
        """Return the newest report, however old, or None when none came yet."""
        frame = self._link.newest(self._id)
        if frame is None:
            return None
        try:
            return self._declared.type(*self._declared.unpack(frame.data))
        except DeviceFault:
            self._link.errors += 1
            raise

    def new(self) -> T | None:
        """Return the newest report once, and stamp the sample with its arrival; None if not new."""
        stamp = self.stamp_ns
        if stamp == self._taken_ns:
            return None
        self._taken_ns = self._link.stamp_ns = stamp
        return self.latest()

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

    def poll(self, every: float) -> T | None:
        """Return the newest report; ask for another by remote frame when it is ``every`` s old.

        A device that sends the report by itself often enough is never asked.
        """
        now = self._link.clock()
        if now - max(self.stamp_ns, self._asked_ns) >= every * 1e9:
            self._asked_ns = now
            self._link.send(CanFrame(self._id, remote=True, extended=self._extended))
        return self.latest()


class CanMap(DeviceMap):
    """The frames of a device, declared as class attributes; subclasses say how ids are made."""

    bus_kind: ClassVar[str] = "can"
    station_option: ClassVar[str] = "node"
    #: Whether ids have 29 bits.
    extended: ClassVar[bool] = False
    commands: ClassVar[dict[str, Command]] = {}
    reports: ClassVar[dict[str, Report[Any]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = vars(cls).items()
        cls.commands = {**cls.commands, **{n: v for n, v in own if isinstance(v, Command)}}
        cls.reports = {**cls.reports, **{n: v for n, v in own if isinstance(v, Report)}}

    def __init__(self, link: CanLink) -> None:
        self.link = link
        for name, report in self.reports.items():  # bound once: a report remembers what was taken
            self.__dict__[name] = BoundReport(self, report)
        ids = [self.can_id(link.station, report.command) for report in self.reports.values()]
        link.listen(ids, self.extended)

    @classmethod
    def can_id(cls, station: int, command: int) -> int:
        """Return the CAN id of a command or report of one device."""
        raise TypeError(f"{cls.__name__} does not say how its CAN ids are made: define can_id")

    @classmethod
    def encode(cls, station: int, declared: _Declared, values: tuple[float, ...]) -> CanFrame:
        """Return the frame that carries these values."""
        try:
            data = declared.struct.pack(*values)
        except (struct.error, OverflowError) as error:
            raise ValueError(f"{declared.name}{values}: {error}") from None
        return CanFrame(cls.can_id(station, declared.command), data, extended=cls.extended)
