"""`horus devices`, `horus mock` and `horus call` beside a robot that runs."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from horus.runtime.linux import descendants

YAML = """\
name: test
buses:
  i2c1: {use: i2c, device: /dev/i2c-77}
  can0: {use: socketcan, channel: nocan9}
hardware:
  imu: {use: mpu6050, bus: i2c1}
  wheel: {use: odrive, bus: can0, node: 3}
"""


@pytest.fixture
def command(horus_command):
    """Run a `horus` command to its end; return status, output and errors."""

    def to_the_end(*arguments: str) -> tuple[int, str, str]:
        run = horus_command(*arguments)
        return run.finish(), run.out, run.err

    return to_the_end


@pytest.fixture
def robot(horus_run, write) -> Any:
    write("horus.yaml", YAML)
    run = horus_run("--mock")
    run.wait_for(r"imu: active")
    run.wait_for(r"wheel: ready")
    return run


def test_nothing_runs(command):
    for arguments in (["devices"], ["mock", "list"], ["call", "imu"]):
        status, out, err = command(*arguments)
        assert (status, out) == (2, "")
        assert "no robot is running (start one with horus run)" in err


def test_devices_are_shown_until_one_is_pulled(robot, command, wait_for):
    status, out, _ = command("devices")
    lines = [line.split() for line in out.splitlines()]
    assert status == 0, out
    assert lines[0][:3] == ["DEVICE", "STATE", "DRIVER"]
    assert lines[1][:4] == ["imu", "active", "mpu6050", "i2c1:0x68"]
    assert lines[2][:4] == ["wheel", "ready", "odrive", "can0:3"]
    assert out.count("MOCK") == 2

    assert command("mock", "fault", "imu", "unplug")[1] == "imu: unplugged\n"
    wait_for(lambda: command("devices")[0] == 1)
    found = {one["name"]: one for one in json.loads(command("devices", "--json")[1])}
    assert found["imu"]["state"] in ("absent", "fault")
    assert found["wheel"]["state"] == "ready"
    assert found["imu"]["mock"] is True

    command("mock", "fault", "imu", "clear")
    wait_for(lambda: command("devices")[0] == 0)


def test_a_stimulus_is_set_and_felt(robot, command, wait_for):
    assert command("mock", "set", "imu.rotation", "0", "0", "-1")[1] == (
        "imu.rotation = 0 0 -1 rad/s\n"
    )
    status, out, _ = command("mock", "truth", "imu")
    assert status == 0
    assert "angular_velocity=0 0 -1" in out
    status, out, _ = command("mock", "list")
    assert status == 0
    assert "imu.rotation = 0 0 -1 rad/s" in out
    assert "wheel.load = 0 N·m  -100 to 100" in out
    assert "wheel" not in command("mock", "list", "imu")[1]


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["set", "imu.rotaton", "1"], 1, "imu: no stimulus rotaton (did you mean 'rotation'?)"),
        (["set", "imu.temperature", "900"], 1, "temperature must be finite and from -40 to 125"),
        (["set", "imu"], 2, "name a stimulus and its values"),
        (["fault", "imo", "plug"], 1, "no simulated device is called 'imo' (did you mean 'imu'?)"),
        (["set", "imu.temperature", "true"], 1, "temperature takes a number"),
        (["fault", "imu", "unplugg"], 1, "imu: no fault unplugg (did you mean 'unplug'?)"),
        (["fault", "imu", "nak"], 1, "imu: nak needs a number"),
        (["truth"], 2, "name one device"),
    ],
)
def test_what_makes_no_sense(robot, command, arguments, status, text):
    found = command("mock", *arguments)
    assert found[0] == status
    assert text in found[2]


def test_a_device_without_commands_says_so(robot, command):
    status, out, err = command("call", "imu")
    assert (status, out) == (1, "")
    assert "imu has no commands; what has commands: nothing in this run" in err
    assert "nobody here is called 'imo' (did you mean 'imu'?)" in command("call", "imo")[2]


def test_a_negative_number_may_have_an_exponent(robot, command):
    assert command("mock", "set", "wheel.load", "-5e-1")[:2] == (0, "wheel.load = -0.5 N·m\n")


def test_devices_whose_process_was_killed_are_gone(robot, command, wait_for):
    (worker,) = (
        pid
        for pid in descendants(robot.pid)
        if b"horus.hardware.worker" in (line := Path(f"/proc/{pid}/cmdline").read_bytes())
        and b"can0" in line
    )
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: "wheel" in (out := command("devices")[1]) and "gone" in out)
    status, out, _ = command("devices", "--json")
    found = {one["name"]: one for one in json.loads(out)}
    assert status == 1
    assert {name: one["state"] for name, one in found.items()} == {"imu": "active", "wheel": "gone"}
    assert (found["wheel"]["driver"], found["wheel"]["place"]) == ("odrive", "3")
    assert "no process looks after wheel" in command("call", "wheel")[2]


ARM = """\
name: test
buses: {arm_port: {use: serial, device: /dev/ttyNONE7, baudrate: 1000000}}
hardware:
  arm: {use: dynamixel, bus: arm_port, ids: [1, 2]}
"""


def test_what_a_device_can_do_is_listed_and_done(horus_run, write, command):
    write("horus.yaml", ARM)
    horus_run("--mock").wait_for(r"arm: ready")
    status, out, err = command("call", "arm", "help")
    assert (status, err) == (0, "")
    assert "horus call arm scan first=... last=...\n" in out
    assert out == command("call", "arm")[1]
    assert json.loads(command("call", "arm", "help", "--json")[1])["name"] == "arm"
    status, out, err = command("call", "arm", "help", "x=1")
    assert (status, out) == (2, "")
    assert "help takes no arguments, not x" in err
    status, out, err = command("call", "arm", "scan", "timeout=abc")
    assert (status, out) == (1, "")
    assert "unknown argument 'timeout'" in err
    assert command("call", "arm", "scan", "last=3")[0] == 0
