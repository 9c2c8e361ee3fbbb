"""`horus run` from its arguments to its exit status."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from horus.bus import leftovers, session
from horus.errors import ConfigError, HorusError
from horus.launch import AS_IT_IS, Launch, NodeEntry
from horus.runtime.build import Fault, Program, build_all, check_all
from horus.runtime.files import NOTHING, NodeFile, UsageError, find_files, name_files, split_config
from horus.runtime.guarding import Guardian
from horus.runtime.hang import limit_problem
from horus.runtime.linux import start_trouble
from horus.runtime.output import Output
from horus.runtime.sessions import RunDevice, note_config, note_devices
from horus.runtime.supervisor import Options, Supervisor
from horus.scheduler import stats

if TYPE_CHECKING:
    from horus.hardware.plan import ProcessPlan


_SESSION = "HORUS_SESSION_ID"


@dataclass(frozen=True)
class Job:
    """What there is to run."""

    files: list[NodeFile]
    devices: list[RunDevice]
    #: The processes that hold them.
    hardware: list[ProcessPlan]
    #: Why hardware cannot be used, all reasons, a line each.
    hardware_faults: list[str]
    mock: bool
    #: What is worth knowing but no error.
    notes: list[str]
    #: The robot's horus.yaml, if it has one.
    config: Path | None = None


def find_job(arguments: Sequence[str], *, mock: bool, launch: Launch = AS_IT_IS) -> Job:
    """Return what the arguments of `horus run` stand for; start nothing and open nothing.

    ``launch`` is how the node files are started; horus.yaml may say more of its own.
    """
    config_path, patterns = split_config(arguments)
    found = find_files(patterns)
    notes = [f"no file matches {text!r}; going on without" for text in found.unmatched]
    notes += filter(None, [limit_problem()])
    paths = found.paths
    entries = [NodeEntry(path, 0, launch=launch) for path in paths]
    devices: list[RunDevice] = []
    hardware: list[ProcessPlan] = []
    faults: list[str] = []
    if config_path is not None:
        from horus import plugins
        from horus.hardware import config as hardware_config

        try:
            config = hardware_config.load(config_path)
        except hardware_config.RobotError as error:
            nodes = dict.fromkeys([*error.nodes, *(p for p in paths if p.is_file())])
            more = check_all(name_files(list(nodes)))
            raise ConfigError([*error.faults, *map(str, more)]) from None
        own = [replace(entry, launch=_both(entry.launch, launch)) for entry in config.entries]
        entries = [*own, *(entry for entry in entries if entry.path not in config.nodes)]
        if config.hardware:
            from horus.hardware import lastwords, plan

            # Beside the start, so that no import takes time when a driver has died.
            with contextlib.suppress(RuntimeError):  # no more threads: then it does
                threading.Thread(target=lastwords.prepare, daemon=True).start()

            devices = [
                RunDevice(d.name, d.use, d.bus, d.place, config.root_of(d.bus))
                for d in config.hardware.values()
            ]
            hardware = plan.processes(config, mock)
            faults = [] if mock else plan.preflight(config)
        faults += plugins.objections(config)
        if not entries and not hardware:
            raise UsageError(f"{config_path}: {NOTHING}")
    if mock and not hardware:
        notes.append("--mock changes nothing: this run has no hardware")
    files = name_files(
        [entry.path for entry in entries],
        {process.name for process in hardware},
        chosen={place: entry.name for place, entry in enumerate(entries) if entry.name},
        launches=[entry.launch for entry in entries],
    )
    return Job(
        files, devices, hardware, faults, mock, notes, None if config_path is None else config.path
    )


def _both(own: Launch, given: Launch) -> Launch:
    """Return how a node of horus.yaml is started when the command line says something too."""
    return replace(
        own,
        args=(*own.args, *given.args),
        remap={**given.remap, **own.remap},
        restart=given.restart if own.restart == AS_IT_IS.restart else own.restart,
    )


def run(job: Job, options: Options) -> int:
    """Run node files and hardware until they end or are stopped; return the exit status."""
    for note in job.notes:
        print(f"note: {note}", file=sys.stderr)
    leftovers.clean()
    compiles = any(file.language == "rust" for file in job.files)
    with _session(options, compiles) as (session_id, session_path, folder, guardian):
        note_devices(session_path, job.devices)
        note_config(session_path, job.config)
        output = Output()
        _tell_job(job, session_id, output)
        programs = _build(job, folder, output)
        if programs is None:
            return 1
        output.say("\n Phase 2: Starting all processes...\n")
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        env.pop(stats.FOLDER, None)
        if options.stats:
            env[stats.FOLDER] = str(session_path)
        return Supervisor(session_path, output, guardian, options, env).run(programs)


@contextlib.contextmanager
def _session(options: Options, compiles: bool) -> Iterator[tuple[str, Path, Path, Guardian]]:
    """Make what a run needs beside its processes, and remove all of it however the run ends."""
    made = session.new_session()
    folder = made.path
    if compiles:  # shared memory is often mounted so that nothing in it can be executed
        folder = Path(tempfile.mkdtemp(prefix="horus-run-"))
    try:
        try:
            guardian = Guardian(made.id, options.grace, folder)
        except OSError as error:
            text = f"the run's guardian cannot be started: {start_trouble(error)}"
            raise HorusError(text) from None
        # The supervisor itself has topics in its run, on which it is asked to stop a node.
        before = os.environ.get(_SESSION)
        os.environ[_SESSION] = made.id
        try:
            yield made.id, made.path, folder, guardian
        finally:
            guardian.release()
            os.environ.pop(_SESSION, None)
            if before is not None:
                os.environ[_SESSION] = before
    finally:
        session.end_session(made.id)
        leftovers.clean()
        shutil.rmtree(folder, ignore_errors=True)


def _tell_job(job: Job, session_id: str, output: Output) -> None:
    count = len(job.files)
    if not count:
        devices = "1 device" if len(job.devices) == 1 else f"{len(job.devices)} devices"
        output.say(f" Executing no node files, {devices}:\n")
    elif count == 1:
        output.say(" Executing 1 file:\n")
    else:
        output.say(f" Executing {count} files concurrently:\n")
    output.say(f"  🔒 Session: {session_id}\n")
    if job.hardware and job.mock:
        output.say("  MOCK: simulated devices, no real hardware is touched\n")
    for number, file in enumerate(job.files, 1):
        output.say(f"  {number}. {file.shown} ({file.language})\n")
    for device in job.devices:
        output.say(f"  + {device}\n")


def _build(job: Job, folder: Path, output: Output) -> list[Program] | None:
    """Carry out Phase 1; None when there are faults, which have then been told."""
    output.say("\n Phase 1: Building all files...\n")
    programs, faults = build_all(job.files, folder)
    lines = [*map(str, _unique(faults)), *job.hardware_faults]
    if lines:
        output.flush()
        number = "1 fault" if len(lines) == 1 else f"{len(lines)} faults"
        print(*lines, f"horus run: {number}; nothing was started", sep="\n", file=sys.stderr)
        return None
    output.say(" All files built successfully!\n")
    hardware = [Program(p.name, _command(p.argv), p.kind, p.launch) for p in job.hardware]
    return [*hardware, *programs]


def _unique(faults: Sequence[Fault]) -> list[Fault]:
    return list(dict.fromkeys(faults))


def _command(argv: Sequence[str]) -> tuple[str, ...]:
    """Return a command line as `horus.runtime.child` takes it."""
    if len(argv) > 2 and argv[0] == sys.executable and argv[1] == "-m":
        return ("module", *argv[2:])
    return ("program", argv[0], *argv)
