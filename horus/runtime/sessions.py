"""The runs of this user that are going on, for commands that take part in one."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from horus.bus import session
from horus.errors import HorusError


class NoSuchRun(HorusError):
    """It is not clear which run is meant."""

    exit_code = 2


@dataclass(frozen=True, order=True)
class RunningSession:
    """A run whose supervisor is alive."""

    #: Unix time (s) at which it began.
    made: float
    id: str
    pid: int


def running_sessions() -> list[RunningSession]:
    """Return the runs that are going on, the oldest first."""
    folder = session.sessions_dir()
    found = []
    for path in folder.iterdir() if folder.is_dir() else []:
        try:
            owner = json.loads((path / session.OWNER_FILE).read_text())
            run = RunningSession(float(owner["made"]), path.name, int(owner["pid"]))
            if session.is_alive(run.pid, int(owner["start"] or 0)):
                found.append(run)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # being made just now, or damaged
    return sorted(found)


def join(session_id: str | None = None) -> RunningSession:
    """Make this process part of a run: the named one, or the only one there is.

    Without a name, HORUS_SESSION_ID decides where it is set. None, or more than one, is a
    `NoSuchRun` that lists them.
    """
    runs = running_sessions()
    wanted = session_id or os.environ.get("HORUS_SESSION_ID")
    chosen = [run for run in runs if wanted in (None, "", run.id)]
    known = ", ".join(run.id for run in runs)
    if not runs:
        raise NoSuchRun("no robot is running (start one with horus run)")
    if not chosen:
        raise NoSuchRun(f"no run {wanted!r}; running: {known}")
    if len(chosen) > 1:
        raise NoSuchRun(f"{len(runs)} runs are going on: choose with --session from {known}")
    os.environ["HORUS_SESSION_ID"] = chosen[0].id
    return chosen[0]
