"""`Rate` keeps a loop of your own on an absolute grid of time."""

from __future__ import annotations

from horus.node.options import checked_rate
from horus.scheduler.clock import Clock, SystemClock

__all__ = ["Rate"]


class Rate:
    """Holds a loop at ``hertz``: call `sleep` once in each turn.

    The grid does not shift: a turn that takes too long skips what it missed, and the next turn is
    on the grid again.

    Example:
        >>> rate = Rate(50)
        >>> for _ in range(3):
        ...     on_time = rate.sleep()

    """

    def __init__(self, hertz: float, *, clock: Clock | None = None) -> None:
        self._period = 1e9 / checked_rate(hertz, "Rate: hertz")
        self._clock: Clock = SystemClock() if clock is None else clock
        self._overruns = 0
        self.reset()

    @property
    def period(self) -> float:
        """Return the time between two turns in seconds."""
        return self._period * 1e-9

    @property
    def overruns(self) -> int:
        """Return how many turns were skipped because their time had passed already."""
        return self._overruns

    def reset(self) -> None:
        """Begin a new grid now."""
        self._origin = self._clock.monotonic_ns()
        self._turn = 0

    def remaining(self) -> float:
        """Return the seconds left until the next turn; negative when it is late."""
        due = self._origin + int((self._turn + 1) * self._period + 0.5)
        return (due - self._clock.monotonic_ns()) * 1e-9

    def sleep(self) -> bool:
        """Sleep until the next turn; return False if turns had to be skipped."""
        now = self._clock.monotonic_ns()
        missed = max(0, int((now - self._origin) / self._period) - self._turn)
        self._overruns += missed
        self._turn += missed + 1
        due = self._origin + int(self._turn * self._period + 0.5)
        while now < due:
            self._clock.sleep((due - now) * 1e-9)
            now = self._clock.monotonic_ns()
        return missed == 0
