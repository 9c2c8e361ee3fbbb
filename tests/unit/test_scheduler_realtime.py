"""Real time: what a run takes, what it says, and that it gives all back."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import horus
from horus.scheduler import realtime, resident
from horus.scheduler.permits import Permits, permits

allowed = pytest.mark.skipif(
    not permits().priority, reason="this user may not use SCHED_FIFO: horus doctor says the cure"
)

#: Gives up the privileges, also those of root, and the limits that stand for them.
UNPRIVILEGED = """
import ctypes, resource
resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
resource.setrlimit(resource.RLIMIT_MEMLOCK, (1 << 20, 1 << 20))
libc = ctypes.CDLL(None, use_errno=True)
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
none = (ctypes.c_uint32 * 6)()
assert libc.syscall({number}, header, none) == 0
import os, horus
def tick(node):
    print("policy", os.sched_getscheduler(0) & 15, os.sched_getparam(0).sched_priority)
    node.request_stop()
horus.run(horus.Node("n", tick=tick, rate=100), rt=True, duration=5)
print("after", os.sched_getscheduler(0) & 15)
"""
CAPSET = {"x86_64": 126, "aarch64": 91}.get(os.uname().machine)


def own() -> tuple[object, ...]:
    """Return the class, priority and cores of this thread, and what its process has locked."""
    return (
        os.sched_getscheduler(0) & 15,
        os.sched_getparam(0).sched_priority,
        os.sched_getaffinity(0),
        resident._locked_kib() > 0,
        gc.get_freeze_count() > 0,
    )


@allowed
@pytest.mark.parametrize("thread", [False, True])
def test_ticks_run_in_real_time_and_afterwards_all_is_as_before(thread: bool) -> None:
    before, interval, found = own(), sys.getswitchinterval(), []
    core = min(os.sched_getaffinity(0))

    def tick(node: horus.Node) -> None:
        found.append((own(), threading.current_thread() is threading.main_thread()))
        node.request_stop()

    rt = horus.RealTime(priority=7, cpus=[core])
    horus.run(horus.Node("n", tick=tick, rate=100, thread=thread), rt=rt, duration=5)
    lock = not permits().no_lock
    assert found[0] == ((os.SCHED_FIFO, 7, {core}, lock, True), not thread)
    assert own() == before
    assert sys.getswitchinterval() == interval


@allowed
def test_what_a_tick_starts_is_not_in_the_real_time_class() -> None:
    found: list[int] = []

    def tick(node: horus.Node) -> None:
        worker = threading.Thread(target=lambda: found.append(os.sched_getscheduler(0) & 15))
        worker.start()
        worker.join()
        node.request_stop()

    horus.run(horus.Node("n", tick=tick, rate=100), rt=True, duration=5)
    assert found == [os.SCHED_OTHER]


@allowed
def test_a_run_that_fails_gives_all_back_too() -> None:
    before = own()

    def tick(node: horus.Node) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        horus.run(horus.Node("n", tick=tick, rate=100), rt=True, duration=5)
    assert own() == before


def unprivileged() -> subprocess.CompletedProcess[str]:
    if CAPSET is None:
        pytest.skip("the number of capset is not known for this machine")
    source = UNPRIVILEGED.format(number=CAPSET)
    return subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60
    )


def test_without_permission_it_runs_all_the_same_and_says_the_cure_in_one_line() -> None:
    done = unprivileged()
    assert done.stdout == "policy 0 0\nafter 0\n", done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "real time:" in line]
    assert "WARNING" in line
    assert "no SCHED_FIFO (not permitted: add the line" in line
    assert "- rtprio 90` to /etc/security/limits.conf" in line
    assert "memory not locked (not permitted: add the line" in line
    assert "- memlock unlimited`" in line


@allowed
def test_a_limit_on_the_priority_is_kept_and_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(realtime, "permits", lambda: Permits(1, "", "not permitted: so it is"))
    found: list[int] = []

    def tick(node: horus.Node) -> None:
        found.append(os.sched_getparam(0).sched_priority)
        node.request_stop()

    with caplog.at_level("INFO", "horus.scheduler"):
        horus.run(horus.Node("n", tick=tick, rate=100), rt=True, duration=5)
    assert found == [1]
    assert "SCHED_FIFO 1 instead of 40, as the limit rtprio has it" in caplog.text
    assert "memory not locked (not permitted: so it is)" in caplog.text


def test_a_class_that_the_kernel_refuses_in_spite_of_all_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(realtime, "permits", lambda: Permits(99, "", "no"))
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    node = horus.Node("n", tick=lambda n: n.request_stop(), rate=100)
    with caplog.at_level("INFO", "horus.scheduler"):
        horus.run(node, rt=True, duration=5)
    assert node.info.tick_count() == 1
    assert "refused ([Errno 1] Operation not permitted)" in caplog.text


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mlockall"), reason="no mlockall here")
def test_the_last_of_several_unlocks_and_what_the_program_froze_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(resident, "_call", lambda name, *_: calls.append(name) or True)
    monkeypatch.setattr(resident, "_locked_kib", lambda: 0)
    with resident.locked() as one:
        with resident.locked() as other:
            assert one
            assert other
        assert calls == ["mlockall"]
    assert calls == ["mlockall", "munlockall"]
    monkeypatch.setattr(resident, "_locked_kib", lambda: 12)
    with resident.locked() as theirs:
        assert theirs
    assert len(calls) == 2
    gc.freeze()
    try:
        with resident.frozen():
            pass
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_the_spin_is_a_small_part_of_the_shortest_period() -> None:
    assert horus.RealTime().spin_ns(1000) == 100_000
    assert horus.RealTime().spin_ns(10_000) == 25_000
    assert horus.RealTime(spin=0).spin_ns(50) == 0


@pytest.mark.parametrize(
    ("options", "rates", "awake_ns"),
    [
        ({}, [100], 100_000),  # as long as a thread takes to wake up
        ({}, [1000], 50_000),  # a twentieth of the time
        ({}, [500, 500], 50_000),  # of all nodes together
        ({}, [100] * 300, 1667),
        ({"spin": 0.0}, [100], 0),
        ({"spin": 0.002}, [1000], 2_000_000),
        ({"clock": horus.SimClock()}, [100], 0),
    ],
)
def test_a_loop_is_awake_a_moment_before_its_ticks(
    options: dict[str, Any], rates: list[float], awake_ns: int
) -> None:
    seen: list[int] = []
    scheduler = horus.Scheduler(**options)

    def tick(node: horus.Node) -> None:
        assert scheduler._run is not None
        seen.append(scheduler._run._loop._spin_ns)
        scheduler.stop()

    for number, rate in enumerate(rates):
        scheduler.add(horus.Node(f"node_{number}", tick=tick, rate=rate))
    scheduler.run()
    assert seen[0] == awake_ns


def test_options_go_through_the_environment_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(realtime.VARIABLE, str(horus.RealTime(priority=12, cpus=[0])))
    assert realtime.asked(None) == horus.RealTime(priority=12, cpus=[0])
    assert realtime.asked(False) is None
    monkeypatch.setenv(realtime.VARIABLE, "priority=high")
    with pytest.raises(ValueError, match=r"HORUS_RT='priority=high': such as priority=40,cpus=1"):
        horus.Scheduler()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"priority": 100}, "priority is 100"),
        ({"priority": "high"}, "priority is 'high'"),
        ({"spin": -1}, "spin is -1"),
        ({"cpus": []}, "cpus is empty"),
        ({"cpus": [100000]}, "cpus has 100000; this machine has the cores 0 to"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        horus.RealTime(**options)  # type: ignore[arg-type]


def test_simulated_time_has_no_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="simulated time has no real time"):
        horus.Scheduler(clock=horus.SimClock(), rt=True)
    monkeypatch.setenv(realtime.VARIABLE, "priority=40")
    horus.Scheduler(clock=horus.SimClock())  # as SimRobot does under horus run --rt
    with pytest.raises(TypeError, match="rt is 'yes'"):
        horus.Scheduler(rt="yes")  # type: ignore[arg-type]


def test_a_thread_of_the_program_that_computes_gets_its_lock_taken_away_in_time() -> None:
    found: list[float] = []
    done = threading.Event()

    def compute() -> None:
        while not done.is_set():
            sum(range(50))

    busy = threading.Thread(target=compute, daemon=True)
    busy.start()
    try:
        node = horus.Node("n", tick=lambda n: found.append(sys.getswitchinterval()), rate=200)
        horus.run(node, duration=0.1)
    finally:
        done.set()
        busy.join()
    assert max(found) <= 1e-4


def test_horus_doctor_says_what_this_user_may_have(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "horus", "doctor"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    (line,) = [line for line in done.stdout.splitlines() if " real time " in line]
    found = permits()
    assert (f"SCHED_FIFO up to {found.priority}" if found.priority else found.no_fifo) in line
    assert " memory  " in done.stdout


def test_horus_run_rt_reaches_its_nodes(tmp_path: Path) -> None:
    (tmp_path / "n.py").write_text(
        "import horus, os\n"
        "def tick(node):\n"
        "    print(os.environ['HORUS_RT'], os.sched_getscheduler(0) & 15)\n"
        "    node.request_stop()\n"
        "horus.run(horus.Node('n', tick=tick, rate=100))\n"
    )
    begun = time.monotonic()
    command = [sys.executable, "-m", "horus", "run", "n.py", "--rt-priority", "3"]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2
    assert "add --rt" in refused.stderr
    done = subprocess.run(
        [*command, "--rt"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert f"[n] priority=3 {1 if permits().priority else 0}\n" in done.stdout, done.stderr
    assert done.stdout.count("real time:") == 1
    assert time.monotonic() - begun < 50
