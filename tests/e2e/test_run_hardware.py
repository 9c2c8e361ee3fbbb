"""Runs with hardware: the order of starting and stopping, readiness, and the last words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from horus.runtime.linux import descendants

YAML = """\
name: wheel
nodes: ["nodes/*.py"]
buses:
  can0: {use: socketcan, channel: nocan7}
hardware:
  wheel: {use: odrive, bus: can0, node: 3}
"""
DRIVE = """\
import horus
from horus.msgs import MotorCommand

def tick(node):
    node.send("wheel.command", MotorCommand(velocity=5.0))

if __name__ == "__main__":
    horus.run(horus.Node("drive", pubs="wheel.command", tick=tick, rate=50))
"""
ARMED = r"wheel: active: armed"


@pytest.fixture
def robot(write):
    """A robot with one wheel and the node that drives it."""
    write("horus.yaml", YAML)
    write("nodes/drive.py", DRIVE)


def child_of(run, bus_process: str) -> int:
    """The pid of a hardware process, by its command line."""
    for pid in descendants(run.pid):
        if bus_process.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    raise AssertionError(f"no process of {bus_process}")


def test_a_mock_run_says_so_and_stops_the_twins_last(robot, horus_run):
    run = horus_run("--mock")
    run.wait_for(ARMED)
    run.signal(signal.SIGINT)
    assert run.finish() == 0
    assert run.lines[2:5] == [
        "  MOCK: simulated devices, no real hardware is touched",
        "  1. drive.py (python)",
        "  + wheel: odrive on can0",
    ]
    started = [line for line in run.lines if line.startswith("   Started ")]
    assert started == ["   Started [can0.sim]", "   Started [can0]", "   Started [drive]"]
    assert run.lines[-2:] == ["   Stopped [can0.sim]", " All processes stopped."]
    assert any(line.startswith("[can0] wheel: stopped") for line in run.lines)


def test_hardware_alone_is_counted(write, horus_run):
    write("horus.yaml", YAML.replace('nodes: ["nodes/*.py"]\n', ""))
    run = horus_run("--mock", "--duration", "0.1")
    assert run.finish() == 0
    assert run.lines[0] == " Executing no node files, 1 device:"


def test_ctrl_c_while_the_hardware_processes_import_ends_them_in_silence(robot, horus_run):
    run = horus_run("--mock", "--grace", "3000")
    run.wait_for(r"^   Started \[can0\.sim\]$")
    run.signal(signal.SIGINT)
    assert run.finish() == 0
    assert "   Stopped [can0.sim]" in run.lines
    assert "Traceback" not in run.out
    assert "KeyboardInterrupt" not in run.out


def test_without_mock_nothing_is_simulated_and_faults_come_with_those_of_nodes(
    robot, write, horus_run
):
    write("nodes/faulty.py", "import absent\n")
    run = horus_run()
    assert run.finish() == 1
    assert "MOCK" not in run.out
    assert "Started" not in run.out
    first, second, last = run.err.splitlines()
    assert first.startswith("nodes/faulty.py:1: no module named 'absent'")
    assert "can0" in second
    assert "nocan7" in second
    assert last == "horus run: 2 faults; nothing was started"


def test_the_run_ends_with_its_last_node(robot, write, horus_run):
    write("nodes/drive.py", "print('done driving')\n")
    run = horus_run("--mock")
    assert run.finish() == 0
    assert " Stopping all processes (all nodes have ended)..." in run.lines
    assert "   Stopped [can0]" in run.lines


def test_hardware_alone_runs_until_it_is_stopped(write, horus_run):
    write("horus.yaml", YAML.replace('nodes: ["nodes/*.py"]\n', ""))
    run = horus_run("--mock")
    run.wait_for("All processes running")
    run.wait_for("wheel: ready")
    run.signal(signal.SIGTERM)
    assert run.finish() == 0


def test_a_driver_that_dies_has_its_device_made_safe(robot, horus_run):
    run = horus_run("--mock")
    run.wait_for(ARMED)
    os.kill(child_of(run, "horus.hardware.worker"), signal.SIGKILL)
    run.wait_for(r"^   Crashed \[can0\]: killed by signal 9 \(SIGKILL\)$")
    found = run.wait_for(r"^   wheel: (.*)$").group(1)
    assert found == (
        "made safe by the supervisor "
        "(told to stop on can0; its process: killed by signal 9 (SIGKILL))"
    )
    run.signal(signal.SIGTERM)
    assert run.finish() == 137


def test_a_driver_that_hangs_when_the_run_stops_is_killed_and_its_device_made_safe(
    robot, horus_run
):
    run = horus_run("--mock", "--grace", "0.5", HORUS_HANG_LIMIT="60")
    run.wait_for(ARMED)
    os.kill(child_of(run, "horus.hardware.worker"), signal.SIGSTOP)
    run.signal(signal.SIGINT)
    run.finish()
    killed = run.lines.index("   Killed [can0]: it ended neither on SIGINT nor on SIGTERM")
    assert run.lines[killed + 1].startswith("   wheel: made safe by the supervisor")
    assert any("[can0.sim]" in line for line in run.lines[killed + 2 :])  # the twin was there


@pytest.mark.parametrize("stop", [False, True], ids=["while it runs", "while it stops"])
def test_a_driver_that_hangs_is_killed_and_its_device_made_safe(robot, horus_run, stop):
    run = horus_run("--mock", "--grace", "60", HORUS_HANG_LIMIT="0.5")
    run.wait_for(ARMED)
    os.kill(child_of(run, "horus.hardware.worker"), signal.SIGSTOP)
    if stop:
        run.signal(signal.SIGINT)
    run.wait_for(
        r"^   Killed \[can0\]: it hung: no sign of life for 0\.[567]\d* s while wheel was armed$"
    )
    found = run.wait_for(r"^   wheel: (.*)$").group(1)
    assert found == "made safe by the supervisor (told to stop on can0; its process: hung)"
    run.signal(signal.SIGTERM)
    assert run.finish() in (0, 137)


def test_a_driver_that_hangs_with_nothing_armed_is_left_alone(robot, write, horus_run):
    beat = "import horus\nhorus.run(horus.Node('beat', tick=lambda node: print('beat'), rate=20))\n"
    write("nodes/drive.py", beat)
    run = horus_run("--mock", HORUS_HANG_LIMIT="0.2")
    run.wait_for("wheel: ready")
    driver = child_of(run, "horus.hardware.worker")
    os.kill(driver, signal.SIGSTOP)
    run.wait_for_more("beat", 40)  # 2 s
    os.kill(driver, signal.SIGCONT)
    run.signal(signal.SIGINT)
    assert run.finish() == 0
    assert "hung" not in run.out


def test_a_driver_that_hangs_when_the_supervisor_is_killed_has_its_device_made_safe(
    robot, horus_run, is_gone
):
    run = horus_run("--mock", "--grace", "0.5")
    run.wait_for(ARMED)
    driver = child_of(run, "horus.hardware.worker")
    os.kill(driver, signal.SIGSTOP)
    run.signal(signal.SIGKILL)
    assert is_gone(driver)
    run.finish()  # standard error stays open until the guardian has ended
    assert run.err.startswith("   wheel: made safe by the supervisor (told to stop on can0")


@pytest.mark.parametrize(
    ("signum", "end", "of_driver"),
    [
        (signal.SIGKILL, r"killed by signal 9 \(SIGKILL\)", signal.SIGSTOP),
        (signal.SIGSTOP, r"it was stopped \(SIGSTOP\) for 1\.\d s, and killed", signal.SIGKILL),
    ],
    ids=["killed", "stopped"],
)
def test_a_guardian_that_is_lost_has_a_successor_that_does_its_work(
    robot, horus_run, is_gone, signum, end, of_driver
):
    run = horus_run("--mock", "--grace", "0.5")
    run.wait_for(ARMED)
    os.kill(child_of(run, "guardian.py"), signum)
    run.wait_for(rf"^   Started another guardian, for one that ended: {end}$")
    driver = child_of(run, "horus.hardware.worker")
    os.kill(driver, of_driver)
    run.signal(signal.SIGKILL)
    assert is_gone(driver)
    run.finish()
    # A supervisor that saw its driver killed before it was killed itself may have been first.
    words = run.err if of_driver == signal.SIGSTOP else run.out + run.err
    assert "   wheel: made safe by the supervisor (told to stop on can0" in words


def test_a_run_whose_guardians_are_all_killed_is_stopped(robot, horus_run):
    run = horus_run("--mock")
    run.wait_for(ARMED)
    for count in range(1, 7):
        os.kill(child_of(run, "guardian.py"), signal.SIGKILL)
        if count < 6:
            run.wait_for(rf"(?s:(Started another guardian.*){{{count}}})")
    run.wait_for(
        r"^ Stopping all processes \(its guardian has ended, which stops motors if this process "
        r"dies: killed by signal 9 \(SIGKILL\)\)\.\.\.$"
    )
    assert run.finish() == 1
    assert "   Stopped [can0]" in run.lines


#: Runs programs that stand for hardware processes: kind and source of each.
SUPERVISE = """\
import os, sys
from pathlib import Path
from horus.bus import session
from horus.runtime import supervisor
from horus.runtime.build import Program
from horus.runtime.output import Output
from horus.runtime.guarding import Guardian

supervisor._READY_TIMEOUT = 1.0
made = session.new_session()
guardian = Guardian(made.id, 1.0, made.path / "programs")
programs = [
    Program(kind, ("program", sys.executable, "python", "-uc", source), kind)
    for kind, source in zip(sys.argv[1::2], sys.argv[2::2])
]
run = supervisor.Supervisor(
    made.path, Output(), guardian, supervisor.Options(grace=1.0), dict(os.environ)
)
status = run.run(programs)
guardian.release()
session.end_session(made.id)
sys.exit(status)
"""
READY = "import os, signal; open(os.environ['HORUS_READY_FILE'], 'w'); signal.pause()"
NODE = "print('node started')"


def supervise(*programs: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", SUPERVISE, *programs], capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_nodes_wait_until_hardware_is_ready():
    slow = f"import select; select.select([], [], [], 0.3); print('ready now'); {READY}"
    status, text = supervise("node", NODE, "twin", slow, "driver", READY)
    assert status == 0
    order = ["Started [twin]", "Started [driver]", "Started [node]", "All processes running"]
    places = [text.index(what) for what in order]
    assert places == sorted(places)
    assert places[-1] < text.index("[twin] ready now") < text.index("[node] node started")


def test_hardware_that_ends_before_it_is_ready_ends_the_run():
    status, text = supervise("twin", "print('no such port')", "node", NODE)
    assert status == 1
    assert " Stopping all processes ([twin] ended before it was ready)..." in text
    assert "[twin] no such port" in text
    assert "node started" not in text
    assert "All processes running" not in text


def test_hardware_that_is_never_ready_ends_the_run():
    status, text = supervise("twin", "import signal; signal.pause()", "node", NODE)
    assert status == 1
    assert " Stopping all processes ([twin] is not ready after 1 s)..." in text
    assert "node started" not in text


def test_much_output_before_it_is_ready_does_not_block_hardware():
    loud = f"print('.' * 300_000); {READY}"
    status, text = supervise("twin", loud, "node", NODE)
    assert status == 0
    assert "[node] node started" in text
    assert "." * 300_000 in text
