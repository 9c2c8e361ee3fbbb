"""`horus param save`: what was set while a robot ran is what it starts with the next time."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from horus.hardware.config import load

TUNED = """\
import horus
from horus import Param

def tick(node):
    if node.info.tick_count() == 0:
        print("gain", node.param("gain"), "mode", node.param("mode"), flush=True)

horus.run(horus.Node("{name}", tick=tick, rate=50, params={{
    "gain": Param(1.0, low=0, high=10, unit="1/s"), "mode": Param("slow", choices=("slow", "fast")),
}}))
"""
YAML = """\
# the robot
nodes:
  - "nodes/*.py"     # all of them

  - run: nodes/drive.py
    params: {gain: 2}    # found by trying
"""


@pytest.fixture
def command(horus_command):
    """Run a `horus` command to its end; return status, output and errors."""

    def to_the_end(*arguments: str) -> tuple[int, str, str]:
        run = horus_command(*arguments)
        return run.finish(), run.out, run.err

    return to_the_end


@pytest.fixture
def robot(write) -> Path:
    for name in ("drive", "arm"):
        write(f"nodes/{name}.py", TUNED.format(name=name))
    return write("horus.yaml", YAML)


def test_what_was_set_is_saved_and_there_again(robot, horus_run, command):
    run = horus_run()
    run.wait_for(r"\[drive\] gain 2.0 mode slow")
    run.wait_for(r"\[arm\] gain 1.0 mode slow")
    assert command("param", "save")[:2] == (0, f"nothing to save: {robot} says all of it\n")
    assert command("param", "set", "drive.gain", "2.5")[0] == 0
    assert command("param", "set", "arm.mode", "fast")[0] == 0
    status, out, _ = command("param", "save", "--dry-run")
    assert status == 0
    assert "-    params: {gain: 2}    # found by trying" in out
    assert "+    params: {gain: 2.5}    # found by trying" in out
    assert out.endswith("2 values to save; nothing was written\n")
    assert robot.read_text() == YAML
    robot.chmod(0o640)
    status, out, _ = command("param", "save", "--json")
    found = json.loads(out)
    assert status == 0 and found["written"] and len(found["changes"]) == 2
    assert robot.read_text() == YAML.replace("gain: 2}", "gain: 2.5}") + (
        "  - {run: nodes/arm.py, params: {mode: fast}}\n"
    )
    assert robot.stat().st_mode & 0o777 == 0o640
    assert command("param", "set", "drive.gain", "9")[0] == 0  # not saved: lost with the process
    assert command("node", "restart", "drive")[0] == 0
    run.wait_for(r"\[drive\] gain 2.5 mode slow")
    assert not list(robot.parent.glob(".*.new"))
    run.signal(signal.SIGINT)
    assert run.finish() == 0
    again = horus_run()
    again.wait_for(r"\[drive\] gain 2.5 mode slow")
    again.wait_for(r"\[arm\] gain 1.0 mode fast")
    assert command("param", "save")[:2] == (0, f"nothing to save: {robot} says all of it\n")


def test_a_value_that_the_node_does_not_take_ends_it_with_file_and_line(robot, horus_run):
    robot.write_text(YAML.replace("gain: 2", "gain: 20, mod: fast"))
    run = horus_run()
    run.wait_for(r"Crashed \[drive\]")
    assert (
        "[drive] horus.yaml:6: drive.gain must be at least 0 and at most 10 1/s, not 20" in run.out
    )
    assert "[drive] horus.yaml:6: no node of this file has a parameter 'mod'" in run.out
    assert "Traceback" not in run.out


def test_what_cannot_be_saved_is_named(robot, write, horus_run, command):
    other = write("other/late.py", TUNED.format(name="late"))
    run = horus_run("horus.yaml", str(other))
    run.wait_for(r"\[late\] gain 1.0")
    assert command("param", "set", "late.gain", "3")[0] == 0
    status, _, err = command("param", "save")
    assert status == 1
    assert "not saved: late.gain: its file is not in horus.yaml" in err
    assert command("param", "set", "drive.gain", "3")[0] == 0
    robot.write_text(YAML.replace("nodes:", "nods:"))
    status, _, err = command("param", "save", "drive")
    assert status == 1 and "horus.yaml:2: nods: unknown" in err
    status, _, err = command("param", "save", "drvie")
    assert status == 1 and "(did you mean 'drive'?)" in err


def test_without_a_horus_yaml_there_is_nothing_to_save_in(robot, horus_run, command):
    run = horus_run("nodes/arm.py")
    run.wait_for(r"\[arm\] gain")
    status, _, err = command("param", "save")
    assert status == 1 and "this run has no horus.yaml" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(robot, horus_run, command):
    run = horus_run()
    run.wait_for(r"\[arm\] gain")
    assert command("param", "set", "arm.gain", "3")[0] == 0
    robot.parent.chmod(0o500)
    try:
        status, _, err = command("param", "save")
    finally:
        robot.parent.chmod(0o700)
    assert status == 1 and f"{robot} cannot be written" in err


def test_what_was_saved_can_be_read_as_a_robot(robot):
    assert load(robot).entries[-1].launch.params["gain"][0] == 2
