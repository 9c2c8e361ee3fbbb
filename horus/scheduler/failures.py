"""What becomes of a node whose function raised: the guide's table and the failure policies."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from horus.node.info import NodeInfo, NodeState

if TYPE_CHECKING:
    from horus.scheduler.clock import Clock
    from horus.scheduler.task import Task

__all__ = ["Failures", "none_hint"]

#: With ``on_error``, one exception more than this puts a node into ERROR.
TOLERATED_ERRORS = 10
#: A node that ran this long is taken for cured: its restarts are counted anew.
CURED_NS = 30_000_000_000
LONGEST_RESTART_DELAY = 5.0  # s
#: ``skip``: failed ticks in a row before the node rests, and for how long.
SKIP_STREAK = 5
SKIP_REST_NS = 1_000_000_000


class Failures:
    """Decides, on the thread of the node, how it goes on after an exception."""

    def __init__(self, clock: Clock, crash: Callable[[Task, BaseException, str], None]) -> None:
        self._now = clock.monotonic_ns
        self._crash = crash
        self._aside = NodeInfo("restarts", str)  # counts what is no tick
        self._tick: dict[str, Callable[[Task, Exception], bool]] = {
            "fatal": partial(self._fatal, "tick"),
            "restart": partial(self._restart, "tick"),
            "skip": self._skip,
            "ignore": self._ignore,
        }
        self._init: dict[str, Callable[[Task, Exception], bool]] = {
            "fatal": partial(self._fatal, "init"),
            "restart": partial(self._restart, "init"),
            "skip": self._leave_out,
            "ignore": self._leave_out,
        }

    def failed(self, task: Task, error: Exception) -> bool:
        """Deal with an exception from ``tick`` or ``init``; return whether the node goes on."""
        task.node.info._raised(error)
        on_error = task.node._node_calls.on_error
        if task.starting or on_error is None:
            return self.policy(task, error)
        second = None
        try:
            on_error(task.node, error)
        except Exception as raised:
            second = raised
        self.handled(task, error, second)
        return True

    def policy(self, task: Task, error: Exception) -> bool:
        """Do what the node's policy says; return whether it goes on."""
        policies = self._init if task.starting else self._tick
        return policies[task.node.failure_policy](task, error)

    def handled(self, task: Task, error: Exception, second: Exception | None) -> None:
        """Note that ``on_error`` has handled an exception, or has raised a second one."""
        if second is not None:
            if second is not error and second.__context__ is None:
                second.__context__ = error  # so that both tracebacks are logged
            task.log_error("on_error raised while it handled an exception of tick", second)
        if task.node.info._error_tally > TOLERATED_ERRORS:
            task.node.info.transition_to_error(f"more than {TOLERATED_ERRORS} exceptions")

    def _fatal(self, where: str, task: Task, error: Exception) -> bool:
        self._crash(task, error, where)
        return False

    def _leave_out(self, task: Task, error: Exception) -> bool:
        task.node.info._state = NodeState.CRASHED
        task.log_error("init raised; this node never ticks, the others go on", error)
        task.make_safe()
        return False

    def _ignore(self, task: Task, error: Exception) -> bool:
        if task.node.info._failed == 1:
            task.log_error("tick raised, ignored from now on", error)
        return True

    def _skip(self, task: Task, error: Exception) -> bool:
        tick = task.node.info._ticks
        task.streak = task.streak + 1 if task.last_failure == tick - 1 else 1
        task.last_failure = tick
        task.log_error("tick raised; skipped", error)
        if task.streak >= SKIP_STREAK:
            task.streak = 0
            task.node.log_warning(
                f"{SKIP_STREAK} ticks in a row raised: resting for {SKIP_REST_NS / 1e9:g} s"
            )
            task.node.info._state = NodeState.PAUSED
            task.make_safe()
            if task.coroutine is not None:
                task.coroutine.rest(self._now() + SKIP_REST_NS)
                return True
            task.call = partial(self._resume, task)
            if task.events is not None:  # its next tick comes with a message
                task.call, task.target = partial(self._wake, task), self._aside
            task.put_off = self._now() + SKIP_REST_NS
        return True

    def _resume(self, task: Task, node: Any) -> object:
        node.info._state = NodeState.RUNNING
        task.call = tick = task.tick
        assert tick is not None
        return tick(node)

    def _wake(self, task: Task, node: Any) -> None:
        node.info._state = NodeState.RUNNING
        task.call, task.target = task.tick, node.info

    def _restart(self, where: str, task: Task, error: Exception) -> bool:
        node, now = task.node, self._now()
        if task.started_ns and now - task.started_ns > CURED_NS:
            task.restarts = 0
        if task.restarts >= node.max_restarts:
            self._crash(task, error, f"{where}, after {task.restarts} restarts")
            return False
        delay = min(node.restart_delay * 2 ** min(task.restarts, 20), LONGEST_RESTART_DELAY)
        task.restarts += 1
        node.info._restarts += 1
        node.info._state = NodeState.CRASHED
        task.log_error(
            f"{where} raised; restart {task.restarts} of {node.max_restarts} in {delay:g} s", error
        )
        task.make_safe()
        if task.coroutine is not None:
            task.coroutine.begin_again(now + int(delay * 1e9))
            return True
        task.shut_down()
        task.call = partial(self._begin_again, task)
        task.target = self._aside
        task.put_off = now + int(delay * 1e9)
        return True

    def _begin_again(self, task: Task, _node: Any) -> None:
        task.started_ns = 0
        task.initialise()
        task.started(self._now)
        if task.call is None:  # a node without tick stays in the loop all the same
            task.call = _nothing


def _nothing(_node: Any) -> None:
    """Do nothing."""


def none_hint(task: Task, error: BaseException) -> str:
    """Return a hint if a node seems to have worked on the None of an empty topic, or nothing."""
    if isinstance(error, (TypeError, AttributeError)) and "NoneType" in str(error):
        topics = task.node.get_subscribers()
        if topics:
            topic = repr(topics[0]) if len(topics) == 1 else "topic"
            return (
                f"hint: node.get({topic}) returns None while no message is there; "
                f"check `if data is not None:`, or node.has_msg({topic}) first"
            )
    return ""
