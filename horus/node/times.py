"""How long a node's ticks take, how late they begin and how evenly they come.

Each of the three is counted in a histogram of fixed size, 16 buckets to every power of two: a
quantile is right within 3 % of itself, however long the run. The loop counts each tick, so this is
in C where it could be built, with the same numbers as the twin here.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

__all__ = ["Spread", "TickTimes", "Timing", "timing_of"]

TICK, LATENESS, JITTER = range(3)
_FINE_BITS = 4
_FINE = 1 << _FINE_BITS
_TOP = 36  # all from 2**36 ns (69 s) on is in the last bucket
_BUCKETS = (_TOP - _FINE_BITS + 1) * _FINE


class PureTickTimes:
    """Histograms of one node's ticks."""

    __slots__ = ("_counts", "_largest", "_last_late")

    def __init__(self) -> None:
        from array import array

        self._counts = [array("Q", bytes(8 * _BUCKETS)) for _ in range(3)]
        self._largest = [0, 0, 0]
        self._last_late = -1

    def record(self, late: int, duration: int, /) -> None:
        """Count a tick: how late (ns) it began, and how long (ns) it took.

        ``late`` is negative for a tick that was due at no time.
        """
        self._add(TICK, max(duration, 0))
        if late >= 0:
            self._add(LATENESS, late)
            if self._last_late >= 0:
                # Since both were due on the grid, that is what their distance is off it.
                self._add(JITTER, abs(late - self._last_late))
        self._last_late = max(late, -1)

    def _add(self, kind: int, ns: int) -> None:
        shift = ns.bit_length() - 1 - _FINE_BITS
        if shift < 0:
            bucket = ns
        elif shift >= _TOP - _FINE_BITS:
            bucket = _BUCKETS - 1
        else:
            bucket = (shift << _FINE_BITS) + (ns >> shift)
        self._counts[kind][bucket] += 1
        if ns > self._largest[kind]:
            self._largest[kind] = ns

    def counts(self, kind: int, /) -> dict[int, int]:
        """Return how many values of a kind each bucket has."""
        return {bucket: count for bucket, count in enumerate(self._counts[kind]) if count}

    def largest(self, kind: int, /) -> int:
        """Return the largest value (ns) of a kind."""
        return self._largest[kind]


TickTimes = PureTickTimes
if os.environ.get("HORUS_CORE") != "pure" and not TYPE_CHECKING:
    try:
        from horus.node._times import TickTimes
    except ImportError:  # not built: the twin counts the same, ten times slower
        TickTimes = PureTickTimes


class Spread(NamedTuple):
    """Half of the values are at most ``p50``, 99 of 100 at most ``p99``, all at most ``max``."""

    p50: float
    p99: float
    max: float


class Timing(NamedTuple):
    """How a node kept time, from its start on; durations are milliseconds."""

    #: Ticks counted.
    ticks: int
    #: Ticks a second in the run under way, or in the last one; 0.0 before the first.
    rate: float
    #: Ticks left out because their time had passed.
    overruns: int
    #: How long a tick took.
    tick: Spread
    #: How long after it was due a tick began.
    lateness: Spread
    #: By how much the time from one tick to the next was not a whole number of periods.
    jitter: Spread
    #: What a tick may take: the node's budget, else its period; 0.0 if it has neither.
    budget: float
    #: The share of the budget that ticks used: 1.0 is all of it.
    use: Spread

    def flat(self) -> dict[str, float]:
        """Return the figures by names of their own, such as ``jitter_p99_ms``."""
        found: dict[str, float] = {"rate_held_hz": self.rate, "budget_ms": self.budget}
        for name in ("tick", "lateness", "jitter"):
            for quantile, value in getattr(self, name)._asdict().items():
                found[f"{name}_{quantile}_ms"] = value
        for quantile, value in self.use._asdict().items():
            found[f"budget_use_{quantile}"] = value
        return found


def timing_of(
    times: PureTickTimes | None, ticks: int, rate: float, overruns: int, budget: float
) -> Timing:
    """Return the figures of histograms; ``budget`` is seconds."""
    tick, late, jitter = (_spread(times, kind) for kind in (TICK, LATENESS, JITTER))
    budget *= 1e3
    use = Spread(*(value / budget if budget else 0.0 for value in tick))
    return Timing(ticks, rate, overruns, tick, late, jitter, budget, use)


def _spread(times: PureTickTimes | None, kind: int) -> Spread:
    counts = {} if times is None else times.counts(kind)
    if times is None or not counts:
        return Spread(0.0, 0.0, 0.0)
    largest, total = times.largest(kind), sum(counts.values())
    p50, p99 = (min(_quantile(counts, total * share // 100), largest) for share in (50, 99))
    return Spread(p50 * 1e-6, p99 * 1e-6, largest * 1e-6)


def _quantile(counts: dict[int, int], rank: int) -> int:
    """Return the middle (ns) of the bucket with the value before which there are so many."""
    passed = 0
    for bucket in sorted(counts):
        passed += counts[bucket]
        if passed > rank:
            break
    shift = max((bucket >> _FINE_BITS) - 1, 0)
    if not bucket >> _FINE_BITS:
        return bucket
    return ((_FINE + (bucket & (_FINE - 1))) << shift) + (1 << shift >> 1)
