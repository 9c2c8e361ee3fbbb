"""How a run ends: signals, crashes, exit statuses, and nothing that outlives it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from horus.bus import session

#: Waits for a signal; SIGINT ends it as it ends any Python program.
WAITS = 'import os, signal\nprint("pid", os.getpid())\nsignal.pause()\n'
#: Ignores what it is asked.
DEAF = """\
import os, signal
for signum in ({ignored}):
    signal.signal(signum, signal.SIG_IGN)
print("pid", os.getpid())
while True:
    signal.pause()
"""
DEAF_TO_SIGINT = DEAF.format(ignored="signal.SIGINT,")
DEAF_TO_ALL = DEAF.format(ignored="signal.SIGINT, signal.SIGTERM")
NODE = """\
import os
import horus

def start(node):
    print("pid", os.getpid())

def tick(node):
    print("tick")

def shutdown(node):
    print("shutdown ran")

node = horus.Node(name="n", tick=tick, init=start, shutdown=shutdown, rate=20)

if __name__ == "__main__":
    horus.run(node)
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_runs_the_shutdown_functions(signum, write, horus_run):
    write("node.py", NODE)
    run = horus_run("node.py")
    run.wait_for(r"^\[node\] tick$")
    run.signal(signum)
    assert run.finish() == 0
    assert "[node] shutdown ran" in run.lines
    assert "   Stopped [node]" in run.lines
    why = {
        signal.SIGINT: "Ctrl+C",
        signal.SIGTERM: "SIGTERM",
        signal.SIGHUP: "the terminal has gone",
    }
    assert f" Stopping all processes ({why[signum]})..." in run.lines
    assert run.lines[-1] == " All processes stopped."


def test_duration_ends_a_run_in_order(write, horus_run):
    write("node.py", NODE)
    run = horus_run("--duration", "0.7", "node.py")
    assert run.finish() == 0
    assert " Stopping all processes (0.7 s have passed)..." in run.lines
    assert "   Stopped [node]" in run.lines


def test_a_plain_script_is_interrupted_without_a_traceback(write, horus_run):
    write(
        "a.py",
        'import signal\ntry:\n    print("up")\n    signal.pause()\n'
        'finally:\n    print("put away")\n',
    )
    run = horus_run("a.py")
    run.wait_for("up")
    run.signal(signal.SIGINT)
    assert run.finish() == 0
    assert "[a] put away" in run.lines
    assert "Traceback" not in run.out


def test_a_process_that_ignores_sigint_gets_sigterm(write, horus_run):
    write("deaf.py", DEAF_TO_SIGINT)
    write("waits.py", WAITS)
    run = horus_run("--grace", "0.3", "deaf.py", "waits.py")
    deaf = run.pid_of("deaf")
    run.pid_of("waits")
    run.signal(signal.SIGINT)
    assert run.finish() == 0
    assert "   Stopped [deaf] by SIGTERM: it did not end on SIGINT" in run.lines
    assert "   Stopped [waits]" in run.lines
    assert session.process_start_time(deaf) is None


def test_a_process_that_ignores_everything_is_killed(write, horus_run):
    write("deaf.py", DEAF_TO_ALL)
    run = horus_run("--grace", "0.2", "deaf.py")
    deaf = run.pid_of("deaf")
    run.signal(signal.SIGTERM)
    assert run.finish() == 137  # SIGTERM is no Ctrl-C: what had to be killed counts
    assert "   Killed [deaf]: it ended neither on SIGINT nor on SIGTERM" in run.lines
    assert session.process_start_time(deaf) is None


def test_further_ctrl_c_do_not_wait_for_the_grace(write, horus_run):
    write("deaf.py", DEAF_TO_ALL)
    run = horus_run("--grace", "3000", "deaf.py")
    run.pid_of("deaf")
    run.signal(signal.SIGINT)
    run.wait_for("Stopping all processes")
    while run.popen.poll() is None:  # as often as it takes: close ones count as one
        run.signal(signal.SIGINT)
        try:
            run.popen.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    assert run.finish() == 0
    assert "   Killed [deaf] (Ctrl+C again)" in run.lines


def test_a_crash_is_reported_and_leaves_the_others_running(write, horus_run):
    write("bad.py", "import sys\nprint('about to fail')\nsys.exit(3)\n")
    write("good.py", NODE)
    run = horus_run("bad.py", "good.py")
    run.wait_for(r"^   Crashed \[bad\]: exit code 3$")
    run.wait_for_more("[good] tick")
    run.signal(signal.SIGTERM)
    assert run.finish() == 3
    assert "   Stopped [good]" in run.lines


def test_fail_fast_ends_all_when_one_fails(write, horus_run):
    write("bad.py", "raise SystemExit(4)\n")
    write("good.py", WAITS)
    run = horus_run("--fail-fast", "bad.py", "good.py")
    assert run.finish() == 4
    assert " Stopping all processes (--fail-fast: [bad] failed)..." in run.lines
    assert "   Stopped [good]" in run.lines


def test_fail_fast_does_not_mind_a_process_that_ends_well(write, horus_run):
    write("done.py", "print('done')\n")
    write("waits.py", WAITS)
    run = horus_run("--fail-fast", "done.py", "waits.py")
    run.wait_for(r"^   Ended \[done\]$")
    run.pid_of("waits")
    assert "Stopping" not in run.out
    run.signal(signal.SIGINT)
    assert run.finish() == 0


def test_the_users_traceback_begins_in_the_users_file(write, horus_run):
    write("bad.py", "def f():\n    return 1 / 0\nf()\n")
    run = horus_run("bad.py")
    assert run.finish() == 1
    shown = [line for line in run.lines if line.startswith("[bad]")]
    assert shown[:3] == [
        "[bad] Traceback (most recent call last):",
        '[bad]   File "bad.py", line 3, in <module>',
        "[bad]     f()",
    ]
    assert shown[-1] == "[bad] ZeroDivisionError: division by zero"
    assert "runpy" not in run.out
    assert "horus/runtime" not in run.out


def test_a_node_that_crashes_shows_its_traceback_once(write, horus_run):
    write("bad.py", NODE.replace('print("tick")', 'node.get("nothing")'))
    run = horus_run("bad.py")
    assert run.finish() == 1
    assert run.out.count("Traceback (most recent call last):") == 1
    assert "   Crashed [bad]: exit code 1" in run.lines


@pytest.mark.parametrize(
    ("ends", "status", "told"),
    [
        (["pass"], 0, "Ended [n0]"),
        (["raise SystemExit(5)", "raise SystemExit(2)"], 5, "Crashed [n0]: exit code 5"),
        (["import os; os.kill(os.getpid(), 9)"], 137, "Crashed [n0]: killed by signal 9 (SIGKILL)"),
        (["import os; os.abort()"], 134, "Crashed [n0]: killed by signal 6 (SIGABRT)"),
        (["raise SystemExit('in words')", "pass"], 1, "Crashed [n0]: exit code 1"),
        (["import os; os._exit(7)", "raise SystemExit(255)"], 255, "Crashed [n1]: exit code 255"),
    ],
)
def test_the_exit_status_is_that_of_the_worst_process(ends, status, told, write, horus_run):
    for number, text in enumerate(ends):
        write(f"n{number}.py", text)
    run = horus_run("n*.py")
    assert run.finish() == status
    assert f"   {told}" in run.lines
    assert run.lines[-1] == " All processes have ended."


def test_a_process_killed_from_outside_is_reported_with_its_signal(write, horus_run):
    write("a.py", WAITS)
    write("b.py", WAITS)
    run = horus_run("a.py", "b.py")
    os.kill(run.pid_of("a"), signal.SIGKILL)
    run.wait_for(r"^   Crashed \[a\]: killed by signal 9 \(SIGKILL\)$")
    run.pid_of("b")
    run.signal(signal.SIGINT)
    assert run.finish() == 0  # as on every Ctrl-C


def test_a_file_that_forgets_to_run_its_node_is_told_so(write, horus_run):
    write("sensor.py", 'import horus\nimu = horus.Node(name="imu", tick=lambda node: None)\n')
    run = horus_run("sensor.py")
    assert run.finish() == 0
    assert [line for line in run.lines if line.startswith("[sensor]")] == [
        "[sensor] sensor.py defines the node imu but never runs it: end the file with",
        '[sensor]     if __name__ == "__main__":',
        "[sensor]         horus.run(imu)",
    ]
    assert "   Ended [sensor]" in run.lines


def test_a_file_that_ran_its_node_is_told_nothing(write, horus_run):
    write("a.py", NODE.replace('print("tick")', "node.request_stop()"))
    run = horus_run("a.py")
    assert run.finish() == 0
    assert "never runs it" not in run.out


@pytest.mark.parametrize("text", [WAITS, DEAF_TO_ALL])
def test_no_process_outlives_a_killed_supervisor(text, write, horus_run, shm, is_gone):
    write("a.py", text)
    write("b.py", f"import subprocess, sys\nsubprocess.Popen([sys.executable, 'a.py'])\n{WAITS}")
    run = horus_run("--grace", "0.3", "a.py", "b.py")
    child, helper = run.pid_of("a"), run.pid_of("b")
    run.wait_for(r"(?s)\[b\] pid .*\[b\] pid ")  # b and what it started
    pids = {child, helper, *(int(word) for word in pids_in(run.out))}
    run.signal(signal.SIGKILL)
    run.finish()
    for pid in pids:
        assert is_gone(pid)
    assert not (shm / "sessions").exists()


def pids_in(text: str) -> list[str]:
    return [line.split()[-1] for line in text.splitlines() if " pid " in line]


def test_a_node_stops_in_order_when_the_supervisor_is_killed(write, horus_run, tmp_path, is_gone):
    write("node.py", NODE.replace('print("shutdown ran")', 'open("shutdown", "w").close()'))
    run = horus_run("node.py")
    pid = run.pid_of("node")
    run.wait_for(r"^\[node\] tick")  # its init is done, so there is something to shut down
    run.signal(signal.SIGKILL)
    assert is_gone(pid)
    assert (tmp_path / "shutdown").exists()


@pytest.mark.parametrize("start", ["", "start_new_session=True, "])
def test_what_a_node_left_behind_is_ended(start, write, horus_run, is_gone):
    write("waits.py", DEAF_TO_ALL)
    write(
        "parent.py",
        "import subprocess, sys\n"
        f"helper = subprocess.Popen([sys.executable, 'waits.py'], {start}stdout=subprocess.PIPE)\n"
        "print(helper.stdout.readline().decode(), end='')\n",
    )
    run = horus_run("parent.py")
    helper = run.pid_of("parent")
    assert run.finish() == 0
    assert is_gone(helper)
    assert "   Ending processes that were left behind: 1" in run.lines


def test_what_a_node_left_behind_is_ended_when_the_supervisor_is_killed(
    write, horus_run, is_gone, shm
):
    write("waits.py", DEAF_TO_ALL)
    write(
        "parent.py",
        "import subprocess, sys\n"
        "import horus\n"
        "def begin(node):\n"
        "    helper = subprocess.Popen(\n"
        "        [sys.executable, 'waits.py'], start_new_session=True, stdout=subprocess.PIPE\n"
        "    )\n"
        "    print(helper.stdout.readline().decode(), end='')\n"
        "horus.run(horus.Node('parent', init=begin, tick=lambda node: None))\n",
    )
    run = horus_run("parent.py", "--grace", "0.5")
    helper = run.pid_of("parent")
    run.signal(signal.SIGKILL)
    run.finish()
    assert is_gone(helper)
    assert not (shm / "sessions").exists()


def test_a_helper_that_keeps_the_pipe_open_does_not_keep_the_run(write, horus_run):
    write("waits.py", DEAF_TO_ALL)
    write("parent.py", "import subprocess, sys\nsubprocess.Popen([sys.executable, 'waits.py'])\n")
    run = horus_run("parent.py")
    assert run.finish() == 0
    assert run.lines.index("   Ended [parent]") < run.lines.index(" All processes have ended.")


def test_a_run_in_the_background_of_a_script_still_obeys_sigint(write, tmp_path):
    # The shell starts background jobs with SIGINT ignored, which children inherit.
    write("node.py", NODE)
    script = (
        f'"{sys.executable}" -m horus.cli run node.py > out & '
        "while ! grep -q tick out; do :; done; kill -INT $!; wait $!"
    )
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, timeout=60)
    assert done.returncode == 0
    out = (tmp_path / "out").read_text()
    assert "[node] shutdown ran" in out
    assert "   Stopped [node]\n" in out


def test_ctrl_z_does_not_stop_the_supervision(write, horus_run):
    write("node.py", NODE)
    run = horus_run("node.py")
    run.wait_for(r"^\[node\] tick$")
    run.signal(signal.SIGTSTP)
    run.wait_for_more("[node] tick")
    run.signal(signal.SIGINT)
    assert run.finish() == 0


def test_ctrl_c_during_phase_1_leaves_nothing(write, horus_run, shm, tmp_path):
    write("a.rs", "fn main() {}")
    write("bin/rustc", "#!/bin/sh\nexec /bin/sleep 60\n").chmod(0o755)
    (tmp_path / "tmp").mkdir()
    run = horus_run("a.rs", PATH=str(tmp_path / "bin"), TMPDIR=str(tmp_path / "tmp"))
    run.wait_for("Phase 1")
    run.signal(signal.SIGINT)
    assert run.finish() == 0
    assert run.err == "\nhorus run: interrupted before anything was started\n"
    assert not shm.exists() or list(shm.iterdir()) == []
    assert list(Path(tmp_path, "tmp").iterdir()) == []


@pytest.mark.skipif(shutil.which("rustc") is None, reason="no rustc here")
def test_what_was_compiled_is_removed(write, horus_run, tmp_path):
    write("a.rs", "fn main() {}")
    (tmp_path / "tmp").mkdir()
    run = horus_run("a.rs", TMPDIR=str(tmp_path / "tmp"))
    assert run.finish() == 0
    assert list(Path(tmp_path, "tmp").iterdir()) == []
