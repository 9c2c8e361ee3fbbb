"""The runs of this user that are going on, for commands that take part in one."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from horus.bus import session
from horus.errors import HorusError, did_you_mean
from horus.runtime import lastwords

#: The devices of a run, in its folder.
DEVICES_FILE = "devices.json"
#: The processes of a run, in its folder.
PROCESSES_FILE = "processes.json"
#: The horus.yaml of a run, in its folder.
CONFIG_FILE = "config.json"
#: Parameters that were saved in the horus.yaml of a run since it began, in its folder.
SAVED_FILE = "saved-params.json"
#: In a session's folder: made by `horus stop` before it asks the run to end.
STOP_FILE = "stop"
#: How a process ended that a person had stopped while the run went on.
STOPPED = "stopped on request"


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


@dataclass(frozen=True)
class RunDevice:
    """A device that a run has, whatever became of the process that looks after it."""

    name: str
    driver: str
    bus: str
    #: The place on the bus, such as ``0x68``; "" if it has none.
    place: str = ""
    #: The process that looks after it: that of its bus, or of the one which that hangs from.
    process: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.driver} on {self.bus}"


@dataclass(frozen=True)
class RunProcess:
    """A process that a run has started."""

    name: str
    #: ``node``, ``driver`` or ``twin``.
    kind: str
    pid: int
    #: When it started, in clock ticks since boot.
    start: int
    #: How often it was started again because it had ended by itself.
    restarts: int = 0
    #: How it ended, in words; "" while it runs.
    end: str = ""
    #: The node file that it runs; "" for another program.
    file: str = ""


def note_devices(session_path: Path, devices: Sequence[RunDevice]) -> None:
    """Write down which devices a run has, for those who ask how they are."""
    path = session_path / DEVICES_FILE
    try:
        _write_whole(path, [asdict(device) for device in devices])
    except OSError as error:
        raise session.explain(error, path) from None


def note_config(session_path: Path, config: Path | None) -> None:
    """Write down which horus.yaml a run has, for `horus param save`."""
    if config is not None:
        with contextlib.suppress(OSError):
            _write_whole(session_path / CONFIG_FILE, str(config.resolve()))


def noted_config() -> Path | None:
    """Return the horus.yaml of the run that this process takes part in; None without one."""
    try:
        found = json.loads((session.topics_dir().parent / CONFIG_FILE).read_text())
    except (OSError, ValueError):
        return None
    return Path(found) if isinstance(found, str) else None


def note_processes(session_path: Path, processes: Sequence[RunProcess]) -> None:
    """Write down which processes a run has; without room for it, tools see the last state."""
    with contextlib.suppress(OSError):  # a full shared memory must not end the run
        _write_whole(session_path / PROCESSES_FILE, [asdict(process) for process in processes])


def _write_whole(path: Path, content: object) -> None:
    """Write a file that others read meanwhile: they see the old one or the new one."""
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(content))
    draft.replace(path)


def noted_processes(session_id: str) -> list[RunProcess]:
    """Return the processes of a run, in the order of their start."""
    try:
        found = json.loads((session.session_dir(session_id) / PROCESSES_FILE).read_text())
        return [
            RunProcess(
                str(p["name"]),
                str(p["kind"]),
                int(p["pid"]),
                int(p["start"]),
                int(p["restarts"]),
                str(p["end"]),
                str(p["file"]),
            )
            for p in found
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # nothing was started yet, or damaged


def note_saved_params(session_path: Path, saved: Mapping[str, Mapping[str, object]]) -> None:
    """Write down what processes of a run are to start with from now on, as its horus.yaml says."""
    known = _saved_params(session_path)
    for process, params in saved.items():
        known[process] = {**known.get(process, {}), **params}
    with contextlib.suppress(OSError):  # it is in horus.yaml all the same
        _write_whole(session_path / SAVED_FILE, known)


def saved_params(session_path: Path, process: str) -> dict[str, object]:
    """Return the parameters of a process that were saved since the run began: `NODE.PARAMETER`."""
    return _saved_params(session_path).get(process, {})


def _saved_params(session_path: Path) -> dict[str, dict[str, object]]:
    try:
        found = json.loads((session_path / SAVED_FILE).read_text())
        return {str(process): dict(params) for process, params in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # nothing was saved yet, or damaged


def noted_devices() -> list[RunDevice]:
    """Return the devices of the run that this process takes part in; none where none are noted."""
    try:
        found = json.loads((session.topics_dir().parent / DEVICES_FILE).read_text())
        return [
            RunDevice(*(str(d[key]) for key in ("name", "driver", "bus", "place", "process")))
            for d in found
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # a simulated robot or plain scripts, or damaged


def running_sessions() -> list[RunningSession]:
    """Return the runs that are going on, the oldest first."""
    folder = session.sessions_dir()
    found = []
    try:
        paths = list(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise NoSuchRun(str(session.explain(error, folder))) from None
    for path in paths:
        try:
            owner = json.loads((path / session.OWNER_FILE).read_text())
            run = RunningSession(float(owner["made"]), path.name, int(owner["pid"]))
            if session.is_alive(run.pid, int(owner["start"] or 0)):
                found.append(run)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # being made just now, or damaged
    return sorted(found)


def armed_devices() -> dict[str, list[str]]:
    """Return the armed actuators of each session in which a process is alive to stop them.

    Also of one of another PID namespace: nobody can see here whether its processes live.
    """
    supervised = {run.id for run in running_sessions()}
    found: dict[str, list[str]] = {}
    for path in sorted(session.sessions_dir().glob(f"*/{lastwords.FOLDER}/*.json")):
        pid, _, device = path.stem.partition("-")
        run = path.parent.parent.name
        seen = run in supervised or (pid.isdecimal() and session.is_alive(int(pid), 0))
        if seen or session.of_another_namespace(path.parent.parent):
            found.setdefault(run, []).append(device)
    return found


def chosen(session_id: str | None = None) -> list[RunningSession]:
    """Return the runs that may be meant: the named one, else all; none is a `NoSuchRun`.

    Without a name, HORUS_SESSION_ID decides where it is set.
    """
    runs = running_sessions()
    if not runs:
        raise NoSuchRun("no robot is running (start one with horus run)")
    wanted = session_id or os.environ.get("HORUS_SESSION_ID")
    found = [run for run in runs if wanted in (None, "", run.id)]
    if not found:
        known = [run.id for run in runs]
        near = did_you_mean(str(wanted), known)
        raise NoSuchRun(
            f"no run {wanted!r}{near}: it has ended, or never was; running: {', '.join(known)}"
        )
    return found


def one_of(runs: Sequence[RunningSession]) -> RunningSession:
    """Return the only run there is; of several none is meant: a `NoSuchRun` that lists them."""
    if len(runs) > 1:
        known = ", ".join(run.id for run in runs)
        raise NoSuchRun(f"{len(runs)} runs are going on: choose with --session from {known}")
    return runs[0]


def join(session_id: str | None = None) -> RunningSession:
    """Make this process part of a run: the named one, or the only one there is.

    Without a name, HORUS_SESSION_ID decides where it is set. None, or more than one, is a
    `NoSuchRun` that lists them.
    """
    found = one_of(chosen(session_id))
    os.environ["HORUS_SESSION_ID"] = found.id
    return found
