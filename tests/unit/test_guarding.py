"""The supervisor's end of the guardian: what it is told, and when another takes its place."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import signal
import subprocess
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from horus.bus import session
from horus.errors import HorusError
from horus.runtime import guarding, hang, run
from horus.runtime.guardian import StandIn
from horus.runtime.output import Output
from horus.runtime.supervisor import Options

Waiter = Callable[[Callable[[], object]], None]


@pytest.fixture
def guardian(shm: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[guarding.Guardian]:
    """A guardian that is at work."""
    monkeypatch.setattr(guarding, "_WAIT", 60.0)
    made = session.new_session()
    found = guarding.Guardian(made.id, 0.1, made.path / "programs")
    yield found
    if found._popen.returncode is None:
        found.release()
    session.end_session(made.id)


def is_stopped(pid: int) -> bool:
    """Return whether a child is stopped."""
    return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None


def kill(guardian: guarding.Guardian) -> None:
    """Kill it, and let it be dead."""
    os.kill(guardian.pid, signal.SIGKILL)
    os.waitid(os.P_PID, guardian.pid, os.WEXITED | os.WNOWAIT)


def stop(guardian: guarding.Guardian, wait_for: Waiter) -> None:
    """Let it stand still."""
    os.kill(guardian.pid, signal.SIGSTOP)
    wait_for(lambda: is_stopped(guardian.pid))


def refused(*args: object, **more: object) -> None:
    """Start no process, as where there are too many."""
    raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


def test_a_successor_is_told_all_before_it_starts(
    guardian: guarding.Guardian, monkeypatch: pytest.MonkeyPatch
) -> None:
    guardian.watch(os.getpid())
    guardian.prepare()
    kill(guardian)
    waiting = array.array("i", [0])

    class Watched(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: object, stdin: int, **more: object) -> None:
            fcntl.ioctl(stdin, termios.FIONREAD, waiting)
            super().__init__(*args, stdin=stdin, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(guarding.subprocess, "Popen", Watched)
    told, trouble = guardian.keep(1.0)
    assert "Started another guardian" in told
    assert trouble == ""
    assert waiting[0] == len(guardian._told) > len("prepare\n")
    guardian.release()
    assert guardian._popen.returncode == 0


def test_one_that_does_not_read_holds_nobody_up_and_hears_all_later(
    guardian: guarding.Guardian, wait_for: Waiter
) -> None:
    stop(guardian, wait_for)
    for _ in range(20_000):
        guardian._order(b"%d 1\n" % os.getpid())
    assert guardian._unsent, "that is more than a pipe holds"
    os.kill(guardian.pid, signal.SIGCONT)
    wait_for(lambda: guardian.keep(1.0) == ("", "") and not guardian._unsent)
    guardian.release()
    assert guardian._popen.returncode == 0


def test_time_in_which_nobody_looked_is_not_counted_against_one_that_is_stopped(
    guardian: guarding.Guardian, wait_for: Waiter
) -> None:
    stop(guardian, wait_for)
    assert guardian.keep(10.0) == ("", "")
    assert guardian.keep(100.0) == ("", ""), "the whole run stood still"
    os.kill(guardian.pid, signal.SIGCONT)
    wait_for(lambda: not is_stopped(guardian.pid))
    assert guardian.keep(100.4) == ("", "")
    stop(guardian, wait_for)
    first = guardian.pid
    for step in range(2):
        assert guardian.keep(101.0 + 0.4 * step) == ("", "")
    wait_for(lambda: guardian.keep(101.8)[0])
    assert guardian.pid != first


def test_where_no_other_can_be_started_the_run_is_told_to_stop(
    guardian: guarding.Guardian, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill(guardian)
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(guarding.subprocess, "Popen", refused)
    told, trouble = guardian.keep(1.0)
    assert told == ""
    assert "another cannot be started: too many processes: end some" in trouble
    assert guardian.keep(2.0) == ("", ""), "once is enough"
    assert len(os.listdir("/proc/self/fd")) == before
    guardian.release()


def test_a_run_that_can_have_no_guardian_says_why_and_leaves_nothing(
    shm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarding.subprocess, "Popen", refused)
    with pytest.raises(HorusError) as info, run._session(Options(), False):
        pass
    assert str(info.value).startswith("the run's guardian cannot be started: too many processes")
    assert not list(shm.rglob("*"))


def test_where_no_thread_can_be_started_the_output_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(HorusError, match=r"^no thread can be started: too many processes"):
        Output()


def test_a_process_that_hangs_while_the_supervisor_is_stopped_is_killed_and_told_of_once(
    shm: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(hang.LIMIT_VARIABLE, "0.1")
    made = session.new_session()
    with subprocess.Popen(["sleep", "1000"]) as hanging:
        sign = made.path / hang.FOLDER / f"{hanging.pid}-wheel"
        sign.parent.mkdir()
        sign.write_bytes(b"\x01" * 8)
        stand_in = StandIn(made.id, {hanging.pid: session.process_start_time(hanging.pid) or 0})
        try:
            for step in range(20):
                stand_in.look(0.1 * step)
            assert hanging.wait(60) == -signal.SIGKILL
        finally:
            hanging.kill()
    for step in range(20, 40):
        stand_in.look(0.1 * step)
    assert sign.exists(), "the supervisor takes it away"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"   Killed process {hanging.pid}: it hung: no sign of life for 0.")
    session.end_session(made.id)
