"""`horus ps` shows what runs, `horus stop` ends it in order."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

from horus.runtime.sessions import PROCESSES_FILE, noted_processes

WAITING = """
import horus

def tick(node):
    pass

horus.run(horus.Node("{name}", tick=tick, rate=5))
"""
DEAF = """
import os, signal, select
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("pid", os.getpid(), flush=True)
while True:
    select.select([], [], [], 10)
"""


def started(horus_run, write, *names: str):
    files = [str(write(f"{name}.py", WAITING.format(name=name))) for name in names]
    run = horus_run(*files)
    run.wait_for("All processes running")
    return run


def test_ps_lists_the_processes_of_every_run(horus_run, horus_command, write):
    one = started(horus_run, write, "one", "two")
    other = started(horus_run, write, "three")
    shown = horus_command("ps", "--json")
    assert shown.finish() == 0
    found = {run["session"]: run for run in json.loads(shown.out)}
    assert set(found) == {one.session_id, other.session_id}
    rows = {row["name"]: row for row in found[one.session_id]["processes"]}
    assert list(rows) == ["horus run", "one", "two"]
    assert rows["horus run"]["pid"] == one.pid
    assert rows["one"]["kind"] == "node"
    assert all(row["state"] == "running" for row in rows.values())
    assert all(row["memory_bytes"] > 1e6 for row in rows.values())
    table = horus_command("ps", "--session", other.session_id)
    assert table.finish() == 0
    assert table.lines[0].startswith(f"session {other.session_id}, since ")
    assert [line.split()[0] for line in table.lines[2:]] == ["horus", "three"]


def test_ps_tells_how_a_process_has_ended_and_which_is_stopped(horus_run, horus_command, write):
    run = started(horus_run, write, "one", "two")
    one, two = noted_processes(run.session_id)
    os.kill(one.pid, signal.SIGKILL)
    run.wait_for("Crashed .one.: killed by signal 9")
    os.kill(two.pid, signal.SIGSTOP)
    try:
        shown = horus_command("ps", "--json")
        assert shown.finish() == 0
    finally:
        os.kill(two.pid, signal.SIGCONT)
    states = {row["name"]: row["state"] for row in json.loads(shown.out)[0]["processes"]}
    assert states["one"] == "killed by signal 9 (SIGKILL)"
    assert states["two"] == "stopped (SIGSTOP)"


def test_a_damaged_list_of_processes_shows_the_supervisor_all_the_same(
    horus_run, horus_command, write, shm: Path
):
    run = started(horus_run, write, "one")
    (shm / "sessions" / run.session_id / PROCESSES_FILE).write_text('[{"name": 1}]')
    shown = horus_command("ps")
    assert shown.finish() == 0, shown.err
    assert [line.split()[0] for line in shown.lines[2:]] == ["horus"]


def test_stop_ends_a_run_as_ctrl_c_does(horus_run, horus_command, write):
    run = started(horus_run, write, "one")
    stop = horus_command("stop")
    assert stop.finish() == 0
    assert stop.out == f"stopped session {run.session_id}\n"
    assert run.finish() == 0
    assert "Stopping all processes (horus stop)..." in run.out


def test_stop_wants_to_know_which_of_two(horus_run, horus_command, write):
    one, two = started(horus_run, write, "one"), started(horus_run, write, "two")
    stop = horus_command("stop")
    assert stop.finish() == 2
    assert "2 runs are going on: choose with --session" in stop.err
    assert one.session_id in stop.err
    named = horus_command("stop", "--session", two.session_id)
    assert named.finish() == 0
    assert two.finish() == 0
    both = horus_command("stop", "--all")
    assert both.finish() == 0
    assert one.finish() == 0


def test_stop_says_what_has_not_ended_in_time(
    horus_run: Callable[..., object], horus_command, write
):
    run = horus_run(str(write("deaf.py", DEAF)), "--grace", "20")
    run.wait_for("All processes running")
    pid = run.pid_of("deaf")
    stop = horus_command("stop", "--timeout", "0.3")
    assert stop.finish() == 1
    assert f"session {run.session_id}" in stop.err
    assert "has not within 0.3 s" in stop.err
    os.kill(pid, signal.SIGKILL)
    assert run.finish() in (0, 137)


def test_without_a_run_there_is_nothing_to_list_or_stop(horus_command):
    for name in ("ps", "stop"):
        command = horus_command(name)
        assert command.finish() == 2
        assert "no robot is running" in command.err
