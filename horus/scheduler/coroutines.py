"""Nodes whose tick is ``async def``: all of a run share one event loop.

The scheduler's loop says when a tick begins; the event loop runs it beside the others. In real
time it has a thread of its own. In simulated time it is stepped on the scheduler's thread and asks
the simulated clock for the time, so ``await asyncio.sleep(1)`` lasts a simulated second and every
run is the same; what comes from outside (sockets, threads) is looked at, but not waited for.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from time import monotonic, sleep
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from horus.scheduler.worker import SLICE

if TYPE_CHECKING:
    from horus.scheduler.clock import Clock

__all__ = ["Host", "SteppedHost", "ThreadHost", "finished"]

#: How long (s) an event loop may take to answer before it is said to be blocked.
ANSWER_TIME = 0.5
#: How often (s) a stepped event loop looks for what comes from outside, where nothing else is left.
OUTSIDE = 1e-3
#: In simulated time, so many rounds of callbacks at one moment are enough for anybody.
MOST_ROUNDS = 10_000


async def finished(result: object) -> object:
    """Return what a function returned, or if it was ``async def``, what it returns in the end."""
    return await result if isinstance(result, CoroutineType) else result


class Host:
    """An event loop and where it runs."""

    #: Whether coroutines run while nobody waits for them.
    alone = True

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.thread = threading.get_ident()
        self.blocked = False

    def begin(self, start: Callable[[], object]) -> None:
        """Call on the event loop, soon."""
        raise NotImplementedError

    def run(self, coroutine: Coroutine[Any, Any, Any], left: Callable[[], bool] = bool) -> bool:
        """Run a coroutine to its end; False if ``left`` said that it is not worth waiting for."""
        raise NotImplementedError

    def now(self) -> float:
        """Return the time in seconds that `pause` lets pass."""
        return monotonic()

    def pause(self, seconds: float) -> None:
        """Let time pass for what runs there, at most so much."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Return whether the event loop is not blocked by some callback."""
        return True

    def close(self) -> None:
        """Cancel what is still running and close the event loop."""
        raise NotImplementedError

    def _clear_soon(self) -> None:
        """Cancel what is still running and wait for its end, but not for ever."""
        deadline = self.now() + ANSWER_TIME
        self.run(self._clear(), lambda: self.now() > deadline)

    async def _clear(self) -> None:
        rest = asyncio.all_tasks(self.loop) - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await self.loop.shutdown_asyncgens()


class ThreadHost(Host):
    """Runs its event loop on a thread, which does not keep the process alive."""

    def __init__(self, failed: Callable[[BaseException], object]) -> None:
        super().__init__(asyncio.new_event_loop())
        self._failed = failed
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="horus-async", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        self.thread = threading.get_ident()
        asyncio.set_event_loop(self.loop)
        while not self._closed:
            try:
                self.loop.run_forever()
            except BaseException as error:  # SystemExit of a task that a node began by itself
                self._failed(error)
        if self.blocked:  # nobody has cleared it
            self.loop.run_until_complete(self._clear())
        self.loop.close()

    def begin(self, start: Callable[[], object]) -> None:
        """Call on the event loop, soon."""
        self.loop.call_soon_threadsafe(start)

    def run(self, coroutine: Coroutine[Any, Any, Any], left: Callable[[], bool] = bool) -> bool:
        """Run a coroutine to its end; False if ``left`` said that it is not worth waiting for."""
        future: Future[Any] = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            done = threading.Event()
            future.add_done_callback(lambda _: done.set())
            while not done.wait(SLICE):  # in slices, so that signals are seen
                if left():
                    future.cancel()
                    return False
        except BaseException:
            future.cancel()
            raise
        future.result()
        return True

    def pause(self, seconds: float) -> None:
        """Sleep."""
        sleep(seconds)

    def answers(self) -> bool:
        """Return whether the event loop is not blocked by some callback."""
        if not self.blocked:
            heard = threading.Event()
            self.loop.call_soon_threadsafe(heard.set)
            self.blocked = not heard.wait(ANSWER_TIME)
        return not self.blocked

    def close(self) -> None:
        """Cancel what is still running and close the event loop, unless it is blocked."""
        if self.answers():
            self._clear_soon()
        self._closed = True
        self.loop.call_soon_threadsafe(self.loop.stop)
        if not self.blocked:
            self._thread.join(ANSWER_TIME)


class SimLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is that of a clock; it is run a round at a time."""

    _ready: Any
    _scheduled: list[Any]

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._sim_clock = clock

    def time(self) -> float:
        """Return the clock's time in seconds."""
        return self._sim_clock.monotonic_ns() * 1e-9

    def due_ns(self) -> int | None:
        """Return when the next timer ends; None if there is none."""
        times = [handle._when for handle in self._scheduled if not handle._cancelled]
        return int(min(times) * 1e9) + 1 if times else None

    def run_ready(self) -> None:
        """Run what can be run without time passing."""
        for _ in range(MOST_ROUNDS):
            self.call_soon(self.stop)
            self.run_forever()
            due = self.due_ns()
            if not self._ready and (due is None or due > self._sim_clock.monotonic_ns()):
                return


class SteppedHost(Host):
    """Runs its event loop in steps on the thread that calls it, on a clock's time."""

    alone = False
    loop: SimLoop

    def __init__(self, clock: Clock) -> None:
        super().__init__(SimLoop(clock))
        self._clock = clock

    def begin(self, start: Callable[[], object]) -> None:
        """Call on the event loop, and go on there as far as that is possible now."""
        self.loop.call_soon(start)
        self.loop.run_ready()

    def run(self, coroutine: Coroutine[Any, Any, Any], left: Callable[[], bool] = bool) -> bool:
        """Run a coroutine to its end, letting time pass for what it sleeps."""
        task = self.loop.create_task(coroutine)
        self.loop.run_ready()
        while not task.done():
            if left():
                task.cancel()
                self.loop.run_ready()
                return False
            self.pause(SLICE)
        task.result()
        return True

    def now(self) -> float:
        """Return the clock's time in seconds."""
        return self.loop.time()

    def pause(self, seconds: float) -> None:
        """Move the clock to the next timer, at most so far, and run what can be run then.

        Where nothing waits for time, something outside is waited for: as much real time passes.
        """
        due, now = self.loop.due_ns(), self._clock.monotonic_ns()
        if due is not None:
            seconds = min(seconds, max(0, due - now) * 1e-9)
        elif not self.loop._ready:
            seconds = min(seconds, OUTSIDE)
            sleep(seconds)
        self._clock.sleep(seconds)
        self.loop.run_ready()

    def close(self) -> None:
        """Cancel what is still running and close the event loop."""
        try:
            self._clear_soon()
        finally:
            self.loop.close()
