"""`Scheduler` runs nodes: many on one thread, those that block on threads of their own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

from horus.errors import did_you_mean
from horus.node.chance import checked_seed
from horus.node.node import Node
from horus.node.options import checked_rate, checked_seconds
from horus.scheduler import stats as stats_of_run
from horus.scheduler.clock import Clock, SimClock, SystemClock, checked_clock
from horus.scheduler.compute import importing_main
from horus.scheduler.running import Run

if TYPE_CHECKING:
    from horus.scheduler.realtime import RealTime

__all__ = ["Scheduler", "collecting", "run"]

#: What `collecting` has found, while it does.
_collected: list[tuple[Node, int]] | None = None


class Scheduler:
    """Runs nodes at their rates until told to stop, then stops them in order.

    One thread ticks all nodes, earliest deadline first on an absolute grid of time; of nodes due
    together the one with the lower priority number goes first. A tick whose time has passed is
    skipped and counted. Nodes made with ``on=`` tick when a message comes, right after the node
    that sent it if that is in the same thread. Those made with ``thread=True`` tick on a thread of
    their own.

    Every stop (`stop`, the end of ``duration``, a signal, an exception) goes the same way:
    `Node.safe` of every actuator, all at once, each with 1 s; then ``shutdown`` of every node in
    the reverse order of adding; then the topics are closed. A ``shutdown`` on another thread, as
    of async nodes too, is left after 10 s or as its ``watchdog`` says; one on the thread of `run`
    only by its ``watchdog`` or a second Ctrl-C, both of which need the main thread.

    Args:
        clock: where time comes from; with a `SimClock`, seconds pass as fast as they can.
        spin: wait out the last so many seconds before a tick awake; costs CPU, takes away jitter.
            None: 100 µs, as a thread takes to wake up, but at most a twentieth of the time.
        rt: run in real time: the kernel's class SCHED_FIFO, locked memory, a short spin; True, or a
            `RealTime` with a priority, cores and more. What is not permitted is said with its cure,
            and the run goes on without it. None: as `horus run --rt` says.
        seed: from which all random numbers follow at the start of each run: `Node.random`,
            `Node.rng`, Python's `random`, and numpy's own where it is loaded. With a `SimClock` the
            same nodes then send the same bytes at the same times, in every process.

    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        spin: float | None = None,
        rt: RealTime | bool | None = None,
        seed: int | None = None,
    ) -> None:
        if spin is not None:
            spin = checked_seconds(spin, "Scheduler: spin", below=1)
        self._clock: Clock = SystemClock() if clock is None else checked_clock(clock, "Scheduler")
        simulated = isinstance(self._clock, SimClock)
        if rt and simulated:
            raise ValueError("Scheduler: rt and a SimClock: simulated time has no real time")
        self._realtime = None if simulated else _realtime(rt)
        self._spin_ns = None if spin is None else int(spin * 1e9)
        self._seed = checked_seed(seed, "Scheduler")
        self._orders: dict[str, tuple[Node, int]] = {}  # in the order of adding
        self._run: Run | None = None  # from the first tick_once() on, and during run()
        self._running = False

    # nodes ------------------------------------------------------------------------------------

    @overload
    def add(
        self,
        node: Node | Iterable[Node],
        priority: int | None = None,
        logging: bool = True,
        rate_hz: float | None = None,
        /,
    ) -> Scheduler: ...

    @overload
    def add(
        self,
        *nodes: Node | Iterable[Node],
        priority: int | None = None,
        logging: bool = True,
        rate_hz: float | None = None,
    ) -> Scheduler: ...

    def add(
        self,
        *nodes: Any,
        priority: int | None = None,
        logging: bool = True,
        rate_hz: float | None = None,
    ) -> Scheduler:
        """Add one node or several and return the scheduler.

        ``priority`` takes the place of the node's ``order``, ``rate_hz`` of its rate;
        ``logging=False`` leaves only its warnings and errors. ``add(node, 0, False, 50.0)`` works
        too. Opens the nodes' topics: what is sent from now on is not missed.
        """
        if nodes and (nodes[1:] and (nodes[1] is None or isinstance(nodes[1], int))):
            given = dict(zip(("priority", "logging", "rate_hz"), nodes[1:], strict=False))
            return self.add(nodes[0], **given)
        if self._running:
            raise RuntimeError("the scheduler is running: add nodes before run()")
        hertz = None if rate_hz is None else checked_rate(rate_hz, "Scheduler.add: rate_hz")
        if priority is not None and not isinstance(priority, int):
            raise TypeError(f"Scheduler.add: priority is {priority!r}; it must be a whole number")
        for node in _flat(nodes):
            if node.name in self._orders:
                raise ValueError(
                    f"a node named {node.name!r} is in this scheduler already; names must differ"
                )
            host = node._node_host
            if host is not None and host is not self and host.running:
                raise RuntimeError(f"node {node.name!r} is running in another scheduler")
            if hertz is not None:
                node._node_rate = hertz
            if not logging:
                node.logger.setLevel("WARNING")
            if not importing_main():
                node.open_topics()
            node._node_host = self
            order = node.order if priority is None else priority
            self._orders[node.name] = (node, order)
            if self._run is not None:
                self._run.add(node, order)
        return self

    register = add

    @property
    def nodes(self) -> list[Node]:
        """Return the nodes in the order of adding."""
        return [node for node, _ in self._orders.values()]

    @property
    def running(self) -> bool:
        """Return whether `run` or `tick_once` is under way."""
        return self._running

    def set_node_rate(self, name: str, rate_hz: float) -> None:
        """Change the rate of a node, also while it runs."""
        node, _ = self._node(name)
        node._node_rate = hertz = checked_rate(rate_hz, f"set_node_rate({name!r}): rate_hz")
        if self._run is not None:
            self._run.set_rate(name, hertz)

    def get_node_stats(self, name: str) -> dict[str, Any]:
        """Return a node's metrics and its name, state, rate, order, overruns, restarts, ..."""
        node, order = self._node(name)
        return {
            "name": name,
            "state": str(node.info.state),
            "rate_hz": node.rate,
            "order": order,
            "overruns": node.info.overruns(),
            "over_budget": node.info.over_budget(),
            "deadline_misses": node.info.deadline_misses(),
            "hangs": node.info.hangs(),
            "restarts": node.info.restarts(),
            "uptime_s": node.info.get_uptime(),
            "last_error": node.info.last_error(),
            "dropped": {topic: node.dropped(topic) for topic in node.get_subscribers()},
            **node.info.get_metrics(),
            **node.info.timing().flat(),
        }

    def _node(self, name: str) -> tuple[Node, int]:
        found = self._orders.get(name)
        if found is None:
            listed = ", ".join(map(repr, self._orders)) or "none"
            raise KeyError(
                f"no node {name!r} in this scheduler"
                f"{did_you_mean(str(name), self._orders)}; nodes: {listed}"
            )
        return found

    # running ----------------------------------------------------------------------------------

    def run(self, duration: float | None = None, *, stats: bool = False) -> None:
        """Run the nodes until something stops them, or for so many seconds.

        On the main thread SIGINT and SIGTERM stop the run in order and it returns as usual; one
        that comes while a tick blocks interrupts it. An exception that no ``on_error`` and no
        policy takes is raised here once all is stopped. With ``stats`` a table of how well each
        node kept time is printed at the end.
        """
        if duration is not None:
            duration = checked_seconds(duration, "run: duration")
        if _collected is not None:
            _collected.extend(self._orders.values())
            return
        if importing_main():
            return
        from horus.logs import ensure_visible, logger

        ensure_visible()
        if not self._orders:
            logger("scheduler").warning("nothing to run: no node was added")
            return
        run = self._begin()
        try:
            failure = run.to_the_end(duration)
        finally:
            self._run = None
            self._running = False
            stats_of_run.tell((self.get_node_stats(name) for name in self._orders), stats)
        _raise(failure)

    def tick_once(self) -> None:
        """Tick each node once, in order, on this thread; the first call starts them.

        `stop`, or the end of ``with``, stops them; so does a node that fails.
        """
        run = self._begin()
        goes_on, failure = False, None
        try:
            goes_on = run.step()
            if not goes_on:
                failure = run.end()
        finally:
            self._run = run if goes_on else None
            self._running = False
        _raise(failure)

    def advance(self, seconds: float) -> None:
        """Tick the nodes at their rates for so many seconds on this thread, and leave them running.

        For scenarios in simulated time; the first call starts them. `stop`, or the end of
        ``with``, stops them; so does a node that fails.
        """
        seconds = checked_seconds(seconds, "advance: seconds")
        run = self._begin()
        goes_on, failure = False, None
        try:
            goes_on = run.proceed(seconds)
            if not goes_on:
                failure = run.end()
        finally:
            self._run = run if goes_on else None
            self._running = False
        _raise(failure)

    def _begin(self) -> Run:
        if self._running:
            raise RuntimeError("the scheduler is running already")
        if self._run is None:
            self._run = Run(
                self._orders.values(), self._clock, self._spin_ns, self._realtime, self._seed
            )
        for node, _ in self._orders.values():
            node._node_host = self
        self._running = True
        return self._run

    def stop(self) -> None:
        """End the run soon; may be called from any thread, from a callback or a signal handler.

        After `tick_once` it stops the nodes itself. When nothing has started it does nothing.
        """
        run = self._run
        if run is None:
            return
        if self._running:
            run.stop()
        else:
            self._run = None
            _raise(run.end())

    def __enter__(self) -> Scheduler:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if not self._running:
            for node, _ in self._orders.values():
                node.close_topics()


@contextlib.contextmanager
def collecting() -> Iterator[list[tuple[Node, int]]]:
    """Collect nodes with their orders, within ``with``, where `Scheduler.run` would run them."""
    global _collected
    before, _collected = _collected, []
    try:
        yield _collected
    finally:
        _collected = before


def _flat(nodes: Iterable[Any]) -> Iterator[Node]:
    """Yield nodes, those in lists too."""
    for node in nodes:
        if isinstance(node, Node):
            yield node
        elif isinstance(node, Iterable) and not isinstance(node, (str, bytes)):
            yield from _flat(node)
        else:
            raise TypeError(f"a scheduler runs nodes: {node!r} is not a horus.Node")


def _raise(failure: BaseException | None) -> None:
    if failure is not None:
        try:
            raise failure
        finally:
            del failure  # it refers to this frame


def _realtime(rt: RealTime | bool | None) -> RealTime | None:
    """Return what ``rt=`` or the environment asks for; who asks for nothing does not load it."""
    if rt is False or (rt is None and "HORUS_RT" not in os.environ):
        return None
    from horus.scheduler.realtime import asked

    return asked(rt)


def run(
    *nodes: Node | Iterable[Node],
    duration: float | None = None,
    rt: RealTime | bool | None = None,
    stats: bool = False,
) -> None:
    """Run nodes until they are stopped, or for so many seconds, and return.

    The short form of ``Scheduler(rt=rt).add(*nodes).run(duration, stats=stats)``; see `Scheduler`.
    """
    with Scheduler(rt=rt) as scheduler:
        scheduler.add(*nodes).run(duration, stats=stats)
