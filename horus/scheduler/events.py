"""The loop of a thread on which messages call nodes too (``on=``), beside those that time calls.

After each tick the nodes that have something unread tick once each, in their order: a node called
by a message goes right after the one that sent it. Then whatever is due by time has its turn, so
messages never starve the grid. A timed node of a lower order that is due goes before them.
Asleep, the thread is woken by the publishers' post on a semaphore that all its subscriptions share.
"""

from __future__ import annotations

from heapq import heappop, heapreplace
from time import monotonic_ns
from typing import TYPE_CHECKING

from horus.scheduler.loop import PLACE_BITS, PLACE_MASK, SHORTEST_SLEEP_NS, SLICE_NS, Loop
from horus.scheduler.task import Task

if TYPE_CHECKING:
    from horus.bus.waiting import Bell
    from horus.scheduler.coroutines import SteppedHost
    from horus.scheduler.watch import Watch

__all__ = ["EventLoop"]

#: Where no publisher can ring, because a topic has too many readers, the loop looks so often.
POLL_NS = 1_000_000


class EventLoop(Loop):
    """Ticks its tasks when they are due or when a message calls them."""

    _single = True
    #: The event loop that is stepped with simulated time.
    stepped: SteppedHost | None = None
    _bell: Bell | None = None
    _called: tuple[tuple[Task, Watch], ...] = ()

    def _run(self, places: list[Task]) -> None:
        self._listen()
        heap, clock = self._heap, self._clock.monotonic_ns
        while not self.attention:
            stepped = self.stepped
            if stepped is not None:
                stepped.loop.run_ready()
            ticked = self._round(places)
            if self.attention:
                return
            key = heap[0]
            due = key >> PLACE_BITS
            if clock() < due:
                if not ticked:
                    self._doze_until(due if stepped is None else self._next(due))
                continue
            task = places[key & PLACE_MASK]
            if task.events is None:
                super()._run(places)
            else:
                self._on_time(task, task.events, key)

    def tick_once(self) -> None:
        """Tick each timed task once in order, and after each of them those that it called."""
        self._listen()
        if self.stepped is not None:
            self.stepped.loop.run_ready()
        for task, _ in self._called:
            self._patiently(task)
        timed = [task for task in self._ordered() if task.events is None]
        for task in timed:
            if not self.stopping:
                if task.guard is not None:
                    task.guard.due_from(None)
                self._patiently(task)
                self._tick(task)
                self._round([])
        for _ in self._called:  # what they sent each other
            if not self._round([]):
                break

    def close(self) -> None:
        """Let go of the semaphore."""
        self._called = ()
        if self._bell is not None:
            self._bell.close()
            self._bell = None

    # messages ---------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Take up the tasks that messages call, with a bell unless time is simulated."""
        called = tuple((task, task.events) for task in self._ordered() if task.events is not None)
        if called == self._called:
            return
        if self._bell is None and self._clock.monotonic_ns is monotonic_ns:
            from horus.bus.waiting import Bell, next_serial

            self._bell = Bell(next_serial())
            self._bell.hang()
        for pair in called:
            if pair not in self._called:
                pair[1].listen(self._bell)
        self._called = called

    def _round(self, places: list[Task]) -> bool:
        """Tick once each task that has something unread; return whether there was one."""
        clock, ticked = self._clock.monotonic_ns, False
        for task, watch in self._called:
            if self.stopping or not task.call or not watch.ready():
                continue
            if task.coroutine is not None and not task.coroutine.ready():
                continue
            if watch.held_ns:
                if clock() < watch.held_ns:
                    continue
                watch.held_ns = 0
            if places and (key := self._heap[0]) >> PLACE_BITS <= clock():
                first = places[key & PLACE_MASK]
                if first.node is None or (first.events is None and first.order < task.order):
                    return True
            self._tick_called(task, watch)
            if task.put_off and places:
                self._place(task, places)
            ticked = True
        return ticked

    def _tick_called(self, task: Task, watch: Watch) -> None:
        """Tick a task for a message or for its heartbeat."""
        before, ticks = watch.before(), task.target is task.node.info
        watch.ticked_ns = self._clock.monotonic_ns()
        if task.coroutine is not None:  # it looks itself at what its tick has read
            self._tick(task)
            return
        if task.guard is not None:
            task.guard.due_from(None)
        self._tick(task)
        if task.put_off:
            watch.hold(task.put_off)
        elif ticks and not self.stopping:
            watch.after(before)

    def _place(self, task: Task, places: list[Task]) -> None:
        """Wake the task that rests when it has been put off to."""
        place = places.index(task)
        task.due, task.put_off = task.put_off, 0
        for index, key in enumerate(self._heap):
            if key & PLACE_MASK == place:
                self._heap[index] = (task.due << PLACE_BITS) | place
                self._heap.sort()  # a sorted list is a heap
                return

    def _on_time(self, task: Task, watch: Watch, key: int) -> None:
        """Do what time asks of a task that messages call: its heartbeat, or the end of a rest."""
        now, place = self._clock.monotonic_ns(), key & PLACE_MASK
        if task.call is None:
            heappop(self._heap)
            return
        resting = task.coroutine is None and (watch.held_ns or task.target is not task.node.info)
        beat = watch.ticked_ns + task.step
        if resting or not watch.ticked_ns or beat <= now:
            watch.held_ns = 0
            self._tick_called(task, watch)
            if task.call is None:
                heappop(self._heap)
                return
            beat = now + task.step
        if task.put_off:
            beat, task.put_off = task.put_off, 0
        heapreplace(self._heap, (beat << PLACE_BITS) | place)

    def _next(self, due: int) -> int:
        """Return the moment before ``due`` at which a coroutine goes on or a node's rest ends."""
        assert self.stepped is not None
        now, times = self._clock.monotonic_ns(), [due]
        timer = self.stepped.loop.due_ns()
        if timer is not None:
            times.append(timer)
        times += [t.coroutine.wait_ns for t, _ in self._called if t.coroutine is not None]
        return min(time for time in times if time > now)

    def wake(self) -> None:
        """Look again at what messages call; from any thread."""
        if self._bell is not None:
            self._bell.ring()

    def _doze_until(self, due: int) -> None:
        """Sleep until a moment, until a message comes, or until something wants attention."""
        bell = self._bell
        if bell is None:
            self._sleep_until(due)
            return
        armed = False not in [watch.arm() for _, watch in self._called]
        if any(
            t.call and not w.held_ns and w.ready() and (t.coroutine is None or t.coroutine.ready())
            for t, w in self._called
        ):
            return
        wait = due - self._spin_ns - self._clock.monotonic_ns()
        if wait < SHORTEST_SLEEP_NS:
            self._sleep_until(due)
        else:
            bell.sleep(min(wait, SLICE_NS if armed else POLL_NS) * 1e-9)
