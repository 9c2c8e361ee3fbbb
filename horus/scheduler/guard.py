"""A node's tick with limits of time: ``budget``, ``deadline`` and ``watchdog``.

Only a node that has such a limit is called through a `Guard`; all others pay nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Any

from horus.node.info import NodeInfo

if TYPE_CHECKING:
    from horus.node.options import Limits
    from horus.scheduler.task import Task

__all__ = ["Guard", "Missed"]

#: A miss is logged when it is the first, then at most this often.
SAY_EVERY_NS = 1_000_000_000
_S = 1e-9

#: Called when a deadline was missed or a tick hangs: the task, in words what happened.
Missed = Callable[["Task", str], object]


class Guard:
    """Calls one node's functions and minds how long they take."""

    __slots__ = (
        "_due",
        "_frames",
        "_missed",
        "_now",
        "_said_ns",
        "_skip",
        "aside",
        "barked_ns",
        "began_ns",
        "doing",
        "limits",
        "task",
        "thread",
        "tick",
    )

    def __init__(
        self, task: Task, limits: Limits, tick: Callable[[Any], object] | None, missed: Missed,
        now: Callable[[], int],
    ) -> None:  # fmt: skip
        self.task = task
        self.limits = limits
        self.tick = tick
        self._missed = missed
        self._now = now
        self.aside = NodeInfo("left out", str)  # counts the ticks that are left out
        self._skip = False
        self._said_ns = -SAY_EVERY_NS
        self._due: Callable[[], int] | None = None
        self._frames: Callable[[], list[Any]] | None = None
        self.doing = "tick"
        self.began_ns = 0  # of the call that is under way; 0: none is
        self.barked_ns = 0  # `began_ns` of the call that the watchdog has reported
        self.thread = 0  # on which it is

    def due_from(self, due: Callable[[], int] | None) -> None:
        """Learn from the loop when the tick that it makes was due (ns)."""
        self._due = due

    def __call__(self, node: Any) -> object:
        """Tick, and look afterwards whether it kept its limits."""
        if self.skipping():
            self.task.target = node.info
            return None
        assert self.tick is not None
        began = self._now()
        due = self.due(began)
        self.begin("tick", began, get_ident())
        try:
            return self.tick(node)
        finally:
            self.end()
            self.check(self._now(), began, due)

    def due(self, now: int) -> int:
        """Return when the tick that begins now was due."""
        return now if self._due is None else min(self._due(), now)

    def skipping(self) -> bool:
        """Return whether this tick is to be left out, and count it."""
        skip, self._skip = self._skip, False
        self.task.node.info._overruns += skip
        return skip

    def begin(
        self, doing: str, now: int, thread: int, frames: Callable[[], list[Any]] | None = None
    ) -> None:
        """Note that a call begins, for the watchdog; ``frames`` tells where a coroutine is."""
        self.doing, self.thread, self._frames = doing, thread, frames
        self.began_ns = now

    def end(self) -> None:
        """Note that the call has ended."""
        self.began_ns = 0

    def check(self, ended: int, began: int, due: int) -> None:
        """Count what a tick that has ended took too long, and see to it."""
        node, limits = self.task.node, self.limits
        if limits.budget_ns and ended - began > limits.budget_ns:
            node.info._over_budget += 1
            if node.info._over_budget == 1:
                node.log_warning(
                    f"over its budget: a tick took {(ended - began) * _S:.3g} s, "
                    f"{limits.budget_ns * _S:g} s are planned "
                    "(said once; node.info.over_budget() counts)"
                )
        if limits.deadline_ns and ended - due > limits.deadline_ns:
            node.info._misses += 1
            self._missed(
                self.task,
                f"missed its deadline: a tick ended {(ended - due) * _S:.3g} s after it was due, "
                f"{limits.deadline_ns * _S:g} s are allowed",
            )

    def leave_out(self) -> None:
        """Leave the next tick out."""
        self._skip = True
        self.task.target = self.aside

    def may_say(self, now: int) -> bool:
        """Return whether a miss is to be logged again."""
        if now - self._said_ns < SAY_EVERY_NS:
            return False
        self._said_ns = now
        return True

    def around(self, doing: str, call: Callable[[Any], object], node: Any) -> object:
        """Make another call of the node, such as ``shutdown``, under the eyes of the watchdog."""
        self.begin(doing, self._now(), get_ident())
        try:
            return call(node)
        finally:
            self.end()

    def is_hanging(self) -> bool:
        """Return whether the call that the watchdog has reported is still under way."""
        return self.began_ns != 0 and self.began_ns == self.barked_ns

    def stack(self) -> str:
        """Return where the call is, without the frames of the scheduler."""
        import traceback

        waiting = [] if self._frames is None else self._frames()
        if waiting:
            walked = [(frame, frame.f_lineno) for frame in waiting]
            return "".join(traceback.StackSummary.extract(iter(walked)).format()).rstrip()
        frame = sys._current_frames().get(self.thread)
        frames = traceback.extract_stack(frame) if frame is not None else []
        own = [number for number, one in enumerate(frames) if "/horus/scheduler/" in one.filename]
        return "".join(traceback.format_list(frames[own[-1] + 1 if own else 0 :])).rstrip()
