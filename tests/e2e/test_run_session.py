"""Every run has a session of its own, and leaves nothing of it."""

from __future__ import annotations

import os
import signal

from horus.bus import session

TALKER = """\
import horus

def tick(node):
    node.send("chat", {"from": NAME})

horus.run(horus.Node("talker", pubs="chat", tick=tick, rate=50))
"""
LISTENER = """\
import os
import horus

print("session", os.environ["HORUS_SESSION_ID"])

def tick(node):
    for message in node.get_all("chat"):
        print("heard", message["from"])

horus.run(horus.Node("listener", subs="chat", tick=tick, rate=50))
"""
WAITS = 'import os, signal\nprint("pid", os.getpid())\nsignal.pause()\n'


def test_processes_of_a_run_share_its_session(write, horus_run):
    write("talker.py", "NAME = 'me'\n" + TALKER)
    write("listener.py", LISTENER)
    run = horus_run("*.py")
    run.wait_for(r"^\[listener\] heard me$")
    assert f"[listener] session {run.session_id}" in run.lines
    run.signal(signal.SIGINT)
    assert run.finish() == 0


def test_two_runs_at_once_do_not_hear_each_other(write, horus_run, tmp_path):
    for name in ("one", "two"):
        write(f"{name}/talker.py", f"NAME = {name!r}\n{TALKER}")
        write(f"{name}/listener.py", LISTENER)
    runs = {name: horus_run("*.py", cwd=tmp_path / name) for name in ("one", "two")}
    for name, run in runs.items():
        run.wait_for(rf"^\[listener\] heard {name}$")
    for name, run in runs.items():
        run.wait_for_more(f"heard {name}", 10)
    for run in runs.values():
        run.signal(signal.SIGINT)
    assert [run.finish() for run in runs.values()] == [0, 0]
    assert runs["one"].session_id != runs["two"].session_id
    assert "heard two" not in runs["one"].out
    assert "heard one" not in runs["two"].out


def test_a_run_inside_a_run_has_a_session_of_its_own(write, horus_run):
    write("a.py", "pass")
    run = horus_run("a.py", HORUS_SESSION_ID="of-the-outer-run")
    assert run.finish() == 0
    assert run.session_id != "of-the-outer-run"


def test_nothing_is_left_in_shared_memory(write, horus_run, shm):
    write("talker.py", "NAME = 'me'\n" + TALKER)
    write("listener.py", LISTENER)
    run = horus_run("*.py")
    run.wait_for("heard me")
    assert (shm / "sessions" / run.session_id).stat().st_mode & 0o777 == 0o700
    assert list((shm / "sessions" / run.session_id / "topics").iterdir())
    run.signal(signal.SIGTERM)
    assert run.finish() == 0
    assert not shm.exists() or list(shm.iterdir()) == []


def test_faults_and_crashes_leave_nothing_either(write, horus_run, shm):
    write("faulty.py", "import absent\n")
    write("crash.py", "1 / 0\n")
    assert horus_run("faulty.py").finish() == 1
    assert horus_run("crash.py").finish() == 1
    assert not shm.exists() or list(shm.iterdir()) == []


def test_leftovers_of_a_killed_run_are_reclaimed_by_the_next(write, horus_run, shm, is_gone):
    # A run of which not even the guardian was left, as after a power cut of the container.
    left = session.new_session()
    owner = left.path / session.OWNER_FILE
    owner.write_text(owner.read_text().replace(str(os.getpid()), str(2**22 - 1)))
    (left.path / "topics" / "scan").write_bytes(b"\0" * 64)
    write("a.py", "print('ran')")
    assert horus_run("a.py").finish() == 0
    assert not left.path.exists()


def test_shared_memory_that_cannot_be_used_is_named(write, horus_run, tmp_path):
    write("a.py", "pass")
    write("file", "")
    run = horus_run("a.py", HORUS_SHM_DIR=str(tmp_path / "file"))
    assert run.finish() == 1
    assert "Traceback" not in run.err
    assert str(tmp_path / "file") in run.err
    assert "HORUS_SHM_DIR" in run.err
