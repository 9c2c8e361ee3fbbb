"""The clock of this process: the machine's own, or a simulated one that takes its place.

All that stamps messages or judges their age asks `now_ns`, so a `SimClock` in use moves the
stamps of every topic with it. Programs never notice which of the two it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Simulated", "in_use", "now_ns", "use", "wall_time"]


class Simulated(Protocol):
    """What stands in for the machine's clock."""

    #: Unix time in seconds at the clock's zero.
    epoch: float

    def monotonic_ns(self) -> int:
        """Return nanoseconds since its zero."""


_simulated: Simulated | None = None
#: Told the new time (ns) whenever simulated time moves; 0: the machine's own clock again.
_followers: list[Callable[[int], object]] = []


def now_ns() -> int:
    """Return nanoseconds on the monotonic clock of this process."""
    return time.monotonic_ns() if _simulated is None else _simulated.monotonic_ns()


def wall_time(mono_ns: int) -> float:
    """Return the unix time in seconds of a moment on the monotonic clock of this process."""
    if _simulated is not None:
        return _simulated.epoch + mono_ns / 1e9
    return (time.time_ns() - (time.monotonic_ns() - mono_ns)) / 1e9


def in_use() -> Simulated | None:
    """Return the simulated clock of this process, if there is one."""
    return _simulated


def use(clock: Simulated | None) -> None:
    """Put a simulated clock in the place of the machine's; None ends that."""
    global _simulated
    if clock is not None and _simulated is not None and clock is not _simulated:
        raise RuntimeError("another simulated clock is in use in this process: end that first")
    _simulated = clock
    moved(clock)


def moved(clock: Simulated | None) -> None:
    """Take note that a simulated clock has moved; one that is not in use is nobody's business."""
    if clock is _simulated:
        now = 0 if clock is None else clock.monotonic_ns()
        for tell in _followers:
            tell(now)


def follow(tell: Callable[[int], object]) -> None:
    """Have the time told from now on, such as to a part written in C."""
    _followers.append(tell)
    moved(_simulated)
