"""The process that tidies up when the supervisor itself is killed.

The kernel sends every process of a run SIGTERM at that moment; the guardian waits for them to stop
in order, kills those that do not (sooner those that hang with armed devices), speaks the last words
of actuators whose process could not, and removes the session. It learns of the death through the
end of its standard input.

It is told ``PID START`` for every process, ``prepare`` when there are devices to make safe, and
``done`` before the supervisor ends in order.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and sys.path[0] == __file__.rpartition("/")[0]:
    del sys.path[0]  # this folder: see horus.runtime.child

import signal
import time
from collections.abc import Mapping, Sequence

_KILL_WAIT = 2.0


def main(arguments: Sequence[str]) -> None:
    """Wait for the supervisor's end; ``arguments``: session id, grace in s, folder of programs."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    session_id, grace, folder = arguments
    leaders: dict[int, int] = {}
    for line in sys.stdin:
        if line == "done\n":
            return
        if line == "prepare\n":
            prepare()
            continue
        pid, start = line.split()
        leaders[int(pid)] = int(start)
    clean_up(leaders, session_id, float(grace), folder)


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
    from horus.runtime.lastwords import speak
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
                for line in speak(folder_of_run, pid, "ended when the run was killed"):
                    print(line, file=sys.stderr)

    folder_of_run = session.session_dir(session_id)
    hangs = HangWatch(folder_of_run)

    def kill_the_hung() -> None:
        for hung in hangs.look(time.monotonic()):
            if hung.pid in silent:
                print(f"   Killed process {hung.pid}: it {hung}", file=sys.stderr)
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
    session.end_session(session_id)
    leftovers.clean()
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
