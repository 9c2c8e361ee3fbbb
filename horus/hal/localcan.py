"""A CAN bus inside one process, on a clock of its own: for twins and drivers stepped together."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from horus.hal.can import CanBus, CanFrame
from horus.hal.link import Clock


class CanWire:
    """The two wires; every end that is open hears every frame, its own ones included."""

    def __init__(self, name: str = "can", clock: Clock = time.monotonic_ns) -> None:
        self.name = name
        self.clock = clock
        self.ends: list[LocalCan] = []

    def open(self) -> LocalCan:
        """Return a new end of the bus."""
        end = LocalCan(self)
        self.ends.append(end)
        return end


class LocalCan(CanBus):
    """One end of a `CanWire`."""

    def __init__(self, wire: CanWire) -> None:
        self.name = wire.name
        self._wire = wire
        self._frames: deque[CanFrame] = deque(maxlen=10_000)

    def send(self, frame: CanFrame) -> None:
        """Put a frame on the wire."""
        stamped = replace(frame, stamp_ns=self._wire.clock())
        for end in self._wire.ends:
            end._frames.append(stamped)

    def receive(self, timeout: float = 0.0) -> CanFrame | None:
        """Return the next frame; it never waits, for time here stands still meanwhile."""
        return self._frames.popleft() if self._frames else None

    def set_filters(self, frames: Iterable[tuple[int, bool]]) -> None:
        """Let all through, as a bus may."""

    def close(self) -> None:
        """Leave the wire."""
        if self in self._wire.ends:
            self._wire.ends.remove(self)
