"""`Run`: one life of a scheduler's nodes, from their init to the closing of their topics."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack, nullcontext
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from horus.node import Node
from horus.node.chance import seed_everything
from horus.node.info import NodeState, describe
from horus.scheduler.clock import Clock, SimClock
from horus.scheduler.compute import Child, Slots
from horus.scheduler.events import EventLoop
from horus.scheduler.failures import Failures, none_hint
from horus.scheduler.loop import Loop
from horus.scheduler.misses import Misses
from horus.scheduler.signals import StopSignals
from horus.scheduler.stopping import TICK_TIME, make_safe, strip_traceback
from horus.scheduler.task import Task
from horus.scheduler.worker import SLICE, Job, Worker

if TYPE_CHECKING:
    from horus.scheduler.asyncnode import AsyncNode
    from horus.scheduler.coroutines import Host
    from horus.scheduler.realtime import Manners, RealTime

__all__ = ["Run"]

#: How long a stop waits for the ticks that run on threads of their own.
THREAD_STOP = 2.0  # s
#: How soon a thread that is due gets Python's lock from one that computes, the program's own too.
SWITCH_INTERVAL = 1e-4  # s


class Run:
    """Starts nodes, ticks them, and stops them in order whatever happens."""

    def __init__(
        self,
        nodes: Iterable[tuple[Node, int]],
        clock: Clock,
        spin_ns: int,
        realtime: RealTime | None = None,
        seed: int | None = None,
    ) -> None:
        nodes = list(nodes)
        self._seed = seed
        if seed is not None:
            seed_everything(seed)
        self._manners: Manners | None = None
        if realtime is not None:
            from horus.scheduler.realtime import Manners

            spin_ns = spin_ns or realtime.spin_ns(max((n.rate for n, _ in nodes), default=0.0))
            self._manners = Manners(realtime, spin_ns)
        self.clock = clock
        self._using = ExitStack()
        if isinstance(clock, SimClock):  # the stamps of this process follow it
            self._using.enter_context(clock)
        self._spin_ns = spin_ns
        self._failures = Failures(clock, self._crash)
        self._signals = StopSignals(self.stop)
        self._misses = Misses(self, self._signals)
        self._tasks: dict[str, Task] = {}  # in the order of adding
        self._loop = self._new_loop()
        for node, order in nodes:
            self.add(node, order)
        # For nodes with a thread of their own: the thread, its loop, and the call that is the loop.
        self._workers: dict[str, Worker] = {}
        self._loops: dict[str, Loop] = {}
        self._ticking: dict[str, Job | AsyncNode] = {}
        self._host: Host | None = None  # for those whose tick is async
        self._failure: BaseException | None = None
        self._children: dict[str, Child] = {}  # where nodes with compute="process" compute
        self._slots = Slots()
        self._left: set[str] = set()  # nodes whose shutdown hangs on their own thread
        self.end_ns: int | None = None
        self.stopping = False

    def _new_loop(self, task: Task | None = None) -> Loop:
        kind = EventLoop if task is not None and self._has_events(task) else Loop
        return kind(self.clock, self._failures.failed, self._spin_ns)

    def _has_events(self, task: Task) -> bool:
        """Return whether more than the grid makes a node tick: messages, or simulated timers."""
        simulated = isinstance(self.clock, SimClock)
        return task.events is not None or (simulated and task.node._node_calls.is_async)

    def add(self, node: Node, order: int) -> None:
        """Take in a node; it starts at the next `to_the_end` or `step`."""
        if self._seed is not None:
            node._node_chance.begin(self._seed)
        self._tasks[node.name] = task = Task(node, order)
        task.limit(self._misses.missed, self.clock.monotonic_ns)
        if self._has_events(task) and not isinstance(self._loop, EventLoop):
            self._loop = self._new_loop(task)

    def set_rate(self, name: str, hertz: float) -> None:
        """Change a node's rate from its last tick on."""
        self._loops.get(name, self._loop).set_rate(self._tasks[name], hertz)

    # ticking ----------------------------------------------------------------------------------

    def to_the_end(self, duration: float | None) -> BaseException | None:
        """Start, tick until something says stop, end; return what the run is to raise."""
        switch_interval = sys.getswitchinterval()
        try:
            with self._signals as signals:
                self._misses.watch(self._tasks.values())
                try:
                    try:
                        signals.interruptible = True
                        self._start(threads=not isinstance(self.clock, SimClock))
                        _say_started()
                        with nullcontext() if self._manners is None else self._manners.process():
                            self._tick(duration)
                    finally:
                        signals.interruptible = False
                except BaseException as error:
                    signals.interruptible = False  # a signal may have come in the line before
                    self._note(error)
                return self.end()
        finally:
            self._misses.close()
            sys.setswitchinterval(switch_interval)

    def step(self) -> bool:
        """Start what has not started, tick each node once; return whether the run goes on."""
        try:
            self._start(threads=False)
            self._loop.tasks = list(self._tasks.values())
            self._loop.tick_once()
        except BaseException as error:
            self._note(error)
        return not self.stopping and self._failure is None

    def proceed(self, seconds: float) -> bool:
        """Tick at the nodes' rates for so long; return whether the run goes on.

        All on this thread. What was due is due still when it is called again.
        """
        try:
            self._start(threads=False)
            if not self.stopping:
                self._loop.tasks = list(self._tasks.values())
                begin = self.clock.monotonic_ns()
                self._count_from(begin)
                self._loop.run(begin, begin + round(seconds * 1e9), anew=False)
                self._loop.stopping = self.stopping
        except BaseException as error:
            self._note(error)
        return not self.stopping and self._failure is None

    def _start(self, *, threads: bool) -> None:
        """Open all topics, then run the init of each node that has not started, in order."""
        for task in self._tasks.values():
            task.node.open_topics()
        for name, task in self._tasks.items():
            if self.stopping:
                return
            if threads:
                self._give_thread(name, task)
            if task.node._node_calls.is_async and task.coroutine is None:
                self._give_event_loop(name, task)
            if not task.initialised and task.call is None:
                try:
                    self._call(name, task.initialise)
                except Exception as error:
                    self._failures.failed(task, error)
                else:
                    task.started(self.clock.monotonic_ns)

    def _give_thread(self, name: str, task: Task) -> None:
        """Give a node the thread, and the process, that it asks for."""
        node = task.node
        if node.thread or node._node_computes:
            self._workers[name] = Worker(f"horus-{name}")
        if node._node_computes == "process":
            self._children[name] = child = Child(name)
            child.start()
            node._node_child = child.call
        if node._node_computes and task.tick is not None:
            pooled = self._slots.around(task.tick)
            if task.call is task.tick:  # it has been stepped before
                task.call = pooled
            task.tick = pooled

    def _give_event_loop(self, name: str, task: Task) -> None:
        """Let an async node run beside the others on the event loop of the run."""
        from horus.scheduler.asyncnode import AsyncNode
        from horus.scheduler.coroutines import SteppedHost, ThreadHost

        if self._host is None:
            if isinstance(self._loop, EventLoop) and isinstance(self.clock, SimClock):
                self._host = self._loop.stepped = SteppedHost(self.clock)
            else:
                self._host = ThreadHost(self.fail)
        task.coroutine = self._ticking[name] = AsyncNode(
            task, self._host, self._failures, self.clock.monotonic_ns, self.fail
        )

    def _call(self, name: str, function: Callable[[], object]) -> None:
        """Call on the node's own thread, if it has one, and wait for the end."""
        worker, coroutine = self._workers.get(name), self._tasks[name].coroutine
        if coroutine is not None:
            coroutine.host.run(coroutine.initialise())
        elif worker is None:
            function()
        else:
            worker.submit(function).result()

    def _bounded(self, name: str, task: Task) -> None:
        """Run a shutdown; one on another thread is left when the node's watchdog says so."""
        worker, guard = self._workers.get(name), task.guard
        if task.coroutine is not None:
            host = task.coroutine.host
            watched = guard is not None and guard.limits.watchdog_ns
            left = "the event loop is blocked; its shutdown is left out"
            if host.answers():
                left = "its shutdown is left; the stop goes on"
                hangs = (lambda: guard.hanging) if guard is not None and watched else bool
                if host.run(task.coroutine.shut_down(), hangs):
                    return
            task.node.log_error(left)
            return
        if worker is None or guard is None or not guard.limits.watchdog_ns:
            self._call(name, task.shut_down)
            return
        job = worker.submit(task.shut_down)
        while not job.done.wait(SLICE):
            if guard.hanging:
                self._left.add(name)
                task.node.log_error("its shutdown is left; the stop goes on")
                return
        job.result()

    def _tick(self, duration: float | None) -> None:
        """Tick all nodes until something says stop."""
        if self.stopping or not any(t.initialised or t.call for t in self._tasks.values()):
            return  # no node is left to run
        begin = self.clock.monotonic_ns()
        end = None if duration is None else begin + int(duration * 1e9)
        self.end_ns = end
        self._count_from(begin)
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_INTERVAL))
        mine = [t for name, t in self._tasks.items() if name not in self._workers]
        if not any(
            map(self._has_events, mine)
        ):  # those that messages call have threads of their own
            self._loop = self._new_loop()
        self._loop.tasks = mine
        for name in self._workers:
            self._loops[name] = self._new_loop(self._tasks[name])
            self._loops[name].tasks = [self._tasks[name]]
        for name, loop in self._loops.items():
            self._ticking[name] = self._workers[name].submit(partial(self._tick_apart, loop, begin))
        if not self.stopping:
            self._run_loop(self._loop, begin, end)

    def _run_loop(self, loop: Loop, begin: int, end: int | None) -> None:
        """Run a loop on this thread, in real time if that is asked for."""
        with nullcontext() if self._manners is None else self._manners.thread():
            loop.run(begin, end)

    def _count_from(self, now: int) -> None:
        for task in self._tasks.values():
            task.node.info._ticks_from(now)

    def _tick_apart(self, loop: Loop, begin: int) -> None:
        """Run the loop of another thread; what it raises ends the whole run."""
        try:
            if not self.stopping:
                self._run_loop(loop, begin, None)
        except BaseException as error:
            self._note(error)
            self.stop()

    def make_all_safe(self, task: Task) -> None:
        """Make every actuator safe in the middle of a run, and call the own `safe` of a node."""
        if isinstance(self.clock, SimClock):
            for other in self._tasks.values():
                other.make_safe()
        else:
            make_safe(list(self._tasks.values()), {})
        if not task.node.is_actuator:
            task.make_safe(always=True)

    def is_apart(self, task: Task) -> bool:
        """Return whether a node does not tick on the thread of the run."""
        return task.node.name in self._workers or task.coroutine is not None

    def fail(self, error: BaseException) -> None:
        """End the run in order and let it raise this."""
        self._note(error)
        self.stop()

    # failing ----------------------------------------------------------------------------------

    def _crash(self, task: Task, error: BaseException, where: str) -> None:
        """Note that a node is lost, and end the run."""
        task.node.info._state = NodeState.CRASHED
        hint = none_hint(task, error)
        task.node.log_error(f"crashed in {where}: {describe(error)}" + (hint and f"; {hint}"))
        self._note(error)
        self.stop()

    def _note(self, error: BaseException) -> None:
        """Keep what the run will raise; the KeyboardInterrupt of a signal is not a failure."""
        if isinstance(error, KeyboardInterrupt) and (self._signals.received or self._signals.left):
            self._signals.left = False
            return
        if self._failure is None:
            self._failure = error.with_traceback(strip_traceback(error.__traceback__))
        elif error is not self._failure:
            from horus.logs import logger

            logger("scheduler").error("a further exception: %s", describe(error), exc_info=error)

    # stopping ---------------------------------------------------------------------------------

    def stop(self) -> None:
        """Let the ticking end soon; sets flags only, so it may be called from anywhere."""
        self.stopping = True
        self._loop.stop()
        for loop in list(self._loops.values()):
            loop.stop()

    def end(self) -> BaseException | None:
        """Stop everything in order; return what the run is to raise."""
        self.stop()
        now = self.clock.monotonic_ns()
        for task in self._tasks.values():
            task.node.info._ticks_until(now)
            if task.initialised and task.node.info.state is not NodeState.CRASHED:
                task.node.info._state = NodeState.STOPPING
        if isinstance(self.clock, SimClock):  # in order, so that a run repeats exactly
            for task in self._tasks.values():
                task.make_safe()
            late = []
        else:
            late = make_safe(list(self._tasks.values()), self._ticking)
        self._join()
        make_safe(late, {})
        for name, task in reversed(self._tasks.items()):
            self._shut_down(name, task)
        if self._host is not None:
            self._host.close()
        for name, task in self._tasks.items():
            if name not in self._stuck() and name not in self._left:
                task.close()
        for worker in self._workers.values():
            worker.close()
        for loop in (self._loop, *self._loops.values()):
            loop.close()
        self._using.close()
        return self._failure

    def _stuck(self) -> list[str]:
        """Return the nodes whose tick on their own thread has not ended."""
        return [name for name, job in self._ticking.items() if not job.done.is_set()]

    def _join(self) -> None:
        """Wait for the ticks on other threads, but not for ever."""
        for name in self._stuck():
            if name in self._children:  # what it computes, nobody needs any more
                self._ticking[name].done.wait(TICK_TIME)
                self._loops[name].abandon()
        self._cancel()
        for name, child in self._children.items():
            child.close()
            self._tasks[name].node._node_child = None
        deadline = monotonic() + THREAD_STOP
        for name in self._stuck():
            self._ticking[name].done.wait(max(0.0, deadline - monotonic()))
        for name in self._stuck():
            task = self._tasks[name]
            (task.coroutine or self._loops[name]).abandon()
            task.node.log_error(
                f"its tick has not ended within {THREAD_STOP:g} s; its shutdown is left out"
            )

    def _cancel(self) -> None:
        """Cancel the async ticks that do not end by themselves."""
        under_way = [t.coroutine for t in self._tasks.values() if t.coroutine is not None]
        deadline = monotonic() + TICK_TIME
        for coroutine in under_way:
            if coroutine.host.alone:
                coroutine.wait(deadline - monotonic())
        for coroutine in under_way:
            coroutine.cancel()

    def _shut_down(self, name: str, task: Task) -> None:
        """Run one shutdown; a second signal leaves it if it blocks."""
        signals, info = self._signals, task.node.info
        if name in self._stuck() or info.state is NodeState.UNINITIALIZED:
            return
        signals.patient = True
        try:
            try:
                signals.interruptible = True
                if task.initialised:  # or its thread may still be in init
                    self._bounded(name, task)
            finally:
                signals.interruptible = False
        except BaseException as error:
            signals.interruptible = False
            if isinstance(error, KeyboardInterrupt) and signals.left:
                task.node.log_error("its shutdown is left; the stop goes on")
            elif isinstance(error, KeyboardInterrupt) and signals.received:
                task.node.log_warning("shutdown interrupted by a second signal")
            self._note(error)
        info._stopped()


def _say_started() -> None:
    """Tell `horus run`, where it waits for that, that the nodes of this process have begun."""
    path = os.environ.pop("HORUS_STARTED_FILE", None)  # not for what a node starts
    if path:
        with contextlib.suppress(OSError):
            open(path, "w").close()  # noqa: PTH123 - pathlib is not loaded for this
