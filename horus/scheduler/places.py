"""Where the nodes of a run are called: threads, processes and the event loop of the async ones."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from time import monotonic
from typing import TYPE_CHECKING

from horus.scheduler.clock import Clock, SimClock
from horus.scheduler.compute import Child
from horus.scheduler.events import EventLoop
from horus.scheduler.failures import Failures
from horus.scheduler.loop import Loop
from horus.scheduler.slots import Slots
from horus.scheduler.stopping import TICK_TIME
from horus.scheduler.task import Task
from horus.scheduler.worker import SLICE, Job, Worker

if TYPE_CHECKING:
    from horus.scheduler.asyncnode import AsyncNode
    from horus.scheduler.coroutines import Host

__all__ = ["Places"]

#: How long a stop waits for the ticks that do not run on the thread of the run.
THREAD_STOP = 2.0  # s
#: How long a ``shutdown`` may take there before it is left, unless the node's watchdog allows more.
SHUTDOWN_TIME = 10.0  # s


class Places:
    """Gives each node its place and ends what runs there, each within a bounded time."""

    def __init__(
        self, clock: Clock, failures: Failures, fail: Callable[[BaseException], object]
    ) -> None:
        self._clock = clock
        self._failures = failures
        self._fail = fail
        #: For nodes with a thread of their own: the thread and its loop.
        self.workers: dict[str, Worker] = {}
        self.loops: dict[str, Loop] = {}
        #: What may be under way elsewhere: a loop on another thread, an async tick.
        self.ticking: dict[str, Job | AsyncNode] = {}
        self._async: list[AsyncNode] = []
        self._host: Host | None = None  # for those whose tick is async
        self._children: dict[str, tuple[Task, Child]] = {}  # with compute="process"
        self._slots = Slots()
        self._stopping = False
        #: Nodes whose init or shutdown hangs on their own thread.
        self.left: set[str] = set()

    # the start ----------------------------------------------------------------------------------

    def give(self, task: Task, loop: Loop, *, threads: bool) -> None:
        """Give a node the place that it asks for; without threads, all is the caller's."""
        node = task.node
        if threads and (node.thread or node._node_computes):
            self.workers[node.name] = Worker(f"horus-{node.name}")
        if threads and node._node_computes:
            self._let_compute(task)
        if node._node_calls.is_async and task.coroutine is None:
            self._give_event_loop(task, loop)

    def _let_compute(self, task: Task) -> None:
        node = task.node
        if node._node_computes == "process":
            child = Child(node.name)
            child.start()
            node._node_child = child.call
            self._children[node.name] = task, child
        if task.tick is not None:
            pooled = self._slots.around(task.tick)
            if task.call is task.tick:  # it has been stepped before
                task.call = pooled
            task.tick = pooled

    def _give_event_loop(self, task: Task, loop: Loop) -> None:
        from horus.scheduler.asyncnode import AsyncNode
        from horus.scheduler.coroutines import SteppedHost, ThreadHost

        if self._host is None:
            if isinstance(loop, EventLoop) and isinstance(self._clock, SimClock):
                self._host = loop.stepped = SteppedHost(self._clock)
            else:
                self._host = ThreadHost(self._fail)
        now = self._clock.monotonic_ns
        task.coroutine = AsyncNode(task, self._host, self._failures, now, self._fail)
        self.ticking[task.node.name] = task.coroutine
        self._async.append(task.coroutine)

    def is_apart(self, task: Task) -> bool:
        """Return whether a node does not tick on the thread of the run."""
        return task.node.name in self.workers or task.coroutine is not None

    def initialise(self, task: Task) -> bool:
        """Run a node's ``init`` in its place and wait for the end; what it raises is raised.

        False: the run is to end, and it has not ended for long enough after that.
        """
        worker, coroutine = self.workers.get(task.node.name), task.coroutine
        hangs = self._hangs_at_stop()
        if coroutine is not None:
            done = coroutine.host.run(coroutine.initialise(), hangs)
        elif worker is not None:
            calls = [task.initialise]
            if task.node.name in self._children:
                calls.insert(0, self._children[task.node.name][1].wait_until_ready)
            done = all(_ended(worker.submit(call), hangs) for call in calls)
            if not done:
                self.left.add(task.node.name)
        else:
            task.initialise()
            return True
        if not done:
            task.node.log_error(f"its init has not ended within {THREAD_STOP:g} s; it is left")
        return done

    def _hangs_at_stop(self) -> Callable[[], bool]:
        """Return what tells that a call goes on for too long after the run was told to end."""
        deadline = 0.0

        def hangs() -> bool:
            nonlocal deadline
            if self._stopping and not deadline:
                deadline = monotonic() + THREAD_STOP
            return self._stopping and monotonic() > deadline

        return hangs

    # the end ------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Let all that tick elsewhere end soon; sets flags only."""
        self._stopping = True
        for loop in list(self.loops.values()):
            loop.stop()
        self._slots.closed = True  # last: who waits for one leaves its tick out and ends its loop

    def stuck(self) -> list[str]:
        """Return the nodes whose tick elsewhere has not ended."""
        return [name for name, job in self.ticking.items() if not job.done.is_set()]

    def join(self, tasks: dict[str, Task]) -> None:
        """Wait for what is under way elsewhere, but not for ever."""
        now = monotonic if self._host is None else self._host.now
        grace = now() + TICK_TIME
        for name in self.stuck():
            if name in self._children:  # what it computes, nobody needs any more
                self.ticking[name].done.wait(max(0.0, grace - now()))
                self.loops[name].abandon()
        for coroutine in self._async:
            if coroutine.host.alone:
                coroutine.wait(grace - now())
        for coroutine in self._async:
            coroutine.cancel()
        for task, child in self._children.values():
            child.close()
            task.node._node_child = None
        deadline = now() + THREAD_STOP
        for name in self.stuck():
            self.ticking[name].done.wait(max(0.0, deadline - now()))
        for name in self.stuck():
            task = tasks[name]
            (task.coroutine or self.loops[name]).abandon()
            task.node.log_error(
                f"its tick has not ended within {THREAD_STOP:g} s; its shutdown is left out"
            )

    def shut_down(self, task: Task) -> None:
        """Run a node's ``shutdown`` in its place; what hangs elsewhere is left after a time."""
        worker, coroutine = self.workers.get(task.node.name), task.coroutine
        hangs = self._hangs(task)
        if coroutine is not None:
            if not coroutine.host.answers():
                task.node.log_error("the event loop is blocked; its shutdown is left out")
            elif not coroutine.host.run(coroutine.shut_down(), hangs):
                task.node.log_error("its shutdown is left; the stop goes on")
            return
        if worker is None:
            with _telling_of_a_slow(task):
                task.shut_down()
            return
        if not _ended(worker.submit(task.shut_down), hangs):
            self.left.add(task.node.name)
            task.node.log_error("its shutdown is left; the stop goes on")

    def _hangs(self, task: Task) -> Callable[[], bool]:
        """Return what tells that the ``shutdown`` of a node has taken too long since now.

        Its watchdog says so; where it has none, or none that watches, time does.
        """
        guard, seconds = task.guard, SHUTDOWN_TIME
        if guard is not None and guard.limits.watchdog_ns:
            seconds = max(seconds, 2e-9 * guard.limits.watchdog_ns)
        now = monotonic if task.coroutine is None else task.coroutine.host.now
        deadline = now() + seconds

        def hangs() -> bool:
            if guard is not None and guard.is_hanging():
                return True
            if now() <= deadline:
                return False
            task.node.log_error(f"its shutdown has not ended within {seconds:g} s")
            return True

        return hangs

    def end_coroutines(self) -> None:
        """Cancel what async nodes have left running, while their topics are still open."""
        if self._host is not None:
            self._host.close()

    def close(self) -> None:
        """Let go of threads and loops."""
        for worker in self.workers.values():
            worker.close()
        for loop in self.loops.values():
            loop.close()


@contextlib.contextmanager
def _telling_of_a_slow(task: Task) -> Iterator[None]:
    """Within ``with``, say it if the ``shutdown`` on this thread keeps the stop waiting."""
    on_main = threading.current_thread() is threading.main_thread()
    cure = "press Ctrl-C again to leave it" if on_main else "run() is not on the main thread"
    text = f"its shutdown has not ended after {SHUTDOWN_TIME:g} s; the stop waits for it: {cure}"
    timer = threading.Timer(SHUTDOWN_TIME, task.node.log_error, [text])
    timer.daemon = True
    if task.node._node_calls.shutdown is not None:
        with contextlib.suppress(RuntimeError):  # no more threads
            timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _ended(job: Job, hangs: Callable[[], bool]) -> bool:
    """Wait for the end of a job and raise what it raised; False if it hangs."""
    while not job.done.wait(SLICE):  # in slices, so that signals are seen
        if hangs():
            return False
    job.result()
    return True
