"""`horus estop` on a robot that runs."""

from __future__ import annotations

import pytest

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
def robot(write, horus_run):
    """A robot with one wheel, and the node that drives it."""
    write("horus.yaml", YAML)
    write("nodes/drive.py", DRIVE)
    run = horus_run("--mock")
    run.wait_for(ARMED)
    return run


def test_it_stops_the_robot_until_it_is_released(robot, horus_command):
    stop = horus_command("estop", "--reason", "too close")
    assert stop.finish() == 0
    assert stop.lines == [
        f"e-stop engaged in session {robot.session_id}",
        "  wheel: READY: e-stop engaged (too close, by horus estop): told to stop",
        "release it with: horus estop --release",
    ]
    robot.wait_for("WARNING: ready: e-stop engaged")
    again = horus_command("estop", "--session", robot.session_id)
    assert again.finish() == 0
    release = horus_command("estop", "--release")
    assert release.finish() == 0
    assert release.lines[0] == f"e-stop released in session {robot.session_id}"
    robot.wait_for("ready: e-stop released")
    robot.wait_for_more(ARMED, 0)
    assert "command refused" not in robot.out


def test_a_device_that_cannot_confirm_is_told_and_fails_the_command(robot, horus_command):
    assert horus_command("mock", "fault", "wheel", "unplug").finish() == 0
    robot.wait_for("wheel: WARNING: fault")
    stop = horus_command("estop")
    assert stop.finish() == 1
    assert "  wheel: NOT CONFIRMED: " in stop.out


def test_every_robot_is_stopped_but_which_one_is_released_must_be_said(
    robot, horus_command, horus_run, write
):
    write("nodes/other.py", "import signal; print('up', flush=True); signal.pause()\n")
    other = horus_run("nodes/other.py")
    other.wait_for("up")
    stop = horus_command("estop")
    assert stop.finish() == 0
    assert f"e-stop engaged in session {robot.session_id}" in stop.out
    assert f"e-stop engaged in session {other.session_id}" in stop.out
    for run in (robot, other):
        told = f"release it with: horus estop --release --session {run.session_id}"
        assert told in stop.lines
    assert "  nothing that moves is running; what starts later starts stopped" in stop.lines
    release = horus_command("estop", "--release")
    assert release.finish() == 2
    assert "choose with --session from" in release.err


@pytest.mark.parametrize("arguments", [(), ("--release",), ("--session", "abc")])
def test_without_a_robot_it_says_so(horus_command, arguments):
    stop = horus_command("estop", *arguments)
    assert stop.finish() == 2
    assert stop.err == "horus: no robot is running (start one with horus run)\n"
    for told in (line for line in stop.lines if line.startswith("release it with: ")):
        assert horus_command(*told.split()[4:]).finish() == 0


def test_an_armed_robot_is_not_cleaned_away_until_it_is_stopped(robot, horus_command, wait_for):
    clean = horus_command("clean", "--force")
    assert clean.finish() == 1
    assert f"session {robot.session_id} has armed actuators (wheel)" in clean.err
    assert clean.out == ""
    assert horus_command("estop").finish() == 0
    wait_for(lambda: horus_command("clean", "--force").finish() == 0)
