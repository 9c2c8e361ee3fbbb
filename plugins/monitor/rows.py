"""What the monitor knows of a robot at one moment: plain values, which both screens show."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = [
    "Device",
    "Lately",
    "Level",
    "LogLine",
    "Node",
    "Snapshot",
    "Stop",
    "Topic",
    "Trouble",
    "by_gravity",
]

#: How a thing is: failing, to be looked at, well, or not in use.
Level = Literal["bad", "warn", "ok", "off"]
GRAVITY: tuple[Level, ...] = ("bad", "warn", "ok", "off")


@dataclass(frozen=True)
class Device:
    """A device of the run."""

    name: str
    level: Level
    #: ``absent``, ``ready``, ``active``, ``fault``; ``gone`` when no process looks after it,
    #: ``starting`` or ``stopped`` with its process, ``waiting`` until it has been listened for.
    state: str
    driver: str
    #: The bus, with the place on it.
    bus: str
    mock: bool
    #: Samples a second: lately, and asked for (Hz).
    rate: float
    asked_rate: float
    #: Transactions that failed since the start, and within the last seconds.
    errors: int
    errors_lately: int
    faults: int
    #: What it says, or what is to be looked at.
    text: str


@dataclass(frozen=True)
class Node:
    """A node, or a process that tells nothing of its nodes."""

    name: str
    level: Level
    #: That of the node (``running``, ``error``, ...), or how its process is or has ended.
    state: str
    process: str
    pid: int
    #: Ticks a second: lately, and asked for (Hz); NaN where nothing is known.
    rate: float
    asked_rate: float
    #: 99 of 100 ticks were off the grid by at most this (s).
    jitter: float
    #: 99 of 100 ticks took at most this (s).
    tick: float
    #: Ticks that raised; ticks left out or ended after their deadline.
    errors: int
    late: int
    #: Messages that it lost because it did not read them in time.
    dropped: int
    #: Share of one processor that its process uses (%); NaN where that is not known.
    cpu: float
    restarts: int
    text: str


@dataclass(frozen=True)
class Topic:
    """A topic of the session."""

    name: str
    level: Level
    type: str
    #: Messages (Hz) and bytes a second.
    rate: float
    bandwidth: float
    #: Messages that nodes lost because they did not read them in time: in all, and lately.
    lost: int
    lost_lately: int
    #: How far (s) the slowest node that reads it is behind; NaN where nobody tells.
    lag: float
    #: Since the newest message (s); NaN when there was none.
    age: float
    publishers: tuple[str, ...]
    readers: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class LogLine:
    """A line of the run's log."""

    #: Counts up by one with each line that the monitor has read.
    number: int
    stamp: float
    who: str
    level: str
    text: str


@dataclass(frozen=True)
class Stop:
    """An emergency stop that is engaged."""

    reason: str
    source: str


@dataclass(frozen=True)
class Trouble:
    """One thing that fails or is to be looked at, in words."""

    level: Level
    kind: str
    name: str
    state: str
    text: str


@dataclass(frozen=True)
class Snapshot:
    """All that is known at one moment."""

    #: Unix time (s).
    time: float
    #: The run's id; "" for plain scripts.
    session: str
    #: Seconds since the run began; NaN for plain scripts.
    uptime: float
    #: The run is over: the rest is what was known last.
    ended: bool
    stop: Stop | None
    devices: tuple[Device, ...] = ()
    nodes: tuple[Node, ...] = ()
    topics: tuple[Topic, ...] = ()
    #: The newest lines of the log, the oldest first.
    log: tuple[LogLine, ...] = ()
    troubles: tuple[Trouble, ...] = field(default=())
    #: Topics that are not shown: those of HORUS itself, of twins, of calls.
    hidden_topics: int = 0

    @property
    def mock(self) -> bool:
        """Whether any of its devices is simulated."""
        return any(device.mock for device in self.devices)

    @property
    def failing(self) -> tuple[Trouble, ...]:
        """What fails, without what is only to be looked at."""
        return tuple(trouble for trouble in self.troubles if trouble.level == "bad")

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON has it: NaN is null."""
        found = _plain(asdict(self))
        found["mock"] = self.mock
        return dict(found)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def by_gravity(row: Device | Node | Topic) -> tuple[int, str]:
    """Return what rows are sorted by: what fails comes first, then by name."""
    return GRAVITY.index(row.level), row.name


class Lately:
    """By how much counters have grown within the last seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: dict[object, deque[tuple[float, int]]] = {}

    def of(self, key: object, value: int, now: float) -> int:
        """Take note of a counter's value; return its growth. One that fell began anew."""
        seen = self._seen.setdefault(key, deque())
        if seen and value < seen[-1][1]:
            seen.clear()
        if not seen or value > seen[-1][1]:
            seen.append((now, value))
        # The last value from before the window stays: growth is counted from it.
        while len(seen) > 1 and seen[1][0] < now - self._seconds:
            seen.popleft()
        if seen[-1][0] < now - self._seconds:
            return 0
        return value - seen[0][1]
