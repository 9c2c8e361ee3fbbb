"""Where time comes from: the machine's clock, or one that moves only when told to."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Protocol

from horus import clock as process_clock
from horus.node.options import checked_seconds

__all__ = ["Clock", "SimClock", "SystemClock", "checked_clock"]

#: Least step (ns) of simulated time that a sleep takes, so that who waits awake comes to an end.
LEAST_NS = 1_000
#: A simulated clock shows less than this (s), and it is not set farther from 1970 than that.
MOST_S, MOST_EPOCH_S = 1e9, 1e11


class Clock(Protocol):
    """A monotonic clock and the sleep that goes with it."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds since some fixed moment; never goes back."""

    def sleep(self, seconds: float) -> None:
        """Let this much time pass."""


class SystemClock:
    """The machine's own monotonic clock."""

    monotonic_ns = staticmethod(time.monotonic_ns)
    sleep = staticmethod(time.sleep)


class SimClock:
    """A clock that moves only when told to: seconds pass as fast as they can be computed.

    A `Scheduler` with it ticks nodes at their rates in simulated time, and stamps and ages of
    messages follow it in the whole process while it runs::

        Scheduler(clock=SimClock()).add(node).run(duration=60)     # 60 s in a moment

    What asks Python's own `time` module is not fooled, and what blocks, such as `Topic.wait` or a
    call, takes real time while this one stands still. Within ``with`` the clock is in use even
    when no scheduler runs; there can be one in a process.

    Args:
        start: seconds that it shows at first, above 0.
        epoch: unix time in seconds at its zero; by default the year 2000 begins.

    """

    def __init__(self, start: float = 1.0, epoch: float = 946_684_800.0) -> None:
        if not checked_seconds(start, "SimClock: start", MOST_S):
            raise ValueError(f"SimClock: start is {start!r}; it is seconds, above 0")
        if not isinstance(epoch, (int, float)) or not abs(epoch) < MOST_EPOCH_S:
            raise ValueError(f"SimClock: epoch is {epoch!r}; it is unix time, in seconds")
        self.epoch = epoch
        self._start_ns = self._now_ns = round(start * 1e9)
        self._before: list[process_clock.Simulated | None] = []

    @property
    def seconds(self) -> float:
        """Return the simulated seconds since the start."""
        return (self._now_ns - self._start_ns) / 1e9

    def monotonic_ns(self) -> int:
        """Return the simulated time in nanoseconds."""
        return self._now_ns

    def advance(self, seconds: float) -> None:
        """Let time pass; nothing happens by that alone."""
        self._now_ns += round(checked_seconds(seconds, "SimClock.advance: seconds", MOST_S) * 1e9)
        process_clock.moved(self)

    def sleep(self, seconds: float) -> None:
        """Let time pass, were it only a microsecond."""
        try:
            self._now_ns += max(round(seconds * 1e9), LEAST_NS)
        except (TypeError, ValueError, OverflowError):
            checked_seconds(seconds, "SimClock.sleep: seconds")
            raise
        process_clock.moved(self)

    def __enter__(self) -> SimClock:
        self._before.append(process_clock.in_use())
        process_clock.use(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process_clock.use(self._before.pop())

    def __repr__(self) -> str:
        return f"SimClock({self.seconds:.6f} s)"


def checked_clock(clock: Any, what: str) -> Clock:
    """Return a clock, or raise the error that says what must be given."""
    if isinstance(clock, type) or not hasattr(clock, "monotonic_ns") or not hasattr(clock, "sleep"):
        raise TypeError(
            f"{what}: clock is {clock!r}; it must be a SimClock(), or an object with "
            "monotonic_ns() and sleep(seconds)"
        )
    found: Clock = clock
    return found
