"""Simulated CAN devices: twins that speak frames, and the host that moves them on."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from horus.errors import did_you_mean
from horus.hal.can import CanBus, CanFrame
from horus.hal.config import DriverConfig, SimConfig
from horus.hal.faults import DeviceFault
from horus.hal.frames import CanMap, Command, Report
from horus.hal.link import Clock
from horus.hal.sim import Sim

ConfigT = TypeVar("ConfigT", bound=DriverConfig)
FramesT = TypeVar("FramesT", bound=CanMap)
DeclaredT = TypeVar("DeclaredT", Command, Report[Any])

#: Error class of a frame destroyed on the wire: protocol violation (linux/can/error.h).
ERROR_PROTOCOL = 0x08


class CanSim(Sim[ConfigT, FramesT]):
    """A device that speaks frames, with the driver's own map.

    A method ``on_<command>(self, *values)`` acts on a command; ``report_<report>(self)`` returns
    a report's values, sent when asked for by remote frame (or by an empty data frame) and, where
    ``cyclic`` names a period in seconds, by itself; `emit` sends a report at any other time.
    Commands without a method are ignored, as everything else on the bus is: other devices, remote
    frames of others, the twin's own frames.
    """

    map_type: ClassVar[type[CanMap]]
    cyclic: ClassVar[Mapping[str, float]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not hasattr(cls, "map_type"):
            return
        known = [f"on_{name}" for name in cls.map_type.commands]
        known += [f"report_{name}" for name in cls.map_type.reports]
        for name in vars(cls):
            if name.startswith(("on_", "report_")) and name not in known:
                raise TypeError(
                    f"{cls.__name__}.{name}: {cls.map_type.__name__} has no such frame"
                    + did_you_mean(name, known)
                )

    def __init__(self, config: ConfigT, options: SimConfig | None = None) -> None:
        #: Seconds between the reports that are sent by themselves; 0 is not at all.
        self.periods = dict(self.cyclic)
        self._due = dict.fromkeys(self.map_type.reports, 0.0)
        self._outbox: list[CanFrame] = []
        super().__init__(config, options)
        self._commands = self._by_id(self.map_type.commands.values())
        self._reports = self._by_id(self.map_type.reports.values())

    def _by_id(self, frames: Iterable[DeclaredT]) -> dict[int, list[DeclaredT]]:
        """Return frames by id; those that are told by content come first."""
        found: dict[int, list[DeclaredT]] = {}
        for frame in sorted(frames, key=lambda frame: frame.when is None):
            id = self.map_type.frame_id(frame, self.station, self.config)
            found.setdefault(id, []).append(frame)
        return found

    def command_in(self, frame: CanFrame) -> Command | None:
        """Return which of the device's commands a frame is, if any."""
        if frame.error or frame.remote or frame.extended != self.map_type.extended:
            return None
        for command in self._commands.get(frame.id, ()):
            if command.when is None or command.when(frame.data, self.station):
                return command
        return None

    def receive(self, frame: CanFrame) -> list[CanFrame]:
        """Act on a frame from the bus and return the answers to it."""
        if self.faults.unplugged or frame.error or frame.extended != self.map_type.extended:
            return []
        command = self.command_in(frame)
        if command is None:
            if not frame.data:  # a remote frame, or an empty one: a question
                for report in self._reports.get(frame.id, ()):
                    self._send(report.name)
        elif not self.chance(self.faults.nak):
            act = getattr(self, f"on_{command.name}", None)
            if act is not None:
                try:
                    act(*command.unpack(frame.data))
                except DeviceFault:
                    pass  # too short: firmware ignores it
        return self._collect()

    def due(self) -> list[CanFrame]:
        """Return what the device sends by itself now."""
        for name, period in self.periods.items():
            if period > 0 and self.time >= self._due[name]:
                self._due[name] = max(self._due[name] + period, self.time)
                self._send(name)
        return self._collect()

    def emit(self, report: str, *values: Any) -> None:
        """Send a report, an answer for example; lost, damaged or late as the faults have it."""
        declared = self.map_type.reports[report]
        self.emit_frame(self.map_type.encode(declared, self.station, self.config, values))

    def emit_frame(self, frame: CanFrame) -> None:
        """Send a frame made by hand, such as one longer than the driver needs."""
        if self.faults.unplugged or self.faults.silent or self.chance(self.faults.drop):
            return
        damaged = self.chance(self.faults.corrupt)
        self._outbox.append(CanFrame(ERROR_PROTOCOL, bytes(8), error=True) if damaged else frame)

    def _send(self, name: str) -> None:
        values = getattr(self, f"report_{name}", None)
        if values is not None:
            self.emit(name, *values())

    def _collect(self) -> list[CanFrame]:
        frames, self._outbox = self._outbox, []
        return frames


class CanSimHost:
    """Moves the twins of one bus on and carries their frames."""

    def __init__(
        self, bus: CanBus, twins: Iterable[CanSim[Any, Any]], clock: Clock = time.monotonic_ns
    ) -> None:
        self.bus = bus
        self.twins = list(twins)
        #: Monotonic time of the last frame that was a command to one of the twins.
        self.commanded_ns = 0
        self._clock = clock
        self._late: list[tuple[int, int, CanFrame]] = []
        self._order = itertools.count()

    def step(self, timeout: float = 0.0) -> None:
        """Wait up to ``timeout`` seconds for a frame, act on all that came, send what is due."""
        frame = self.bus.receive(timeout)
        now = self._clock()
        for twin in self.twins:
            twin.advance(now)
        while frame is not None:
            for twin in self.twins:
                if twin.command_in(frame) is not None:
                    self.commanded_ns = now
                self._send(twin, twin.receive(frame), now)
            frame = self.bus.receive()
        for twin in self.twins:
            self._send(twin, twin.due(), now)
        while self._late and self._late[0][0] <= now:
            self.bus.send(heapq.heappop(self._late)[2])

    def _send(self, twin: CanSim[Any, Any], frames: list[CanFrame], now: int) -> None:
        for frame in frames:
            if twin.faults.slow:
                at = now + int(twin.faults.slow * 1e9)
                heapq.heappush(self._late, (at, next(self._order), frame))
            else:
                self.bus.send(frame)
