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
from horus.hal.frames import CanMap
from horus.hal.link import Clock
from horus.hal.sim import Sim

ConfigT = TypeVar("ConfigT", bound=DriverConfig)
FramesT = TypeVar("FramesT", bound=CanMap)

#: Error class of a frame destroyed on the wire: protocol violation (linux/can/error.h).
ERROR_PROTOCOL = 0x08


class CanSim(Sim[ConfigT, FramesT]):
    """A device that speaks frames, with the driver's own map.

    A method ``on_<command>(self, *values)`` acts on a command; ``report_<report>(self)`` returns
    a report's values, sent when asked for by remote frame (or by an empty data frame) and, where
    ``cyclic`` names a period in seconds, by itself. Commands without a method are ignored, as
    everything else on the bus is: other devices, remote frames of others, the twin's own frames.
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
        super().__init__(config, options)
        map = self.map_type
        self._commands = {map.can_id(self.station, c.command): c for c in map.commands.values()}
        self._reports = {map.can_id(self.station, r.command): r for r in map.reports.values()}
        self._due = dict.fromkeys(self.cyclic, 0.0)

    def receive(self, frame: CanFrame) -> list[CanFrame]:
        """Act on a frame from the bus and return the answers to it."""
        if self.faults.unplugged or frame.error or frame.extended != self.map_type.extended:
            return []
        report = self._reports.get(frame.id)
        if report is not None and not frame.data:  # a remote frame, or an empty one: a question
            return self._report(report.name)
        command = self._commands.get(frame.id)
        if command is None or frame.remote or self.chance(self.faults.nak):
            return []
        act = getattr(self, f"on_{command.name}", None)
        if act is not None:
            try:
                act(*command.unpack(frame.data))
            except DeviceFault:
                pass  # too short: firmware ignores it
        return []

    def due(self) -> list[CanFrame]:
        """Return the cyclic reports whose time has come."""
        frames = []
        for name, at in self._due.items():
            if self.time >= at:
                period = self.cyclic[name]
                self._due[name] = max(at + period, self.time)
                frames += self._report(name)
        return frames

    def _report(self, name: str) -> list[CanFrame]:
        values = getattr(self, f"report_{name}", None)
        if values is None or self.faults.unplugged or self.faults.silent:
            return []
        if self.chance(self.faults.drop):
            return []
        if self.chance(self.faults.corrupt):
            return [CanFrame(ERROR_PROTOCOL, bytes(8), error=True)]
        return [self.map_type.encode(self.station, self.map_type.reports[name], values())]


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
                if not frame.remote and frame.id in twin._commands:
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
