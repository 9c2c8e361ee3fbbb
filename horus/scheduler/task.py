"""One node in a run: what is called, when it is due, and how it is started and stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from horus.clock import now_ns
from horus.errors import HorusError
from horus.node.info import NodeState
from horus.scheduler.guard import Guard, Missed
from horus.scheduler.tracebacks import strip_traceback
from horus.scheduler.watch import Watch

if TYPE_CHECKING:
    from horus.node import Node
    from horus.scheduler.asyncnode import AsyncNode

__all__ = ["FOREVER_NS", "Task"]

FOREVER_NS = 100 * 365 * 86_400 * 1_000_000_000


class Task:
    """One node in a run.

    Its ticks are due on a grid: ``n`` whole periods after the first, rounded down to a ns. A
    period is ``step`` ns and ``rest / whole`` of one, so nodes whose rates are multiples of each
    other meet for ever.
    """

    __slots__ = (
        "call",
        "carry",
        "coroutine",
        "due",
        "events",
        "guard",
        "initialised",
        "last_failure",
        "node",
        "order",
        "put_off",
        "rest",
        "restarts",
        "started_ns",
        "starting",
        "step",
        "streak",
        "target",
        "tick",
        "warned",
        "whole",
    )

    def __init__(self, node: Node, order: int) -> None:
        self.node: Any = node
        self.order = order
        self.warned = False  # that it is too slow for its rate
        self.call: Callable[[Any], object] | None = None  # None: nothing to tick (any more)
        #: What `call` is while the node runs; a guard if its time is limited.
        self.tick: Callable[[Any], object] | None = node._node_calls.tick
        self.guard: Guard | None = None
        self.coroutine: AsyncNode | None = None  # what begins its ticks, if they are async
        self.target = node.info  # where the loop counts
        self.due = 0  # ns: the next tick; while a loop runs, that is in the loop's heap
        self.put_off = 0  # ns: when the next tick is due instead, if not 0
        self.events: Watch | None = None if not node._node_on else Watch(node)
        self._set_period(node.rate)
        self.initialised = False
        self.starting = False  # what is called is init again, not tick
        self.started_ns = 0  # of the last start or restart
        self.restarts = 0  # in a row
        self.streak = 0  # failed ticks in a row
        self.last_failure = -1  # number of the last failed tick

    def limit(self, missed: Missed, now: Callable[[], int]) -> None:
        """Let the node's limits of time be minded."""
        limits = self.node._node_limits
        if limits is not None:
            self.guard = guard = Guard(self, limits, self.tick, missed, now)
            self.tick = None if self.tick is None else guard

    # the grid ---------------------------------------------------------------------------------

    def _set_period(self, hertz: float) -> None:
        if not hertz:  # messages call it, time never does
            self.step, self.rest, self.whole, self.carry = FOREVER_NS, 0, 1, 0
            return
        times, seconds = hertz.as_integer_ratio()
        self.step, self.rest = divmod(seconds * 1_000_000_000, times)
        self.whole, self.carry = times, 0

    def begin(self, now: int) -> None:
        """Lay the grid so that the first tick is due now, or when it was put off to."""
        first = now
        if self.events is not None:  # its first tick by time is a heartbeat
            first = now + self.step
            self.events.hold(self.put_off)
        self.due, self.put_off, self.carry = self.put_off or first, 0, 0

    def advance(self, ticks: int) -> int:
        """Return by how many ns the tick so many ticks on is due later, and move on to it."""
        more, self.carry = divmod(self.carry + ticks * self.rest, self.whole)
        return ticks * self.step + more

    def missed(self, late: int) -> int:
        """Return how many ticks are due before a moment ``late`` ns after the next one."""
        return -((self.carry - late * self.whole) // (self.step * self.whole + self.rest))

    def set_rate(self, hertz: float, now: int) -> None:
        """Change the period from the last tick on; what would be due by now is left out."""
        last = self.due - self.step
        self._set_period(hertz)
        if self.events is not None:
            self.due = self.due and now + self.step
        elif self.due:
            self.due = last + self.advance(1)
            self.due += self.advance(max(0, self.missed(now - self.due)))

    # the node's life --------------------------------------------------------------------------

    def initialise(self) -> None:
        """Run the node's ``init``; what it raises passes through."""
        self.before_init()
        init = self.node._node_calls.init
        if init is not None:
            init(self.node)
        self.after_init()

    def before_init(self) -> None:
        """Note that the node's ``init`` begins."""
        self.node.info._state = NodeState.INITIALIZING
        self.starting = True

    def after_init(self) -> None:
        """Note that the node's ``init`` was done."""
        self.starting = False
        self.initialised = True

    def started(self, now: Callable[[], int]) -> None:
        """Let the node run from now on."""
        node = self.node
        self.call, self.target = self.tick, node.info
        if self.coroutine is not None:
            self.call, self.target = self.coroutine, self.coroutine.aside
        self.started_ns = now()
        node._node_since = now_ns()
        node.info._started(now)

    def make_safe(self, *, always: bool = False) -> None:
        """Call an actuator's ``safe``, or always that of a node; what it raises is logged."""
        if self.node.is_actuator or always:
            try:
                self.node.safe()
            except HorusError as error:  # it says what was wrong, to which device
                self.node.log_error(f"could not be made safe: {error}")
            except BaseException as error:
                self.log_error("safe() raised", error)

    def shut_down(self) -> None:
        """Run the ``shutdown`` of a node whose ``init`` was done, once; exceptions are logged."""
        shutdown = self.node._node_calls.shutdown
        if self.initialised:
            self.initialised = False
            if shutdown is not None:
                try:
                    if self.guard is None:
                        shutdown(self.node)
                    else:
                        self.guard.around("shutdown", shutdown, self.node)
                except Exception as error:
                    self.log_error("shutdown raised", error)

    def close(self) -> None:
        """Let go of the node's topics and of its event loop."""
        try:
            try:
                self.node._node_calls.close()
            finally:
                self.node.close_topics()
        except Exception as error:
            self.log_error("closing the node's event loop and topics raised", error)

    def log_error(self, text: str, error: BaseException) -> None:
        """Log what went wrong with its traceback, which begins where the user's code does."""
        about = (type(error), error, strip_traceback(error.__traceback__))
        self.node.logger.error("%s: %s", text, error, exc_info=about)
