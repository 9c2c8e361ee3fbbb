"""One node with an ``async def tick`` in a run: its ticks, its policy, its start and its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from horus.node.info import NodeInfo, NodeState
from horus.scheduler.coroutines import Host, finished

if TYPE_CHECKING:
    from collections.abc import Callable

    from horus.scheduler.failures import Failures
    from horus.scheduler.loop import Loop
    from horus.scheduler.task import Task

__all__ = ["AsyncNode"]


class AsyncNode:
    """What the scheduler's loop calls for such a node: each call begins a tick, if it may.

    A tick that is due while the last one has not ended is skipped and counted, as an overrun.
    """

    def __init__(
        self,
        task: Task,
        host: Host,
        failures: Failures,
        now: Callable[[], int],
        fail: Callable[[BaseException], object],
    ) -> None:
        self.task = task
        self.host = host
        self._failures = failures
        self._now = now
        self._fail = fail
        self._tick = task.node._node_calls.tick
        self.aside = NodeInfo("begun", str)  # counts what the scheduler's loop calls
        self._wait_ns = 0  # before this moment nothing begins
        self._again = False  # the next thing to do is init, after a failure
        self._running: asyncio.Task[None] | None = None
        self._seen: list[Any] = []
        self._busy = False
        self._over = False
        #: Wait for the end of each tick, as `Scheduler.tick_once` does.
        self.patient = False
        self.loop: Loop | None = None  # that calls
        self.due: Callable[[], int] | None = None  # when the tick that it makes was due (ns)

    # as a job that may be under way, for who stops the run --------------------------------------

    @property
    def done(self) -> AsyncNode:
        """Return itself: whether its tick has ended can be asked and waited for."""
        return self

    def is_set(self) -> bool:
        """Return whether no tick is under way."""
        return not self._busy

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the tick that is under way."""
        now = self.host.now
        deadline = now() + seconds
        while self._busy and (left := deadline - now()) > 0:
            self.host.pause(min(left, 0.002))
        return not self._busy

    def cancel(self) -> None:
        """Cancel the tick that is under way."""
        running = self._running
        if running is not None:
            self.host.begin(running.cancel)

    def abandon(self) -> None:
        """Take no more notice of what its tick may raise later."""
        self._over = True

    # ticking ------------------------------------------------------------------------------------

    def ready(self) -> bool:
        """Return whether a tick could begin now."""
        return not self._busy and not self._over and self._now() >= self._wait_ns

    @property
    def wait_ns(self) -> int:
        """Return the end of its rest, 0 if it has none."""
        return self._wait_ns

    def __call__(self, node: Any) -> None:
        """Begin a tick, unless the last one still runs or the node rests."""
        if self._over or self._now() < self._wait_ns:
            return
        if self._busy:
            if not node._node_excused:
                node.info._overruns += 1
                if self.loop is not None:
                    self.loop.warn_of_overruns(self.task, node.info)
            return
        guard = self.task.guard
        if guard is not None and not self._again and guard.skipping():
            return
        now = self._now()
        due = now if self.due is None else min(self.due(), now)
        self._busy = True
        watch = self.task.events
        if watch is not None:
            self._seen = watch.before()
        if self.patient:
            self.host.run(self._life(due))
        else:
            self.host.begin(lambda: self._begin(due))

    def _begin(self, due: int) -> None:
        self._running = self.host.loop.create_task(self._life(due))

    async def _life(self, due: int) -> None:
        """Do what is to be done now: a tick, or after a failure init."""
        task = self.task
        self._running = asyncio.current_task()
        self._wait_ns = 0
        ticks = not self._again
        try:
            if self._again:
                self._again = False
                await self._restart()
            else:
                if task.node.info.state is NodeState.PAUSED:
                    task.node.info._state = NodeState.RUNNING
                await self._tick_once(due)
        except Exception as error:
            if not self._over:
                await self._failed(error)
        except asyncio.CancelledError:
            if not self._stopping():
                await self._failed(RuntimeError("tick was cancelled by something in the program"))
        except BaseException as error:  # KeyboardInterrupt, SystemExit
            self._fail(error)
        finally:
            self._running = None
            watch = task.events
            if watch is not None and ticks:
                watch.after(self._seen)
            self._busy = False
            if self.loop is not None:
                self.loop.wake()

    def _stopping(self) -> bool:
        return self._over or self.loop is None or self.loop.stopping

    async def _tick_once(self, due: int) -> None:
        task, guard, began = self.task, self.task.guard, self._now()
        info = task.node.info
        if guard is not None:
            guard.begin("tick", began, self.host.thread, self._frames)
        try:
            await self._tick(task.node)
        except BaseException:
            info._failed += 1
            raise
        finally:
            ended = self._now()
            info._ticked(ended - began, -1 if self.due is None else began - due)
            if guard is not None:
                guard.end()
                guard.check(ended, began, due)

    def _frames(self) -> list[Any]:
        """Return where the tick waits; nothing if it computes: that is where the thread is."""
        found: list[Any] = []
        waits: Any = None if self._running is None else self._running.get_coro()
        while getattr(waits, "cr_frame", None) is not None and not waits.cr_running:
            found.append(waits.cr_frame)
            waits = waits.cr_await
        return [frame for frame in found if frame.f_code.co_filename != __file__]

    async def _failed(self, error: Exception) -> None:
        """Let the node go on as its `on_error` or its policy says."""
        task = self.task
        on_error = task.node._node_calls.on_error
        task.node.info._raised(error)
        if task.starting or on_error is None:
            self._over = not self._failures.policy(task, error)
            if self._again and task.initialised:
                await self.shut_down()
            return
        second = None
        try:
            await finished(on_error(task.node, error))
        except Exception as raised:
            second = raised
        self._failures.handled(task, error, second)

    def rest(self, until_ns: int) -> None:
        """Begin no tick before a moment."""
        self._wait_ns = until_ns
        if self.task.events is not None:
            self.task.events.hold(0)

    def begin_again(self, at_ns: int) -> None:
        """Begin with init again at a moment."""
        self.rest(at_ns)
        self._again = True
        self.task.call, self.task.target = self, self.aside

    async def _restart(self) -> None:
        self.task.started_ns = 0
        await self.initialise()
        self.task.started(self._now)

    # the node's life ----------------------------------------------------------------------------

    async def initialise(self) -> None:
        """Run the node's ``init``; what it raises passes through."""
        task = self.task
        task.before_init()
        init = task.node._node_calls.init
        if init is not None:
            await finished(init(task.node))
        task.after_init()

    async def shut_down(self) -> None:
        """Run the ``shutdown`` of a node whose ``init`` was done, once; exceptions are logged."""
        task, guard = self.task, self.task.guard
        shutdown = task.node._node_calls.shutdown
        if not task.initialised:
            return
        task.initialised = False
        if shutdown is None:
            return
        if guard is not None:
            guard.begin("shutdown", self._now(), self.host.thread, self._frames)
        try:
            await finished(shutdown(task.node))
        except Exception as error:
            task.log_error("shutdown raised", error)
        finally:
            if guard is not None:
                guard.end()
