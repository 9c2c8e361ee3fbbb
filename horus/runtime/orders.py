"""Stops and starts single processes of a run that goes on: what `horus.runtime.asking` asks for."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Annotated, Any

from horus.errors import HorusError, did_you_mean
from horus.node.calls import Calls
from horus.runtime.asking import SERVER
from horus.runtime.build import Program
from horus.runtime.process import Process
from horus.runtime.restarts import Restarts
from horus.runtime.stopping import StopSequence

#: How often (s) it is looked whether somebody asks, and whether what was asked for has happened.
EVERY, BUSY = 0.1, 0.02
#: How long (s) a process may take to stop on one signal before it gets the next, at most.
LONGEST_GRACE = 60.0
#: How long (s) a restart waits for others, and for the new process to be ready.
PATIENCE = 15.0
#: As long as this (s) for a node: not every program tells when it has begun.
NODE_PATIENCE = 5.0

Steps = Generator[float, None, dict[str, Any]]


class OrderError(HorusError):
    """What was asked for cannot be done."""


class Orders:
    """Answers for one run under ``horus/run``; all of it happens within `serve`.

    Args:
        processes: those of the run, as the supervisor keeps them.
        restarts: what it would start again by itself.
        start: starts a program in the place of an ended process; returns why it cannot.
        waits_for: returns the processes that must be ready before a program starts, and are not.
        grace: how long (s) a process has to answer a signal.

    """

    def __init__(
        self,
        processes: list[Process],
        restarts: Restarts,
        start: Callable[[Process], str],
        waits_for: Callable[[Program], list[str]],
        grace: float,
    ) -> None:
        self._processes = processes
        self._restarts = restarts
        self._start = start
        self._waits_for = waits_for
        self._grace = grace
        self._calls: Calls | None = None
        #: Processes that were told to stop and may be started again: the run goes on for them.
        self.held: set[str] = set()

    def open(self) -> str:
        """Begin to answer; return why that is not possible, or ""."""
        try:
            self._calls = Calls(SERVER, {"stop": self._stop, "restart": self._restart})
        except (HorusError, OSError) as error:
            return str(error)
        return ""

    @property
    def every(self) -> float:
        """Return how long (s) to wait for the next `serve`."""
        return BUSY if self._calls is not None and self._calls.busy else EVERY

    def serve(self) -> None:
        """Go on with what was asked for; never waits."""
        if self._calls is not None:
            self._calls.serve()

    def close(self) -> None:
        """Answer no more: the run ends."""
        calls, self._calls = self._calls, None
        if calls is not None:
            calls.abort("the run is stopping")
            calls.close()

    # what can be asked for --------------------------------------------------------------------

    def _stop(self, process: str, grace: Annotated[float | None, "s"] = None) -> Steps:
        """Stop a process; what it moves is made safe first. It stays stopped until a restart."""
        return (yield from self._end(self._find(process), self._checked(grace)))

    def _restart(self, process: str, grace: Annotated[float | None, "s"] = None) -> Steps:
        """Stop a process as `stop` does and start it again; that counts as no failure."""
        old = self._find(process)
        ended = yield from self._end(old, self._checked(grace))
        deadline = time.monotonic() + PATIENCE
        while self._waits_for(old.program) and time.monotonic() < deadline:
            yield BUSY
        why = self._start(old)
        if why:
            raise OrderError(why)
        self.held.discard(old.name)
        new = self._processes[-1]
        patience = NODE_PATIENCE if new.program.kind == "node" else PATIENCE
        deadline = time.monotonic() + patience
        while new.running and not new.is_ready and time.monotonic() < deadline:
            yield BUSY
        end = "" if new.running else new.noted().end
        return {**ended, "pid": new.pid, "ready": new.is_ready, "failed": end}

    @staticmethod
    def _describe(process: Process) -> dict[str, Any]:
        return {
            "name": process.name,
            "kind": process.program.kind,
            "end": process.noted().end,
            "lost": process.lost,
            "said": process.last_lines if process.program.kind == "driver" else [],
            "last_words": process.last_words,
        }

    def _find(self, name: str) -> Process:
        known = {p.name: p for p in self._processes if p.program.kind != "twin"}
        if name not in known:
            near = did_you_mean(name, known) or f"; there are {', '.join(known) or 'none'}"
            raise OrderError(f"no process {name!r}{near}")
        return known[name]

    def _checked(self, grace: float | None) -> float:
        if grace is None:
            return self._grace
        if not 0.0 < grace <= LONGEST_GRACE:
            raise OrderError(f"grace must be above 0 and at most {LONGEST_GRACE:g} s, not {grace}")
        return grace

    def _end(self, process: Process, grace: float) -> Steps:
        """Stop a process, if it runs, and wait until its end was told and its devices are safe."""
        self._restarts.forget(process.name)
        self.held.add(process.name)
        if not process.running:
            return {**self._describe(process), "was_running": False}
        process.ordered = True
        sequence = StopSequence([[process]], grace)
        while not (sequence.advance(time.monotonic()) and process.told):
            yield BUSY
        return {**self._describe(process), "was_running": True}
