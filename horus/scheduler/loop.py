"""The loop that ticks nodes: earliest deadline first, on an absolute grid of time.

A tick whose time has passed is skipped and
counted, so a slow tick never brings a burst after it and no error adds up.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heapreplace
from typing import TYPE_CHECKING

from horus.node.info import NodeInfo
from horus.scheduler.clock import SimClock, SystemClock
from horus.scheduler.task import FOREVER_NS, Task

if TYPE_CHECKING:
    from horus.scheduler.clock import Clock

__all__ = ["LeftOut", "Loop"]

#: A sleeping loop looks this often whether it was told to stop.
SLICE_NS = 20_000_000
#: A pause shorter than this is waited out awake: the kernel could not wake the thread in time.
SHORTEST_SLEEP_NS = 20_000
#: The kernel takes up to about so long to wake a thread: who wakes up that much before a tick and
#: waits for the rest awake begins it on time.
WAKING_NS = 100_000
#: At most this share of the time goes into that waiting, whatever the rates.
WAKING_SHARE = 20
#: From so many skipped ticks on, if more than one in six is, a node is said to be too slow.
MANY_OVERRUNS = 20
# A heap of plain ints, due time above, place in the order below, compares faster than tuples.
PLACE_BITS = 20
PLACE_MASK = (1 << PLACE_BITS) - 1


class LeftOut(Exception):
    """Raised in the place of a tick that could not begin before the run was to end."""


class _End(Task):
    """Due before all others at the end of a run; its tick ends the loop."""

    __slots__ = ()

    def __init__(self, loop: Loop, due: int) -> None:
        self.node = None
        self.call = lambda _: loop.stop()
        self.target = NodeInfo("end", str)
        self.warned = False
        self.due = due
        self.put_off = 0
        self.events = self.guard = self.coroutine = None
        self.step, self.rest, self.whole, self.carry = FOREVER_NS, 0, 1, 0


class Loop:
    """Ticks its tasks on the thread that calls `run`."""

    #: Return after each tick, to one who looks at other things as well.
    _single = False

    def __init__(
        self,
        clock: Clock,
        failed: Callable[[Task, Exception], bool],
        spin_ns: int | None = None,
    ) -> None:
        self._clock = clock
        self._failed = failed
        self._asked_ns = spin_ns
        #: How long before a tick the loop is awake.
        self._spin_ns = spin_ns or 0
        self._heap: list[int] = []
        self._rates: list[tuple[Task, float]] = []
        self.tasks: list[Task] = []
        self.attention = False
        self.stopping = False

    def stop(self) -> None:
        """End `run` soon; may be called from anywhere, a signal handler too."""
        self.stopping = True
        self.attention = True

    def abandon(self) -> None:
        """Take no more notice of what the tick that does not end may raise later."""
        self._failed = lambda _task, _error: False

    def set_rate(self, task: Task, hertz: float) -> None:
        """Change a task's rate; its grid begins anew with its last tick."""
        self._rates.append((task, hertz))
        self.attention = True

    def run(self, begin: int, end: int | None, *, anew: bool = True) -> None:
        """Tick until stopped, or until the moment ``end`` (ns) on the clock.

        Without ``anew``, tasks go on with the grid that they have from an earlier call.
        """
        last = _End(self, begin + FOREVER_NS if end is None else end)
        places = [last, *(task for task in self._ordered() if task.call is not None)]
        for task in places[1:]:
            if anew or not task.due:
                task.begin(begin)
            if task.guard is not None:
                task.guard.due_from(self._due)
            if task.coroutine is not None:
                task.coroutine.loop, task.coroutine.patient = self, False
                task.coroutine.due = None if task.events is not None else self._due
        with contextlib.nullcontext() if isinstance(self._clock, SimClock) else _fine_sleep():
            while not self.stopping:
                self.attention = False
                if self.stopping:
                    break  # stop() came between the two lines above
                self._apply_rates()
                if self._asked_ns is None and isinstance(self._clock, SystemClock):
                    self._spin_ns = self._waking()
                self._heap = [
                    (task.due << PLACE_BITS) | place
                    for place, task in enumerate(places)
                    if task.call is not None
                ]
                heapify(self._heap)
                self._run(places)
                for key in self._heap:
                    places[key & PLACE_MASK].due = key >> PLACE_BITS

    def _waking(self) -> int:
        """Return how long before a tick the loop is to be awake where nothing was asked for."""
        often = sum(1e9 / task.step for task in self.tasks if task.call is not None)
        return min(WAKING_NS, round(1e9 / (often * WAKING_SHARE))) if often else 0

    def _due(self) -> int:
        """Return when the tick that is under way was due."""
        return self._heap[0] >> PLACE_BITS

    def _ordered(self) -> list[Task]:
        return sorted(self.tasks, key=lambda task: task.order)

    def _run(self, places: list[Task]) -> None:
        """Tick until something wants attention."""
        heap, clock, single = self._heap, self._clock.monotonic_ns, self._single
        while not self.attention:
            key = heap[0]
            start = clock()
            if start < key >> PLACE_BITS:
                self._sleep_until(key >> PLACE_BITS)
                if self.attention:
                    return
                start = clock()
            task = places[key & PLACE_MASK]
            info = task.target
            try:
                task.call(task.node)  # type: ignore[misc]
            except LeftOut:
                self._overran(task, task.missed(clock() - (key >> PLACE_BITS)), info)
                return
            except Exception as error:
                info._ticked(clock() - start, start - (key >> PLACE_BITS))
                info._failed += 1
                if not self._failed(task, error):
                    task.call = None
                    heappop(heap)
                    if single:
                        return
                    continue
                end = clock()
                if task.put_off:
                    key = (task.put_off << PLACE_BITS) | (key & PLACE_MASK)
                    task.put_off = 0
                    heapreplace(heap, key)
                    if single:
                        return
                    continue
            else:
                end = clock()
                duration = end - start
                info._ticks += 1
                info._total_ns += duration
                info._last_ns = duration
                if duration > info._max_ns:
                    info._max_ns = duration
                if duration < info._min_ns:
                    info._min_ns = duration
                info._record(start - (key >> PLACE_BITS), duration)
            if task.rest:  # its period is no whole number of ns
                key += task.advance(1) << PLACE_BITS
                late = end - (key >> PLACE_BITS)
                if late > 0:
                    missed = task.missed(late)
                    self._overran(task, missed, info)
                    key += task.advance(missed) << PLACE_BITS
            else:
                step = task.step
                key += step << PLACE_BITS
                late = end - (key >> PLACE_BITS)
                if late > 0:
                    missed = -(-late // step)
                    self._overran(task, missed, info)
                    key += missed * step << PLACE_BITS
            heapreplace(heap, key)
            if single:
                return

    def _overran(self, task: Task, missed: int, info: NodeInfo) -> None:
        """Count ticks that were skipped, where the tick before them was counted."""
        if task.node is not None and task.node._node_excused:
            return
        left_out = task.guard is not None and info is task.guard.aside
        if left_out or task.coroutine is not None:  # its own counts the ticks that have ended
            info = task.node.info
        info._overruns += missed
        self.warn_of_overruns(task, info)

    def warn_of_overruns(self, task: Task, info: NodeInfo) -> None:
        """Say it once of a node that cannot hold its rate."""
        if task.warned or info._overruns < MANY_OVERRUNS or info._overruns * 5 < info._ticks:
            return
        task.warned = True
        if task.node is not None:
            takes, allowed = info.avg_tick_duration_ms(), 1e3 / task.node.rate
            skipped = f"{info._overruns} ticks were skipped"
            counted = "(said once; node.info.overruns() counts)"
            if takes < allowed / 2:
                task.node.log_warning(
                    f"called too late for its rate of {task.node.rate:g} Hz: {skipped}, though a "
                    f"tick takes only {takes:.3g} ms. Other nodes of this process, or other "
                    f"programs, keep the processor busy: `rt=True` or `horus run --rt` puts it "
                    f"before them {counted}"
                )
            else:
                task.node.log_warning(
                    f"too slow for its rate: a tick takes {takes:.3g} ms, {task.node.rate:g} Hz "
                    f"allows {allowed:.3g} ms; {skipped}. Lower the rate or do less in tick "
                    f"{counted}"
                )

    def tick_once(self) -> None:
        """Tick every task once, now, in order, on the calling thread."""
        for task in self._ordered():
            if task.guard is not None:
                task.guard.due_from(None)
            self._patiently(task)
            if not self.stopping:
                self._tick(task)

    def _patiently(self, task: Task) -> None:
        """Let an async tick end before the next node's, where nothing else waits for it."""
        if task.coroutine is not None:
            task.coroutine.loop, task.coroutine.patient = self, task.coroutine.host.alone
            task.coroutine.due = None

    def wake(self) -> None:
        """Look again at what messages call; from any thread."""

    def _tick(self, task: Task) -> None:
        """Tick a task now and count it, as `_run` does in line."""
        if task.call is None:
            return
        clock = self._clock.monotonic_ns
        info, start = task.target, clock()
        try:
            task.call(task.node)
        except LeftOut:
            return
        except Exception as error:
            info._ticked(clock() - start)
            info._failed += 1
            if not self._failed(task, error):
                task.call = None
        else:
            info._ticked(clock() - start)

    def close(self) -> None:
        """Let go of what the loop sleeps on."""

    def _sleep_until(self, due: int) -> None:
        clock, sleep, wake = self._clock.monotonic_ns, self._clock.sleep, due - self._spin_ns
        before, now = 0, clock()
        while now < due and not self.attention:
            if wake - now >= SHORTEST_SLEEP_NS:
                sleep(min(wake - now, SLICE_NS) * 1e-9)
            elif now == before:
                sleep(0.0)  # a clock that a test moves stands still otherwise
            before, now = now, clock()

    def _apply_rates(self) -> None:
        while self._rates:  # another thread may be adding to it
            task, hertz = self._rates.pop(0)
            task.set_rate(hertz, self._clock.monotonic_ns())


@contextlib.contextmanager
def _fine_sleep() -> Iterator[None]:
    """Let the kernel end this thread's sleeps on time: its default is to be up to 50 µs late."""
    # Without pathlib, whose import every program would pay for.
    path = f"/proc/{threading.get_native_id()}/timerslack_ns"
    try:
        with open(path, "r+") as slack:  # noqa: PTH123
            before = slack.read()
            slack.seek(0)
            slack.write("1")
    except OSError:  # not Linux, or not allowed: a little later, then
        before = ""
    try:
        yield
    finally:
        if before:
            with contextlib.suppress(OSError), open(path, "w") as slack:  # noqa: PTH123
                slack.write(before)
