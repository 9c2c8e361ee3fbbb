"""Processes that have ended by themselves and are to be started again, each after a pause."""

from __future__ import annotations

from dataclasses import dataclass

from horus.launch import RECOVERED
from horus.runtime.process import Process


@dataclass(frozen=True)
class Restart:
    """A process that is to be started again."""

    process: Process
    #: When (monotonic s).
    due: float
    #: Which restart in a row it is, from 1 on.
    number: int

    def __str__(self) -> str:
        launch = self.process.program.launch
        return (
            f"   Restarting [{self.process.name}] in {launch.delay(self.number - 1):g} s "
            f"({self.number} of {launch.max_restarts})"
        )


class Restarts:
    """The restarts of a run."""

    def __init__(self) -> None:
        self._waiting: list[Restart] = []
        self._in_a_row: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def next_due(self) -> float | None:
        """Return when the next one is due (monotonic s); None if there is none."""
        return min((restart.due for restart in self._waiting), default=None)

    def ended(self, process: Process, now: float) -> str:
        """Take note of an end; return what to tell: a restart, that there is none, or nothing."""
        launch, name = process.program.launch, process.name
        if now - process.started_at > RECOVERED:
            self._in_a_row.pop(name, None)
        before = self._in_a_row.get(name, 0)
        if not launch.wants_restart(ended_well=process.ended_well, restarts=before):
            wanted = launch.restart != "never" and before >= launch.max_restarts > 0
            failed = not process.ended_well or launch.restart == "always"
            if wanted and failed:
                return f"   Giving up [{name}]: it was restarted {before} times in a row"
            return ""
        restart = Restart(process, now + launch.delay(before), before + 1)
        self._in_a_row[name] = before + 1
        self._waiting.append(restart)
        return str(restart)

    def forget(self, name: str) -> None:
        """Forget a process: a person decides when it starts again, and its failures are past."""
        self._waiting = [restart for restart in self._waiting if restart.process.name != name]
        self._in_a_row.pop(name, None)

    def take(self, now: float) -> list[Restart]:
        """Return those that are due, and forget them."""
        due = [restart for restart in self._waiting if restart.due <= now]
        self._waiting = [restart for restart in self._waiting if restart.due > now]
        return due
