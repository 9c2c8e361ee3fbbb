"""`Run`: one life of a scheduler's nodes, from their init to the closing of their topics."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from horus.node import Node
from horus.node.chance import seed_everything
from horus.node.info import NodeState, describe
from horus.scheduler import switching
from horus.scheduler.clock import Clock, SimClock
from horus.scheduler.events import EventLoop
from horus.scheduler.failures import Failures, none_hint
from horus.scheduler.loop import Loop
from horus.scheduler.misses import Misses
from horus.scheduler.places import Places
from horus.scheduler.signals import StopSignals
from horus.scheduler.stopping import make_safe
from horus.scheduler.task import Task
from horus.scheduler.tracebacks import strip_traceback

if TYPE_CHECKING:
    from horus.scheduler.realtime import Manners, RealTime

__all__ = ["Run"]


class Run:
    """Starts nodes, ticks them, and stops them in order whatever happens."""

    def __init__(
        self,
        nodes: Iterable[tuple[Node, int]],
        clock: Clock,
        spin_ns: int | None,
        realtime: RealTime | None = None,
        seed: int | None = None,
    ) -> None:
        nodes = list(nodes)
        self._seed = seed
        self._nameless = 0  # nodes
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
        self.places = Places(clock, self._failures, self.fail)
        self._loop = self._new_loop()
        for node, order in nodes:
            self.add(node, order)
        self._failure: BaseException | None = None
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
            node._node_chance.begin(self._seed, self._nameless)
            self._nameless += not node._node_chance.named
        self._tasks[node.name] = task = Task(node, order)
        task.limit(self._misses.missed, self.clock.monotonic_ns)
        if self._has_events(task) and not isinstance(self._loop, EventLoop):
            self._loop = self._new_loop(task)

    def set_rate(self, name: str, hertz: float) -> None:
        """Change a node's rate from its last tick on."""
        self.places.loops.get(name, self._loop).set_rate(self._tasks[name], hertz)

    # ticking ----------------------------------------------------------------------------------

    def to_the_end(self, duration: float | None) -> BaseException | None:
        """Start, tick until something says stop, end; return what the run is to raise."""
        try:
            with self._signals as signals, switching.quick():
                self._misses.watch(self._tasks.values())
                try:
                    try:
                        self._take_start_values()
                        signals.interruptible = True
                        self._start(threads=not isinstance(self.clock, SimClock))
                        _say_started()
                        with self._kept():
                            self._tick(duration)
                    finally:
                        signals.interruptible = False
                except BaseException as error:
                    signals.interruptible = False  # a signal may have come in the line before
                    self._note(error)
                return self.end()
        finally:
            self._misses.close()

    def _take_start_values(self) -> None:
        """Give the nodes the parameters of horus.yaml, where there are any for this process."""
        if os.environ.get("HORUS_PARAMS"):
            from horus.node import startvalues

            nodes = [task.node for task in self._tasks.values()]
            startvalues.apply(nodes, startvalues.from_environment())

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Within ``with``: what goes on beside the ticks of a run on the machine's own clock."""
        manners = nullcontext() if self._manners is None else self._manners.process()
        with manners, ExitStack() as using:
            if not isinstance(self.clock, SimClock):
                from horus.scheduler.status import StatusThread

                using.enter_context(closing(StatusThread([t.node for t in self._tasks.values()])))
            yield

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
        for task in self._tasks.values():
            if self.stopping:
                return
            self.places.give(task, self._loop, threads=threads)
            if not task.initialised and task.call is None:
                try:
                    if self.places.initialise(task):
                        task.started(self.clock.monotonic_ns)
                except Exception as error:
                    self._failures.failed(task, error)

    def _tick(self, duration: float | None) -> None:
        """Tick all nodes until something says stop."""
        if self.stopping or not any(t.initialised or t.call for t in self._tasks.values()):
            return  # no node is left to run
        begin = self.clock.monotonic_ns()
        end = None if duration is None else begin + int(duration * 1e9)
        self.end_ns = end
        self._count_from(begin)
        places, loops = self.places, self.places.loops
        mine = [t for name, t in self._tasks.items() if name not in places.workers]
        # Those that messages call may have threads of their own.
        if not any(map(self._has_events, mine)):
            self._loop = self._new_loop()
        self._loop.tasks = mine
        for name in places.workers:
            loops[name] = self._new_loop(self._tasks[name])
            loops[name].tasks = [self._tasks[name]]
        for name, loop in loops.items():
            call = partial(self._tick_apart, loop, begin)
            places.ticking[name] = places.workers[name].submit(call)
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
        self.places.stop()

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
            late = make_safe(list(self._tasks.values()), self.places.ticking)
        self.places.join(self._tasks)
        make_safe(late, {})
        for name, task in reversed(self._tasks.items()):
            self._shut_down(name, task)
        self.places.end_coroutines()
        kept = {*self.places.stuck(), *self.places.left}
        for name, task in self._tasks.items():
            if name not in kept:
                task.close()
        self.places.close()
        self._loop.close()
        self._using.close()
        return self._failure

    def _shut_down(self, name: str, task: Task) -> None:
        """Run one shutdown; a second signal leaves it if it blocks."""
        signals, info = self._signals, task.node.info
        if name in self.places.stuck() or info.state is NodeState.UNINITIALIZED:
            return
        signals.patient = True
        try:
            try:
                signals.interruptible = True
                if task.initialised:  # or its thread may still be in init
                    self.places.shut_down(task)
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
