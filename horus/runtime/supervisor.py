"""Starts the processes of a run, shows what they print, and ends them in order."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from horus.bus.leftovers import topic_ends
from horus.bus.remap import REMAP
from horus.bus.session import topics_dir
from horus.node import startvalues
from horus.runtime import typos
from horus.runtime.build import Program
from horus.runtime.guarding import Guardian
from horus.runtime.hang import HangWatch
from horus.runtime.linux import (
    RUN_FOLDER,
    adopt_orphans,
    descendants,
    send_signal,
    signal_group,
    start_trouble,
)
from horus.runtime.orders import Orders
from horus.runtime.output import Output
from horus.runtime.process import Process
from horus.runtime.report import Reporter
from horus.runtime.restarts import Restarts
from horus.runtime.sessions import STOP_FILE, note_processes, saved_params
from horus.runtime.signals import SignalInbox
from horus.runtime.stopping import StopSequence
from horus.scheduler import realtime, stats

#: Started in this order; stopped with the simulated devices last.
_KINDS = ("twin", "driver", "node")
#: How long (s) a hardware process may take until others can rely on it.
_READY_TIMEOUT = 15.0
#: How long (s) processes that others left behind may take to end on a signal.
_SWEEP_GRACE = 1.0
#: How long (s) after the last start topics are compared: until then imports and inits are over.
_LOOK_AFTER = 3.0
#: How long (s) the kernel may take to end a process that hangs, until its devices are made safe.
_KILL_PATIENCE = 0.2
#: In the environment: what hardware processes, and nodes, make when they are ready.
READY_FILE, STARTED_FILE = "HORUS_READY_FILE", "HORUS_STARTED_FILE"
_WHY = {signal.SIGINT: "Ctrl+C", signal.SIGHUP: "the terminal has gone"}


@dataclass(frozen=True)
class Options:
    """How a run is supervised."""

    #: How long (s) processes have to answer SIGINT, and then SIGTERM.
    grace: float = 3.0
    #: One failed process ends the run.
    fail_fast: bool = False
    #: End the run after this time (s).
    duration: float | None = None
    colour: bool = False
    #: Print how well each node kept time when the run is over.
    stats: bool = False
    #: What nodes and drivers are told of real time (`horus.scheduler.realtime`); empty: nothing.
    rt: str = ""


def in_order(programs: Sequence[Program]) -> list[Program]:
    """Return programs so that each comes after those that it names, else in their order."""
    left, found = list(programs), list[Program]()
    while left:
        names = {program.name for program in left}
        ready = [p for p in left if not names & set(p.launch.after)]
        found.append((ready or left)[0])  # a circle, which horus.yaml may not hold, is broken
        left.remove(found[-1])
    return found


class Supervisor:
    """One run, from the start of its first process to the end of its last."""

    def __init__(
        self,
        session_path: Path,
        output: Output,
        guardian: Guardian,
        options: Options,
        env: Mapping[str, str],
    ) -> None:
        self._session_path = session_path
        self._output = output
        self._guardian = guardian
        self._options = options
        self._env = env
        self._report = Reporter(output, session_path, colour=options.colour)
        self._processes: list[Process] = []
        self._hangs = HangWatch(session_path)
        self._restarts = Restarts()
        self._orders = Orders(
            self._processes, self._restarts, self._replace, self._waits_for, options.grace
        )
        self._stop: StopSequence | None = None
        self._stop_signal: signal.Signals | None = None
        #: The least exit status: 1 when the run itself failed, not one of its processes.
        self._floor = 0
        #: Processes started so far, restarts included.
        self._starts = 0
        self._ends_at: float | None = None
        #: When to look for misspelt topics (monotonic s), until that has been done.
        self._look_at: float | None = None
        self._inbox = SignalInbox()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._inbox.fd, selectors.EVENT_READ, None)
        output.wake = self._inbox.wake

    def run(self, programs: Sequence[Program]) -> int:
        """Run all programs until they have ended or the run is stopped; return the exit status."""
        adopt_orphans()
        self._inbox.listen()
        try:
            self._start_all(programs)
            if self._stop is None:
                self._report.say("\n All processes running. Press Ctrl+C to stop.")
                if any(program.kind == "driver" for program in programs):
                    self._guardian.prepare()
                self._look_at = time.monotonic() + _LOOK_AFTER
                if trouble := self._orders.open():
                    self._report.say(f"   Single nodes cannot be stopped in this run: {trouble}")
                if self._options.duration is not None:
                    self._ends_at = time.monotonic() + self._options.duration
            self._report.release()
            self._loop()
        finally:
            self._orders.close()
            self._sweep()
        stopped = self._stop is not None
        self._report.say(" All processes stopped." if stopped else "\n All processes have ended.")
        if self._options.stats:
            self._tell_stats()
        seen = self._inbox.count
        self._output.flush(lambda: self._inbox.count > seen)
        self._inbox.ignore()
        return self._status()

    def _tell_stats(self) -> None:
        found = stats.collected(self._session_path)
        if found:
            self._report.say("\n" + stats.table(found).rstrip("\n"))
        else:
            self._report.say("\n --stats: no node has told how it kept time")

    # -- start

    def _start_all(self, programs: Sequence[Program]) -> None:
        for kind in _KINDS:
            for program in in_order([p for p in programs if p.kind == kind]):
                if program.launch.after:
                    self._await_started(program)
                if self._stop is None and (trouble := self._start(program)):
                    self._fail(trouble)
            if kind != "node":
                self._await_ready()

    def _start(self, program: Program, restarts: int = 0) -> str:
        """Start a program; return why it cannot be."""
        env = {**self._env, **program.launch.env, RUN_FOLDER: str(self._session_path)}
        if program.kind == "twin":  # a simulated device takes no core from others
            env.pop(realtime.VARIABLE, None)
        elif self._options.rt:
            env[realtime.VARIABLE] = self._options.rt
        if program.launch.remap:
            env[REMAP] = json.dumps(dict(program.launch.remap))
        saved = saved_params(self._session_path, program.name)  # while the run went on
        given = {**program.launch.params, **{name: (v, "horus.yaml") for name, v in saved.items()}}
        if given:
            env[startvalues.VARIABLE] = startvalues.packed(given)
        self._starts += 1
        ready_file = self._session_path / f"ready-{self._starts}"
        env[READY_FILE if program.kind != "node" else STARTED_FILE] = str(ready_file)
        try:
            process = Process(program, env, ready_file, restarts)
        except OSError as error:
            return f"[{program.name}] cannot be started: {start_trouble(error)}"
        self._guardian.watch(process.pid)
        self._processes.append(process)
        if process.fd is not None:
            self._selector.register(process.fd, selectors.EVENT_READ, process)
        self._note_processes()
        self._report.say(f"   Started [{program.name}]")
        return ""

    def _replace(self, old: Process, restarts: int | None = None) -> str:
        """Start a program in the place of its process that has ended; return why it cannot be."""
        trouble = self._start(old.program, old.restarts if restarts is None else restarts)
        if not trouble:
            self._processes.remove(old)
            if old.fd is not None:  # what it started holds the pipe
                self._selector.unregister(old.fd)
            old.close()
            self._note_processes()
        return trouble

    def _note_processes(self) -> None:
        note_processes(self._session_path, [process.noted() for process in self._processes])

    def _await_ready(self) -> None:
        """Wait until all hardware processes say that others can rely on them."""
        deadline = time.monotonic() + _READY_TIMEOUT
        while self._stop is None:
            waiting = [
                p for p in self._processes if p.program.kind != "node" and not p.ready_file.exists()
            ]
            dead = [process.name for process in waiting if not process.running]
            if dead:
                self._fail(f"[{dead[0]}] ended before it was ready")
            elif not waiting:
                return
            elif time.monotonic() > deadline:
                self._fail(f"[{waiting[0].name}] is not ready after {_READY_TIMEOUT:g} s")
            else:
                self._turn(0.02)
                self._obey_signals()

    def _await_started(self, program: Program) -> None:
        """Wait until the processes that a node is to come after are ready, or are not coming."""
        deadline = time.monotonic() + _READY_TIMEOUT
        while self._stop is None:
            waiting = self._waits_for(program)
            if not waiting:
                return
            if time.monotonic() > deadline:
                self._report.say(
                    f"   Not waiting any longer for [{waiting[0]}]: it has not begun to run its "
                    f"nodes within {_READY_TIMEOUT:g} s"
                )
                return
            self._turn(0.02)
            self._obey_signals()

    def _waits_for(self, program: Program) -> list[str]:
        """Return the running processes that a program is to come after, and that are not ready."""
        names = program.launch.after
        return [p.name for p in self._processes if p.name in names and p.running and not p.is_ready]

    def _start_again(self, now: float) -> None:
        for restart in self._restarts.take(now):
            old = restart.process
            if trouble := self._replace(old, old.restarts + 1):
                self._fail(trouble)

    # -- the loop

    def _loop(self) -> None:
        while True:
            self._obey_signals()
            self._tell_ends()
            self._orders.serve()
            now = time.monotonic()
            if self._stop is not None:
                if self._stop.advance(now):
                    self._tell_ends()
                    return
                self._turn(self._stop.deadline - now)
            elif not self._goes_on and not any(process.running for process in self._processes):
                return
            elif why := self._reason_to_stop(now):
                self._begin_stop(why)
            else:
                if self._look_at is not None and now >= self._look_at:
                    self._look_at = None
                    self._note_typos()
                self._start_again(now)
                wanted = (self._ends_at, self._look_at, self._restarts.next_due)
                due = [when for when in wanted if when is not None]
                self._turn(min(due) - now if due else None)

    @property
    def _goes_on(self) -> bool:
        """Return whether something that has ended may be started again."""
        return bool(self._restarts) or bool(self._orders.held)

    def _note_typos(self) -> None:
        """Tell of topics that somebody reads and nobody publishes, but for a name that is near."""
        names = {process.pid: process.name for process in self._processes}
        for note in typos.notes(topic_ends(topics_dir(self._session_path.name)), names):
            self._report.say(note)

    def _reason_to_stop(self, now: float) -> str:
        kinds = {process.program.kind for process in self._processes}
        running = {process.program.kind for process in self._processes if process.running}
        if self._output.broken:
            return "nobody reads the output any more"
        if self._ends_at is not None and now >= self._ends_at:
            return f"{self._options.duration:g} s have passed"
        if self._goes_on:
            return ""
        if "node" in kinds and "node" not in running:
            return "all nodes have ended"
        if "driver" in kinds and "driver" not in running and "node" not in running:
            return "all drivers have ended"
        return ""

    def _turn(self, timeout: float | None) -> None:
        """Wait for something to happen and take note of it."""
        every = min(self._hangs.every, self._orders.every)
        timeout = every if timeout is None else min(max(timeout, 0.0), every)
        if self._stop is None and self._output.full():
            # Let our own reader catch up, but go on noticing signals and ends.
            timeout = min(timeout, 0.2)
            with selectors.DefaultSelector() as inbox_only:
                inbox_only.register(self._inbox.fd, selectors.EVENT_READ)
                inbox_only.select(timeout)
            self._inbox.drain()
        else:
            for key, _ in self._selector.select(timeout):
                if key.data is None:
                    self._inbox.drain()
                else:
                    self._read(key.data)
        self._reap()
        self._keep_guarded()
        self._end_hung()

    def _end_hung(self) -> None:
        """Kill processes that hang while they hold armed devices; their last words follow."""
        now = time.monotonic()
        running = {process.pid: process for process in self._processes if process.running}
        for hung in self._hangs.look(now):
            process = running.get(hung.pid)
            if process is not None and not process.hung:
                process.hung, process.killed_at = str(hung), now
                signal_group(process.pid, signal.SIGKILL)
        for process in running.values():
            if process.hung and now - process.killed_at > _KILL_PATIENCE:
                self._report.speak_for(process)  # its motors do not wait for the kernel either

    def _read(self, process: Process) -> None:
        fd = process.fd
        lines = process.read()
        if process.fd is None and fd is not None:
            self._selector.unregister(fd)
        self._report.lines(process, lines)

    def _reap(self) -> None:
        """Take note of ended processes: our own, and those adopted from ours."""
        known = {process.pid: process.reap for process in self._processes}
        known[self._guardian.pid] = self._guardian.reap
        with contextlib.suppress(ChildProcessError):
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if ended.si_pid in known:
                    known[ended.si_pid]()
                else:
                    os.waitpid(ended.si_pid, os.WNOHANG)

    def _keep_guarded(self) -> None:
        """Put another guardian in the place of one that was killed; without one there is no run."""
        told, trouble = self._guardian.keep(time.monotonic())
        if told:
            self._report.say(told)
        if trouble:
            self._fail(trouble)

    def _tell_ends(self) -> None:
        ended = self._report.ends(self._processes)
        if ended:
            self._note_processes()
        for process in ended:
            self._hangs.forget(process.pid)
            if process.ordered:
                continue
            if self._stop is None and (told := self._restarts.ended(process, time.monotonic())):
                self._report.say(told)
            if self._options.fail_fast and not process.ended_well:
                self._begin_stop(f"--fail-fast: [{process.name}] failed")

    # -- the end

    def _fail(self, why: str) -> None:
        self._floor = 1
        self._begin_stop(why)

    def _begin_stop(self, why: str) -> None:
        if self._stop is not None:
            return
        self._orders.close()
        self._report.release()
        self._report.say(f"\n Stopping all processes ({why})...")
        twins = [process for process in self._processes if process.program.kind == "twin"]
        others = [process for process in self._processes if process.program.kind != "twin"]
        self._stop = StopSequence([others, twins], self._options.grace)

    def _obey_signals(self) -> None:
        while signum := self._inbox.take():
            why = _WHY.get(signum, signum.name)
            if signum == signal.SIGINT and (self._session_path / STOP_FILE).exists():
                why = "horus stop"
            if self._stop is None:
                self._stop_signal = signum
                self._begin_stop(why)
            else:
                self._stop.hurry(time.monotonic(), f"{why} again")

    def _sweep(self) -> None:
        """End what processes started and left behind; after a fault of ours, all of them."""
        # First a moment in which helpers of an ended process may notice and end by themselves.
        for signum, grace in ((0, 0.25), (signal.SIGTERM, _SWEEP_GRACE), (signal.SIGKILL, 1.0)):
            left = self._left_behind()
            if left and signum == signal.SIGTERM:
                self._report.say(f"   Ending processes that were left behind: {len(left)}")
            for pid in left:
                send_signal(pid, signum)
            deadline = time.monotonic() + grace
            while left and time.monotonic() < deadline:
                self._turn(0.05)
                left = self._left_behind()
        for process in self._processes:
            self._report.lines(process, process.read_rest())
            process.close()
        self._selector.close()

    def _left_behind(self) -> list[int]:
        spared = {process.pid for process in self._processes if process.lost}
        return [pid for pid in descendants(os.getpid()) if pid not in {self._guardian.pid, *spared}]

    def _status(self) -> int:
        if self._stop_signal == signal.SIGINT:
            return 0
        return max([self._floor, *(process.status for process in self._processes)])
