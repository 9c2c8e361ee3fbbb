"""What `horus run` prints: the guide's text to the letter, and the forms in which it is called."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

WAITS = 'import os, signal\nprint("pid", os.getpid())\nsignal.pause()\n'

GUIDE = """\
 Executing 3 files concurrently:
  🔒 Session: SESSION
  1. controller_node.py (python)
  2. motor_node.py (python)
  3. sensor_node.py (python)

 Phase 1: Building all files...
 All files built successfully!

 Phase 2: Starting all processes...
   Started [controller_node]
   Started [motor_node]
   Started [sensor_node]

 All processes running. Press Ctrl+C to stop.
"""

SENSOR = """\
import horus

def sensor_tick(node: horus.Node) -> None:
    node.send("imu_data", {"gyro_z": 0.1})

sensor = horus.Node(name="imu_sensor", pubs=["imu_data"], tick=sensor_tick, rate=100)

if __name__ == "__main__":
    horus.run(sensor)
"""

CONTROLLER = """\
import horus

def control_tick(node: horus.Node) -> None:
    if node.has_msg("imu_data"):
        imu = node.get("imu_data")
        node.send("cmd_vel", {"linear": 1.0, "angular": imu["gyro_z"] * -2.0})

controller = horus.Node(
    name="controller", subs=["imu_data"], pubs=["cmd_vel"], tick=control_tick, rate=50
)

if __name__ == "__main__":
    horus.run(controller)
"""

MOTOR = """\
import horus

def motor_tick(node: horus.Node) -> None:
    if node.has_msg("cmd_vel"):
        cmd = node.get("cmd_vel")
        node.log_info(f"Motors: linear={cmd['linear']}, angular={cmd['angular']}")

motor = horus.Node(name="motor_controller", subs=["cmd_vel"], tick=motor_tick, rate=100)

if __name__ == "__main__":
    horus.run(motor)
"""


@pytest.fixture
def robot(write):
    """The guide's three nodes."""
    write("nodes/sensor_node.py", SENSOR)
    write("nodes/controller_node.py", CONTROLLER)
    write("nodes/motor_node.py", MOTOR)


def with_session_hidden(text: str) -> str:
    return re.sub(r"Session: [0-9a-z]{3}-[0-9a-z]{3}-[0-9a-z]{3}\n", "Session: SESSION\n", text)


def test_a_pattern_prints_the_guides_text_and_the_nodes_talk(robot, horus_run):
    run = horus_run("nodes/*.py")
    run.wait_for(r"^\[motor_node\] .*Motors: linear=1\.0, angular=-0\.2$")
    run.signal(signal.SIGINT)
    assert run.finish() == 0
    assert with_session_hidden(run.out).startswith(GUIDE)
    assert run.err == ""


def test_the_closing_lines_tell_what_became_of_each_process(robot, horus_run):
    run = horus_run("nodes/*.py")
    run.wait_for("Motors:")
    run.signal(signal.SIGINT)
    run.finish()
    closing = run.out[run.out.index("\n\n Stopping") :].splitlines()
    assert closing[2] == " Stopping all processes (Ctrl+C)..."
    stopped = sorted(line for line in closing if line.startswith("   "))
    assert stopped == [
        "   Stopped [controller_node]",
        "   Stopped [motor_node]",
        "   Stopped [sensor_node]",
    ]
    assert closing[-1] == " All processes stopped."


def test_a_list_of_files_keeps_the_order_in_which_it_was_typed(write, horus_run):
    for name in ("sensor.py", "controller.py", "motor.py", "logger.py"):
        write(name, "pass")
    run = horus_run("sensor.py", "controller.py", "motor.py", "logger.py")
    assert run.finish() == 0
    assert " Executing 4 files concurrently:" in run.lines
    assert [line for line in run.lines if re.match(r"  \d\. ", line)] == [
        "  1. sensor.py (python)",
        "  2. controller.py (python)",
        "  3. motor.py (python)",
        "  4. logger.py (python)",
    ]


def test_several_patterns_of_one_language_name_each_file_once(write, horus_run):
    write("a/one.py", "pass")
    write("b/two.py", "pass")
    run = horus_run("a/*.py", "b/*.py", "a/one.py")
    assert run.finish() == 0
    assert " Executing 2 files concurrently:" in run.lines


def test_a_pattern_of_another_language_may_match_nothing_beside_one_that_does(write, horus_run):
    write("nodes/one.py", "print('here')")
    run = horus_run("nodes/*.py", "nodes/*.rs")
    assert run.finish() == 0
    assert "[one] here" in run.lines
    assert run.err == "note: no file matches 'nodes/*.rs'; going on without\n"


@pytest.mark.skipif(shutil.which("rustc") is None, reason="no rustc here")
def test_a_rust_file_is_built_and_runs_beside_python(write, horus_run):
    write("nodes/one.py", "print('from python')")
    write(
        "nodes/two.rs",
        'fn main() { println!("from rust in {}", std::env::var("HORUS_SESSION_ID").unwrap()); }',
    )
    run = horus_run("nodes/*.py", "nodes/*.rs")
    assert run.finish() == 0, run.err
    assert "  2. two.rs (rust)" in run.lines
    assert "[one] from python" in run.lines
    assert f"[two] from rust in {run.session_id}" in run.lines


def test_an_executable_runs_as_it_is(write, horus_run):
    write("tool", "#!/bin/sh\necho started\n").chmod(0o755)
    run = horus_run("./tool")
    assert run.finish() == 0
    assert "  1. tool (executable)" in run.lines
    assert "[tool] started" in run.lines


def test_output_through_a_pipe_reaches_the_other_end(robot, tmp_path):
    run = subprocess.run(
        f'"{sys.executable}" -m horus.cli run --duration 0.2 "nodes/*.py" 2>&1 | tee run.log',
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0
    assert with_session_hidden(run.stdout).startswith(GUIDE)
    assert (tmp_path / "run.log").read_text() == run.stdout


def test_a_reader_that_leaves_ends_the_run(write, tmp_path):
    write("node.py", "import os\nwhile True:\n    print('line')\n")
    run = subprocess.run(
        f'"{sys.executable}" -m horus.cli run node.py | head -n 20',
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert len(run.stdout.splitlines()) == 20
    assert run.stderr == ""


@pytest.mark.parametrize("arguments", [("nodes/*.py",), ("nodes/*.py", "gone/*.py"), ("no.py",)])
def test_what_matches_nothing_is_named_and_the_status_is_2(arguments, write, horus_run):
    if len(arguments) == 2:
        write("nodes/one.py", "print('must not start')")
    run = horus_run(*arguments)
    assert run.finish() == 2
    assert arguments[-1] in run.err
    assert run.out == ""


def test_a_misspelt_file_is_answered_with_the_right_one(write, horus_run):
    write("sensor.py", "pass")
    run = horus_run("senser.py")
    assert run.finish() == 2
    assert run.err == "horus: no such file: senser.py (did you mean 'sensor.py'?)\n"


def test_without_arguments_horus_yaml_says_what_to_run(write, horus_run, tmp_path):
    write("robot/horus.yaml", 'name: two\nnodes: ["nodes/*.py"]\n')
    write("robot/nodes/b.py", "print('b is here')")
    write("robot/nodes/a.py", "print('a is here')")
    run = horus_run(cwd=tmp_path / "robot")
    assert run.finish() == 0, run.err
    assert run.lines[2:4] == ["  1. a.py (python)", "  2. b.py (python)"]
    assert {"[a] a is here", "[b] b is here"} <= set(run.lines)


@pytest.mark.parametrize("argument", ["robot", "robot/", "robot/horus.yaml"])
def test_a_folder_or_its_horus_yaml_can_be_named(argument, write, horus_run):
    write("robot/horus.yaml", "nodes: nodes/*.py\n")
    write("robot/nodes/a.py", "print('a is here')")
    run = horus_run(argument)
    assert run.finish() == 0, run.err
    assert "[a] a is here" in run.lines


def test_a_folder_without_horus_yaml_says_how_to_run_its_files(write, horus_run):
    write("nodes/a.py", "pass")
    run = horus_run("nodes")
    assert run.finish() == 2
    assert run.err == (
        "horus: nodes: no horus.yaml in this folder; "
        'to run its Python files: horus run "nodes/*.py"\n'
    )


def test_nothing_to_run_says_what_could_be_typed(horus_run):
    run = horus_run()
    assert run.finish() == 2
    assert "there is no horus.yaml in this folder" in run.err
    assert 'horus run "nodes/*.py"' in run.err


def test_files_of_one_name_in_two_folders_are_told_apart(write, horus_run):
    write("left/motor.py", "print('I am left')")
    write("right/motor.py", "print('I am right')")
    run = horus_run("*/motor.py")
    assert run.finish() == 0
    assert run.lines[2:4] == ["  1. left/motor.py (python)", "  2. right/motor.py (python)"]
    assert {"[left/motor] I am left", "[right/motor] I am right"} <= set(run.lines)


def test_mock_without_hardware_is_told_to_change_nothing(write, horus_run):
    write("a.py", "pass")
    run = horus_run("--mock", "a.py")
    assert run.finish() == 0
    assert run.err == "note: --mock changes nothing: this run has no hardware\n"
    assert "MOCK" not in run.out


def test_a_run_leaves_no_compiled_files_beside_the_nodes(write, horus_run, tmp_path):
    write("a.py", "import helper\n")
    write("helper.py", "print('helped')")
    run = horus_run("a.py", PYTHONDONTWRITEBYTECODE="1")
    assert run.finish() == 0
    assert "[a] helped" in run.lines
    assert sorted(p.name for p in Path(tmp_path).iterdir()) == ["a.py", "helper.py"]
