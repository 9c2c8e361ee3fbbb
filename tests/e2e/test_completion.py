"""What a shell offers while somebody types."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from horus.bus import Topic
from horus.cli.completion import candidates
from horus.cli.main import COMMANDS, main

ROBOT = """\
name: bench
buses:
  i2c1: {use: i2c, device: /dev/i2c-1}
  arm_port: {use: serial, device: /dev/ttyUSB0, baudrate: 1000000}
hardware:
  imu: {use: mpu6050, bus: i2c1}
  arm: {use: dynamixel, bus: arm_port, ids: [1]}
"""


def test_commands_actions_and_options_are_offered():
    assert set(COMMANDS) <= set(candidates([""]))
    assert candidates(["to"]) == ["topic"]
    assert candidates(["topic", "e"]) == ["echo"]
    assert "--field" in candidates(["topic", "echo", "--f"])
    assert candidates(["log", "--level", "w"]) == ["warning"]
    assert candidates(["mock", "fa"]) == ["fault"]
    assert candidates(["completion", "z"]) == ["zsh"]


def test_live_topics_are_offered_in_their_place_only():
    with Topic("imu/left") as one, Topic("goal") as other:
        one.send(1), other.send(1)
        assert candidates(["topic", "echo", ""]) == ["goal", "imu/left"]
        assert candidates(["topic", "hz", "--window", "1", "im"]) == ["imu/left"]
        assert candidates(["topic", "echo", "goal", ""]) == []


def test_what_a_robot_has_is_offered_in_every_place(horus_run, write, monkeypatch):
    write("robot.yaml", ROBOT)
    robot = horus_run("--mock", "robot.yaml")
    robot.wait_for("imu: active")
    robot.wait_for("arm: ready")
    monkeypatch.setenv("HORUS_SESSION_ID", robot.session_id)
    for line, found in {
        "record imu im": ["imu", "imu.status"],
        "record --exclude im": ["imu", "imu.status"],
        "topic echo imu --field gy": ["gyro_x", "gyro_y", "gyro_z"],
        "topic plot imu gyro_z accel_z te": ["temperature"],
        "topic echo imu.params.req": ["imu.params.request"],
        "call ": ["arm"],
        "call arm s": ["scan", "set_id"],
        "mock set imu.r": ["imu.rotation"],
        "mock fault i": ["imu"],
        "mock fault imu unp": ["unplug"],
        "param get imu.b": ["imu.bandwidth"],
        "node restart i2c": ["i2c1"],
        "log --node i2c": ["i2c1", "i2c1.sim"],
    }.items():
        assert candidates(line.split(" ")) == found, line


@pytest.mark.parametrize(
    "line",
    [["nonsense", ""], ["topic", "nonsense", ""], ["--", "x"], ["param", "get", "x.y"], ["x"]],
)
def test_what_is_not_known_offers_nothing(line, capsys):
    assert candidates(line) == []
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "horus completion words" in script
    if found := shutil.which(shell):
        subprocess.run([found, "-n"], input=script, text=True, check=True)


def test_bash_completes_a_live_topic(tmp_path: Path):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    horus = tmp_path / "horus"
    horus.write_text(f'#!/bin/sh\nexec {sys.executable} -m horus.cli "$@"\n')
    horus.chmod(0o755)
    typed = """
        eval "$(horus completion bash)"
        COMP_WORDS=(horus topic echo im); COMP_CWORD=3
        _horus; echo "${COMPREPLY[@]}"
        COMP_WORDS=(horus topic ""); COMP_CWORD=2
        _horus; echo "${COMPREPLY[@]}"
    """
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with Topic("imu/left") as topic:
        topic.send(1)
        done = subprocess.run(
            [bash, "-c", typed], env=env, capture_output=True, text=True, check=True
        )
    first, second = done.stdout.splitlines()
    assert (first, done.stderr) == ("imu/left", "")
    assert second.split() == [
        "--help",
        "bw",
        "echo",
        "hz",
        "info",
        "latency",
        "list",
        "plot",
        "pub",
    ]
