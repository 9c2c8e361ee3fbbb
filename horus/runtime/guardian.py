"""The process that stands in for the supervisor when that is killed, or does not do its work.

The kernel sends every process of a run SIGTERM when the supervisor dies; the guardian waits for
them to stop in order, kills those that do not (sooner those that hang with armed devices), speaks
the last words of actuators whose process could not, and removes the session. It learns of the death
through the end of its standard input. While the supervisor lives, but is stopped (SIGSTOP, a
debugger), the guardian minds the armed devices in its place.

It is told ``PID START`` for every process, ``prepare`` when there are devices to make safe, and
``done`` before the supervisor ends in order.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and sys.path[0] == __file__.rpartition("/")[0]:
    del sys.path[0]  # this folder: see horus.runtime.child

import os
import select
import signal
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_KILL_WAIT = 2.0
#: How long (s) processes that others left behind may take to end on a signal.
_STRAY_WAIT = 1.0
#: How much longer (s) than the supervisor the guardian waits with a dead or hung process. That a
#: device may be made safe twice does no harm.
_PATIENCE = 0.5
#: s between two looks at them.
_EVERY = 0.1


def main(arguments: Sequence[str]) -> None:
    """Wait for the supervisor's end; ``arguments``: session id, grace in s, folder of programs."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    session_id, grace, folder = arguments
    leaders: dict[int, int] = {}
    stand_in: StandIn | None = None
    unread = b""
    while True:
        if select.select([0], [], [], _EVERY if stand_in else None)[0]:
            data = os.read(0, 65_536)
            if not data:
                break
            *lines, unread = (unread + data).split(b"\n")
            for line in lines:
                if line == b"done":
                    return
                if line == b"prepare":
                    prepare()
                    stand_in = StandIn(session_id, leaders)
                else:
                    pid, start = line.split()
                    leaders[int(pid)] = int(start)
        if stand_in is not None:
            stand_in.look(time.monotonic())
    clean_up(leaders, session_id, float(grace), folder)


class StandIn:
    """Minds armed devices whose process is dead or hangs when nobody else does."""

    def __init__(self, session_id: str, leaders: Mapping[int, int]) -> None:
        from horus.bus import session
        from horus.runtime import hang, lastwords

        self._leaders = leaders
        self._folder = session.session_dir(session_id)
        self._words = self._folder / lastwords.FOLDER
        self._hangs = hang.HangWatch(self._folder, hang.limit() + _PATIENCE)
        self._killed: set[int] = set()
        self._dead: dict[int, float] = {}  # since when

    def look(self, now: float) -> None:
        """Kill what hangs, and speak for the dead, both after the supervisor had its turn."""
        from horus.runtime.linux import send_signal

        for hung in self._hangs.look(now):
            # Signs of life of a dead process stay until the supervisor takes them away.
            if hung.pid in self._killed or not self._lives(hung.pid):
                continue
            self._killed.add(hung.pid)
            _say(f"   Killed process {hung.pid}: it {hung}")
            send_signal(hung.pid, signal.SIGKILL)
        try:
            names = os.listdir(self._words)
        except OSError:
            return  # nothing was ever armed
        pids = {int(pid) for pid in (name.partition("-")[0] for name in names) if pid.isdigit()}
        gone = [pid for pid in pids & self._leaders.keys() if not self._lives(pid)]
        self._dead = {pid: self._dead.get(pid, now) for pid in gone}
        for pid, since in self._dead.items():
            if now - since >= _PATIENCE:
                speak_for(self._folder, pid, "ended, and the supervisor did not speak for it")

    def _lives(self, pid: int) -> bool:
        """Return whether a process of the run is there."""
        from horus.bus import session

        return pid in self._leaders and session.is_alive(pid, self._leaders[pid])


def speak_for(folder: Path, pid: int, why: str) -> None:
    """Speak the last words of a dead process, and tell it."""
    from horus.runtime.lastwords import speak

    for line in speak(folder, pid, why):
        _say(line)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def prepare() -> None:
    """Import all that takes time now: when it is needed, motors are turning."""
    import contextlib

    with contextlib.suppress(Exception):  # what is missing is told when it is needed
        from horus.hardware import lastwords
        from horus.runtime import hang, linux  # noqa: F401

        lastwords.prepare()


def clean_up(leaders: Mapping[int, int], session_id: str, grace: float, folder: str) -> None:
    """End what is left of a run whose supervisor was killed, and leave nothing behind."""
    import shutil

    from horus.bus import leftovers, session
    from horus.runtime.hang import HangWatch
    from horus.runtime.linux import send_signal, session_members

    for pid in session_members(leaders):
        if pid not in leaders:  # those have it from the kernel
            send_signal(pid, signal.SIGTERM)
    silent = dict(leaders)  # those whose last words have not been spoken

    def speak_for_the_dead() -> None:
        # At once, whatever the others still do: a motor may be turning.
        for pid, start in list(silent.items()):
            if not session.is_alive(pid, start):
                del silent[pid]
                speak_for(folder_of_run, pid, "ended when the run was killed")

    folder_of_run = session.session_dir(session_id)
    hangs = HangWatch(folder_of_run)

    def kill_the_hung() -> None:
        for hung in hangs.look(time.monotonic()):
            if hung.pid in silent:
                _say(f"   Killed process {hung.pid}: it {hung}")
                send_signal(hung.pid, signal.SIGKILL)
                hangs.forget(hung.pid)

    speak_for_the_dead()
    deadline = time.monotonic() + grace
    while session_members(leaders) and time.monotonic() < deadline:
        time.sleep(0.02)
        kill_the_hung()
        speak_for_the_dead()
    deadline = time.monotonic() + _KILL_WAIT
    while (left := session_members(leaders)) and time.monotonic() < deadline:
        for pid in left:
            send_signal(pid, signal.SIGKILL)
        time.sleep(0.02)
        speak_for_the_dead()
    speak_for_the_dead()
    end_strays(folder_of_run)
    session.end_session(session_id)
    leftovers.clean()
    shutil.rmtree(folder, ignore_errors=True)


def end_strays(folder_of_run: Path) -> None:
    """End what processes of the run have started in sessions of their own."""
    from horus.runtime.linux import send_signal, started_in

    for signum in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + _STRAY_WAIT
        for pid in started_in(folder_of_run):
            send_signal(pid, signum)
        while started_in(folder_of_run) and time.monotonic() < deadline:
            time.sleep(0.05)


if __name__ == "__main__":
    main(sys.argv[1:])
