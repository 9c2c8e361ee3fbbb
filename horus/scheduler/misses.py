"""What follows when a node misses its deadline or hangs: its ``on_miss``."""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic_ns
from typing import TYPE_CHECKING

from horus.errors import DeadlineError
from horus.scheduler.clock import SimClock
from horus.scheduler.guard import Guard
from horus.scheduler.watchdog import Watchdog

if TYPE_CHECKING:
    from horus.scheduler.running import Run
    from horus.scheduler.signals import StopSignals
    from horus.scheduler.task import Task

__all__ = ["Misses"]


class Misses:
    """Carries out what the nodes of a run have chosen."""

    def __init__(self, run: Run, signals: StopSignals) -> None:
        self._run = run
        self._signals = signals
        self._watchdog: Watchdog | None = None
        self._interrupted: set[int] = set()  # `began_ns` of calls that were

    def watch(self, tasks: Iterable[Task]) -> None:
        """Start the watchdog if a node asks for it; in simulated time nothing hangs."""
        guards = [t.guard for t in tasks if t.guard is not None and t.guard.limits.watchdog_ns]
        if guards and not isinstance(self._run.clock, SimClock):
            self._watchdog = Watchdog(guards, self._hangs, self._still_hangs)

    def close(self) -> None:
        """End the watchdog."""
        if self._watchdog is not None:
            self._watchdog.close()

    def missed(self, task: Task, text: str) -> None:
        """See to a tick that ended too late."""
        guard, choice = task.guard, task.node._node_limits.on_miss
        assert guard is not None
        then = {"skip": "; the next tick is left out", "safe": "; told to be safe"}.get(choice, "")
        if choice == "stop" or guard.may_say(self._run.clock.monotonic_ns()):
            count = task.node.info.deadline_misses()
            task.node.log_warning(f"{text}{then} (missed {count} so far)")
        self._follow(task, text)

    def _follow(self, task: Task, text: str) -> None:
        choice, guard = task.node._node_limits.on_miss, task.guard
        if choice == "skip" and guard is not None:
            guard.leave_out()
        elif choice == "safe":
            self._run.make_all_safe(task)
        elif choice == "stop" and not self._run.stopping:
            self._run.fail(DeadlineError(f"node {task.node.name!r} {text}"))

    # on the watchdog's thread -------------------------------------------------------------------

    def _hangs(self, guard: Guard, seconds: float) -> None:
        """See to a call that hangs, while it does."""
        task, doing = guard.task, guard.doing
        task.node.info._hangs += 1
        text = f"{doing} has not ended after {seconds:.3g} s"
        task.node.log_error(f"hangs: its {text}; it is here:\n{guard.stack()}")
        self._run.make_all_safe(task)
        if doing == "tick" and task.node._node_limits.on_miss != "safe":
            self._follow(task, f"hangs: its {text}")
        self._still_hangs(guard)

    def _still_hangs(self, guard: Guard) -> None:
        """Leave a call that keeps the main thread from ending the run."""
        run, end = self._run, self._run.end_ns
        over = guard.doing == "shutdown" or run.stopping or (end and monotonic_ns() >= end)
        began = guard.barked_ns
        if not over or began in self._interrupted or run.places.is_apart(guard.task):
            return
        self._interrupted.add(began)
        if not self._signals.interrupt(lambda: guard.began_ns == began):
            guard.task.node.log_error(
                f"its {guard.doing} cannot be left: run() is not on the main thread; "
                "the stop waits for it"
            )
