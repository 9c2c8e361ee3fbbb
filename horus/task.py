"""One node in a run: what is called, when it is due, and how it is started and stopped."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from horus.info import NodeState

if TYPE_CHECKING:
    from horus.node import Node

__all__ = ["Task"]


class Task:
    """One node in a run; its ticks are due at ``origin + turn * period``."""

    __slots__ = (
        "call",
        "initialised",
        "last_failure",
        "node",
        "order",
        "origin",
        "period",
        "restarts",
        "started_ns",
        "streak",
        "target",
        "turn",
    )

    def __init__(self, node: Node, order: int) -> None:
        self.node: Any = node
        self.order = order
        self.call: Callable[[Any], object] | None = None  # None: nothing to tick (any more)
        self.target = node.info  # where the loop counts
        self.period = 1e9 / node.rate  # ns
        self.origin = 0  # ns
        self.turn = 0
        self.initialised = False
        self.started_ns = 0  # of the last start or restart
        self.restarts = 0  # in a row
        self.streak = 0  # failed ticks in a row
        self.last_failure = -1  # number of the last failed tick

    # the grid ---------------------------------------------------------------------------------

    def due(self) -> int:
        """Return when the next tick is due, in ns."""
        return self.origin + int(self.turn * self.period + 0.5)

    def begin(self, now: int) -> None:
        """Lay the grid so that the first tick is due now; one put off by `defer` stays put off."""
        if self.turn >= 0:
            self.origin = now
        self.turn = 0

    def defer(self, until: int) -> None:
        """Lay the grid anew: the tick after the present one is due at ``until``."""
        self.origin = until
        self.turn = -1

    def set_rate(self, hertz: float, now: int) -> None:
        """Change the period from the last tick on; what would be due by now is left out."""
        last = self.origin + int((self.turn - 1) * self.period + 0.5)
        self.period = 1e9 / hertz
        if self.turn > 0:
            self.origin = last
            self.turn = max(1, int((now - last) / self.period) + 1)

    # the node's life --------------------------------------------------------------------------

    def initialise(self) -> None:
        """Run the node's ``init``; what it raises passes through."""
        node = self.node
        node.info._state = NodeState.INITIALIZING
        init = node._node_calls.init
        if init is not None:
            init(node)
        self.initialised = True

    def started(self, now: Callable[[], int]) -> None:
        """Let the node run from now on."""
        node = self.node
        self.call = node._node_calls.tick
        self.target = node.info
        self.started_ns = now()
        node._node_since = monotonic_ns()
        node.info._started(now)

    def make_safe(self) -> None:
        """Call an actuator's ``safe``; what it raises is logged."""
        if self.node.is_actuator:
            try:
                self.node.safe()
            except BaseException as error:
                self.log_error("safe() raised", error)

    def shut_down(self) -> None:
        """Run the ``shutdown`` of a node whose ``init`` was done, once; exceptions are logged."""
        shutdown = self.node._node_calls.shutdown
        if self.initialised:
            self.initialised = False
            if shutdown is not None:
                try:
                    shutdown(self.node)
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
        """Log what went wrong with its traceback."""
        self.node.logger.error("%s: %s", text, error, exc_info=error)
