"""What goes over the topics of a session: rates, bandwidths, what readers lose and lag behind."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from horus_plugins.monitor.rows import Lately, Level, Topic, by_gravity

from horus.bus import Subscriber, session
from horus.bus.observer import topic_names
from horus.bus.probe import Probe, state_of
from horus.errors import TopicError
from horus.msgs import ReaderStatus
from horus.scheduler.status import READERS

__all__ = ["Topics", "is_internal"]

#: Rates are those of this time (s), of few messages of the longer one.
WINDOW, LONG_WINDOW = 2.0, 10.0
FEW = 4
#: For so long (s) lost messages are pointed out.
RECENT = 10.0
#: A topic is silent when nothing has come for so many of its periods, and for so long (s).
PERIODS, SILENT = 5.0, 1.5
#: How often (s) it is looked who is at a topic.
WHO = 1.0
#: A reader that tells nothing for so long (s) is no reader any more.
LEFT = 3.0
DEPTH = 256


def is_internal(name: str) -> bool:
    """Return whether a topic is one of HORUS itself, of a twin, of a bus or of calls."""
    begins = name.startswith(("sim.", "horus/", "wire."))
    return begins or name.endswith((".status", ".request", ".reply"))


class _Reading(NamedTuple):
    """What one node told last of a topic that it reads."""

    heard: float
    lag: float


class _Followed:
    """One topic."""

    def __init__(self, name: str, probe: Probe, now: float) -> None:
        self.name, self.probe = name, probe
        self.points: deque[tuple[float, int, int]] = deque([(now, 0, 0)])
        self.bytes = 0
        #: Stamps that were there at the last look, the oldest first.
        self.stamps: list[int] = []
        self.heard = -math.inf  # when the count has last grown
        self.usual = 0.0  # the rate that it has had
        self.readings: dict[tuple[int, str], _Reading] = {}
        self.lost: dict[tuple[int, str], int] = {}
        self.looked = -math.inf
        self.type = ""
        self.publishers: tuple[int, ...] = ()
        self.readers: tuple[int, ...] = ()

    def look(self, now: float) -> None:
        """Take note of what was sent."""
        before = self.probe.count
        sent = self.probe.take()
        if grown := self.probe.count - before:
            self.heard = now
            # What was overwritten meanwhile is taken to be as large as what is there.
            mean = sum(one.size for one in sent) / len(sent) if sent else 0.0
            self.bytes += round(mean * grown)
        newest = [self.probe.newest.stamp_ns] if self.probe.newest and not sent else []
        self.stamps = self.stamps[-1:] + [one.stamp_ns for one in sent] + newest
        self.points.append((now, self.probe.count, self.bytes))
        while self.points[1][0] < now - LONG_WINDOW:
            self.points.popleft()
        if now - self.looked >= WHO:
            state = state_of(self.probe.folder, self.probe.newest)
            self.type, self.looked = state.type, now
            self.publishers, self.readers = state.publishers, state.readers

    def rate(self, now: float) -> tuple[float, float]:
        """Return messages and bytes a second."""
        last = self.points[-1]
        first = next((p for p in self.points if p[0] >= now - WINDOW), last)
        if last[1] - first[1] < FEW:
            first = self.points[0]
        took = last[0] - first[0]
        if took <= 0:
            return 0.0, 0.0
        rate = (last[1] - first[1]) / took
        if last[1] - first[1] >= FEW:
            self.usual = max(rate, self.usual * 0.98)
        return rate, (last[2] - first[2]) / took

    def age(self, now_ns: int) -> float:
        """Return the seconds since the newest message's stamp."""
        newest = self.probe.newest
        return math.nan if newest is None else max(0.0, (now_ns - newest.stamp_ns) * 1e-9)

    def behind(self, told_ns: int, age: float) -> float:
        """Return how far (s) a reader was behind that took a message of this age at that moment."""
        there = [stamp for stamp in self.stamps if stamp <= told_ns]
        if not there:
            return math.nan
        if math.isnan(age):  # it has taken none yet
            return (told_ns - min(there)) * 1e-9
        return max(0.0, (max(there) - told_ns) * 1e-9 + age)


class Topics:
    """The topics of the session that this process has joined.

    Their rings are only looked at. That somebody subscribes to ``horus/readers`` makes nodes tell
    how they keep up.
    """

    def __init__(self) -> None:
        #: Whether those of HORUS itself are followed, too.
        self.everything = False
        self.hidden = 0
        self._followed: dict[str, _Followed] = {}
        self._told = Subscriber(READERS, ReaderStatus, depth=DEPTH)
        self._lost = Lately(RECENT)

    def look(self, now: float, now_ns: int, names: Mapping[int, str]) -> tuple[Topic, ...]:
        """Return how each is, what is to be looked at first; ``names`` are those of processes."""
        self._find(now)
        for followed in list(self._followed.values()):
            try:
                followed.look(now)
            except (OSError, ValueError):  # it goes away just now
                self._drop(followed.name)
        self._hear(now)
        found = [self._topic(one, now, now_ns, names) for one in self._followed.values()]
        return tuple(sorted(found, key=by_gravity))

    def _find(self, now: float) -> None:
        there = topic_names()
        wanted = [name for name in there if self.everything or not is_internal(name)]
        self.hidden = len(there) - len(wanted)
        for name in self._followed.keys() - set(wanted):
            self._drop(name)
        for name in wanted:
            if name not in self._followed:
                with contextlib.suppress(OSError):
                    folder = session.topics_dir() / name.replace("/", "~")
                    self._followed[name] = _Followed(name, Probe(folder), now)

    def _drop(self, name: str) -> None:
        self._followed.pop(name).probe.close()

    def _hear(self, now: float) -> None:
        try:
            while (found := self._told.recv_stamped()) is not None:
                told, told_ns = found
                followed = self._followed.get(told.topic)
                if followed is not None:
                    key = (told.process, told.node)
                    lag = followed.behind(told_ns, told.age)
                    followed.readings[key] = _Reading(now, lag)
                    followed.lost[key] = told.dropped
        except TopicError:
            pass  # a damaged message: the next one comes in a second

    def _topic(self, one: _Followed, now: float, now_ns: int, names: Mapping[int, str]) -> Topic:
        rate, bandwidth = one.rate(now)
        for key, reading in list(one.readings.items()):
            if now - reading.heard > LEFT:
                del one.readings[key]
        lost = sum(one.lost.values())
        lately = self._lost.of(one.name, lost, now)
        lags = [reading.lag for reading in one.readings.values() if not math.isnan(reading.lag)]
        level: Level = "ok" if rate else "off"
        text = ""
        if not one.publishers:
            level, text = "off", "nobody sends"
        elif one.usual and now - one.heard > max(SILENT, PERIODS / one.usual):
            level, text = "warn", f"SILENT, it had {one.usual:.3g} Hz"
        elif lately:
            level, text = "warn", f"LOST {lately} in {RECENT:.0f} s: {self._losers(one)}"
        return Topic(
            name=one.name,
            level=level,
            type=one.type,
            rate=rate,
            bandwidth=bandwidth,
            lost=lost,
            lost_lately=lately,
            lag=max(lags, default=math.nan),
            age=one.age(now_ns),
            publishers=_named(one.publishers, names),
            readers=_named(one.readers, names),
            text=text,
        )

    @staticmethod
    def _losers(one: _Followed) -> str:
        names = dict.fromkeys(node for (_, node), lost in one.lost.items() if lost)
        return f"{', '.join(names)} reads too slowly" if names else ""

    def close(self) -> None:
        """Leave; nodes then tell nothing any more."""
        self._told.close()
        for name in list(self._followed):
            self._drop(name)


def _named(pids: tuple[int, ...], names: Mapping[int, str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names.get(pid) or f"pid {pid}" for pid in pids))
