"""What a node knows about itself: its state and the figures of its ticks."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from time import monotonic_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from horus.node.times import TickTimes, Timing

__all__ = ["NodeInfo", "NodeState"]

_MS = 1e-6  # ms in a nanosecond


class NodeState(str, Enum):
    """Where a node is in its life; each member equals its lowercase name.

    Calling a member returns it, so ``info.state()`` and ``info.state`` mean the same.
    """

    UNINITIALIZED = "uninitialized"
    INITIALIZING = "initializing"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    STOPPED = "stopped"
    ERROR = "error"
    CRASHED = "crashed"

    def __call__(self) -> NodeState:
        """Return the member itself."""
        return self

    def __str__(self) -> str:
        return str(self.value)


class NodeInfo:
    """State, metrics and uptime of one node, written by the scheduler that runs it.

    Durations are fractional milliseconds, counts are ints. Inside tick N the figures cover ticks
    1 to N-1; before the first tick every duration is 0.0.
    """

    __slots__ = (
        "_budget",
        "_error_tally",
        "_errors",
        "_failed",
        "_first_ns",
        "_first_tick",
        "_hangs",
        "_last_error",
        "_last_ns",
        "_log_error",
        "_max_ns",
        "_min_ns",
        "_misses",
        "_name",
        "_now",
        "_over_budget",
        "_overruns",
        "_record",
        "_restarts",
        "_started_ns",
        "_state",
        "_stopped_ns",
        "_ticks",
        "_times",
        "_total_ns",
        "_until_ns",
    )

    def __init__(self, name: str, log_error: Callable[[str], object]) -> None:
        self._name = name
        self._log_error = log_error
        self._now = monotonic_ns
        self._state = NodeState.UNINITIALIZED
        self._started_ns: int | None = None
        self._stopped_ns: int | None = None
        self._ticks = 0
        self._failed = 0
        self._errors = 0
        self._error_tally = 0  # towards ERROR; a restart or reset_errors() begins it anew
        self._overruns = 0
        self._over_budget = 0
        self._misses = 0
        self._hangs = 0
        self._restarts = 0
        self._last_error = ""
        #: What a tick may take, in seconds: the node sets it.
        self._budget: Callable[[], float] = float
        self._times: TickTimes | None = None
        self._first_ns: int | None = None  # when ticking began, with which number
        self._first_tick = 0
        self._until_ns: int | None = None  # when it ended
        self._record: Callable[[int, int], object] = _ignored
        self._total_ns = 0
        self._last_ns = 0
        self._max_ns = 0
        self._min_ns = 1 << 62

    # what a user reads ------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Return the node's name."""
        return self._name

    @property
    def state(self) -> NodeState:
        """Return the node's state; ``info.state`` and ``info.state()`` are the same."""
        return self._state

    def get_metrics(self) -> dict[str, float]:
        """Return the figures of the ticks so far; counts are ints, durations milliseconds."""
        return {
            "total_ticks": self._ticks,
            "successful_ticks": self._ticks - self._failed,
            "failed_ticks": self._failed,
            "errors_count": self._errors,
            "avg_tick_duration_ms": self.avg_tick_duration_ms(),
            "min_tick_duration_ms": self.min_tick_duration_ms(),
            "max_tick_duration_ms": self.max_tick_duration_ms(),
            "last_tick_duration_ms": self.last_tick_duration_ms(),
        }

    def tick_count(self) -> int:
        """Return how many ticks ended, failed ones included."""
        return self._ticks

    def successful_ticks(self) -> int:
        """Return how many ticks ended without an exception."""
        return self._ticks - self._failed

    def failed_ticks(self) -> int:
        """Return how many ticks raised, whether or not ``on_error`` handled it."""
        return self._failed

    def error_count(self) -> int:
        """Return how many exceptions ``tick`` and ``init`` raised since the last `reset_errors`."""
        return self._errors

    def last_error(self) -> str:
        """Return type and text of the last exception, or an empty string."""
        return self._last_error

    def overruns(self) -> int:
        """Return how many ticks were skipped because their time had passed already."""
        return self._overruns

    def over_budget(self) -> int:
        """Return how many ticks took longer than the node's ``budget``."""
        return self._over_budget

    def deadline_misses(self) -> int:
        """Return how many ticks ended after the node's ``deadline``."""
        return self._misses

    def hangs(self) -> int:
        """Return how often the node's ``watchdog`` found a tick or ``shutdown`` hanging."""
        return self._hangs

    def restarts(self) -> int:
        """Return how often ``failure_policy="restart"`` restarted the node."""
        return self._restarts

    def avg_tick_duration_ms(self) -> float:
        """Return the mean duration of a tick in milliseconds."""
        return self._total_ns * _MS / self._ticks if self._ticks else 0.0

    def min_tick_duration_ms(self) -> float:
        """Return the duration of the fastest tick in milliseconds."""
        return self._min_ns * _MS if self._ticks else 0.0

    def max_tick_duration_ms(self) -> float:
        """Return the duration of the slowest tick in milliseconds."""
        return self._max_ns * _MS

    def last_tick_duration_ms(self) -> float:
        """Return the duration of the most recent tick in milliseconds."""
        return self._last_ns * _MS

    def timing(self) -> Timing:
        """Return how well the node kept time: ticks, lateness, jitter, use of its budget."""
        from horus.node.times import timing_of

        seconds = 0.0
        if self._first_ns is not None:
            end = self._now() if self._until_ns is None else self._until_ns
            seconds = (end - self._first_ns) * 1e-9
        ticks = self._ticks - self._first_tick
        rate = ticks / seconds if seconds > 0 else 0.0
        return timing_of(self._times, self._ticks, rate, self._overruns, self._budget())

    def get_uptime(self) -> float:
        """Return the seconds since the node started running; they stand still once it stopped."""
        if self._started_ns is None:
            return 0.0
        end = self._now() if self._stopped_ns is None else self._stopped_ns
        return (end - self._started_ns) * 1e-9

    # what a user may change -------------------------------------------------------------------

    def transition_to_error(self, message: str) -> None:
        """Put the node into ERROR and log why, once; it keeps ticking."""
        if self._state not in (NodeState.ERROR, NodeState.CRASHED):
            self._state = NodeState.ERROR
            self._log_error(f"state ERROR: {message}")

    def reset_errors(self) -> None:
        """Forget the exceptions counted so far and leave ERROR; ticks and failed ticks stay."""
        self._errors = self._error_tally = 0
        if self._state is NodeState.ERROR:
            self._state = NodeState.RUNNING

    # what the scheduler writes ----------------------------------------------------------------

    def _started(self, now: Callable[[], int]) -> None:
        """Note that the node runs from now on."""
        self._now = now
        self._started_ns = now()
        self._stopped_ns = None
        self._error_tally = 0
        self._state = NodeState.RUNNING
        if self._times is None:
            from horus.node.times import TickTimes

            self._times = TickTimes()
            self._record = self._times.record

    def _ticks_from(self, now_ns: int) -> None:
        """Note that its time to tick has begun, unless it has already."""
        if self._first_ns is None or self._until_ns is not None:
            self._first_ns, self._first_tick, self._until_ns = now_ns, self._ticks, None

    def _ticks_until(self, now_ns: int) -> None:
        """Note that its time to tick is over."""
        if self._until_ns is None:
            self._until_ns = now_ns

    def _stopped(self) -> None:
        """Note that the node has stopped; a crashed one stays CRASHED."""
        if self._started_ns is not None:
            self._stopped_ns = self._now()
        if self._state is not NodeState.CRASHED:
            self._state = NodeState.STOPPED

    def _ticked(self, duration_ns: int, late_ns: int = -1) -> None:
        """Count one tick, ``late_ns`` after it was due; the scheduler's loop does it in line."""
        self._record(late_ns, duration_ns)
        self._ticks += 1
        self._total_ns += duration_ns
        self._last_ns = duration_ns
        self._max_ns = max(self._max_ns, duration_ns)
        self._min_ns = min(self._min_ns, duration_ns)

    def _raised(self, error: BaseException) -> None:
        """Count one exception."""
        self._errors += 1
        self._error_tally += 1
        self._last_error = describe(error)

    def __repr__(self) -> str:
        return f"<NodeInfo {self._name!r} {self._state} ticks={self._ticks} errors={self._errors}>"


def _ignored(_late_ns: int, _duration_ns: int) -> None:
    """Take no note of a tick of what is no node, or has not started."""


def describe(error: BaseException) -> str:
    """Return type and text of an exception on one line."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
