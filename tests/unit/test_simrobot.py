"""A whole robot in simulated time: drivers, twins and nodes together, the same every time."""

from __future__ import annotations

import hashlib
import math
import os
import time
from pathlib import Path
from typing import Any

import pytest

import horus
from horus.bus import Subscriber
from horus.errors import ConfigError
from horus.hardware.simrobot import ScenarioTimeoutError, SimRobot
from horus.msgs import MotorCommand
from horus.node.caller import CallRefusedError

ROVER = Path(__file__).parents[2] / "examples" / "rover"

YAML = """\
name: test
buses:
  i2c1: {use: i2c, device: /dev/i2c-77}
  can0: {use: socketcan, channel: nocan9}
hardware:
  imu: {use: mpu6050, bus: i2c1, rate: 100}
  wheel: {use: odrive, bus: can0, node: 3}
"""


@pytest.fixture
def yaml(tmp_path: Path) -> Path:
    path = tmp_path / "horus.yaml"
    path.write_text(YAML)
    return path


def drive(velocity: float) -> horus.Node:
    def tick(node: horus.Node) -> None:
        node.send("wheel.command", MotorCommand(velocity=velocity))

    return horus.Node("drive", horus.Pub("wheel.command", MotorCommand), tick=tick, rate=50)


def test_a_stop_that_a_motor_did_not_hear_is_repeated(yaml):
    with SimRobot(yaml, seed=1, nodes=False) as robot:
        robot.until(lambda: robot.state("wheel") == "ready", 5)
        for _ in range(100):
            robot.send("wheel.command", MotorCommand(velocity=5.0))
            robot.run(0.02)
        robot.fault("wheel").nak(1.0)
        robot.run(2.0)
        assert robot.truth("wheel")["velocity"] == pytest.approx(5.0, abs=0.3)
        robot.fault("wheel").clear()
        robot.until(lambda: robot.truth("wheel")["at_rest"], 2.0)
        assert robot.nodes["wheel"].faults == 0


def test_a_motor_that_is_lost_while_it_turns_is_told_again_to_stop(yaml):
    with SimRobot(yaml, seed=1, nodes=False) as robot:
        robot.until(lambda: robot.state("wheel") == "ready", 5)
        for _ in range(100):
            robot.send("wheel.command", MotorCommand(velocity=5.0))
            robot.run(0.02)
        robot.fault("wheel").nak(1.0)
        robot.fault("wheel").silence()
        robot.run(3.0)
        assert robot.truth("wheel")["velocity"] == pytest.approx(5.0, abs=0.3)
        robot.fault("wheel").nak(0.0)  # it hears again, but cannot be heard
        robot.until(lambda: robot.truth("wheel")["at_rest"], 1.0)
        assert robot.state("wheel") == "absent"


def test_devices_come_up_and_send(yaml):
    with SimRobot(yaml, seed=1) as robot:
        took = robot.until(lambda: robot.latest("imu"), 2)
        assert took < 1
        robot.received("imu")
        robot.run(1)
        assert len(robot.received("imu")) == pytest.approx(100, abs=2)
        message = robot.latest("imu")
        assert message.mock
        assert message.stamp == pytest.approx(robot.clock.epoch + 1 + robot.seconds, abs=0.02)
        assert robot.state("imu") == "active"


def test_a_device_without_commands_says_exactly_that(yaml):
    with (
        SimRobot(yaml, seed=1) as robot,
        pytest.raises(CallRefusedError, match="^imu has no commands: its driver mpu6050 has none$"),
    ):
        robot.call("imu", "scan")


def test_a_stimulus_reaches_the_topic(yaml):
    with SimRobot(yaml, seed=1) as robot:
        robot.twin("imu").rotation = (0, 0, 1)
        robot.until(lambda: robot.latest("imu") and robot.latest("imu").gyro_z > 0.9, 2)
        assert robot.truth("imu")["angular_velocity"] == [0.0, 0.0, 1.0]
        assert robot.twin("imu").rotation == (0.0, 0.0, 1.0)


def test_a_stimulus_that_is_none_is_refused(yaml):
    with SimRobot(yaml) as robot:
        with pytest.raises(AttributeError, match=r"imu: no stimulus rotaton \(did you mean"):
            robot.twin("imu").rotaton = (0, 0, 1)
        with pytest.raises(ValueError, match="imu: rotation takes 3 numbers"):
            robot.twin("imu").rotation = 1.0
        with pytest.raises(KeyError, match=r"no device 'imo' \(did you mean 'imu'"):
            robot.twin("imo")


def test_an_unplugged_device_is_a_fault_and_comes_back(yaml):
    with SimRobot(yaml, seed=1) as robot:
        robot.until(lambda: robot.state("imu") == "active", 2)
        robot.fault("imu").unplug()
        robot.until(lambda: robot.state("imu") not in ("ready", "active"), 1)
        robot.fault("imu").plug()
        robot.until(lambda: robot.state("imu") == "active", 5)


def test_a_wheel_follows_a_node_and_rests_when_that_ends(yaml):
    with SimRobot(yaml, seed=1, nodes=[drive(5.0)]) as robot:
        robot.until(lambda: abs(robot.truth("wheel")["velocity"] - 5.0) < 0.3, 3)
        sim: Any = robot._sim("wheel")
    assert sim.truth()["at_rest"]


def test_commands_of_the_scenario_time_out_in_simulated_time(yaml):
    with SimRobot(yaml, seed=1) as robot:
        robot.until(lambda: robot.state("wheel") == "ready", 2)
        for _ in range(100):
            robot.send("wheel.command", MotorCommand(velocity=5.0))
            robot.run(0.02)
        assert robot.state("wheel") == "active"
        assert robot.until(lambda: robot.state("wheel") == "ready", 1) < 0.35
        robot.until(lambda: robot.truth("wheel")["at_rest"], 3)


def test_a_condition_that_never_comes_is_told_with_the_states(yaml):
    told = pytest.raises(ScenarioTimeoutError, match=r"after 0.1 simulated seconds; imu: ")
    with SimRobot(yaml) as robot, told:
        robot.until(lambda: False, 0.1)


def test_it_leaves_nothing_behind(yaml, shm):
    with SimRobot(yaml) as robot:
        robot.run(0.1)
        assert os.environ["HORUS_SESSION_ID"]
    assert "HORUS_SESSION_ID" not in os.environ
    assert not list(shm.glob("sessions/*"))
    assert abs(horus.bus.monotonic_ns() - time.monotonic_ns()) < 1e9


def test_a_fault_in_the_file_leaves_nothing_behind(tmp_path, shm):
    (tmp_path / "horus.yaml").write_text(YAML.replace("mpu6050", "mpu6051"))
    with pytest.raises(ConfigError, match="mpu6051"):
        SimRobot(tmp_path)
    assert "HORUS_SESSION_ID" not in os.environ


def digest(config: Path, seed: int, seconds: float) -> str:
    """Return a hash over all messages on all topics of a run, stamps included."""
    total = hashlib.sha256()
    with SimRobot(config, seed=seed) as robot:
        names = sorted({t for node in robot.scheduler.nodes for t in node.get_publishers()})
        ends = [Subscriber(name, depth=4096) for name in names]
        for _ in range(round(seconds / 0.5)):
            robot.run(0.5)
            for end in ends:
                while (found := end.recv_stamped()) is not None:
                    total.update(f"{end.name} {found[1]} {found[0]!r}\n".encode())
        assert not any(end.dropped for end in ends)
        assert math.isclose(robot.seconds, seconds)
    return total.hexdigest()


def test_two_runs_of_the_rover_are_the_same_to_the_last_bit():
    assert digest(ROVER, 1, 10) == digest(ROVER, 1, 10)


def test_another_seed_is_another_run(yaml):
    assert digest(yaml, 1, 2) == digest(yaml, 1, 2) != digest(yaml, 2, 2)


def test_a_minute_of_the_rover_takes_a_moment(capsys):
    began, used = time.perf_counter(), time.process_time()
    with SimRobot(ROVER, seed=1) as robot:
        robot.run(60)
        assert len(robot.nodes) == 3
        assert robot.latest("left_wheel.state") is not None
    took, used = time.perf_counter() - began, time.process_time() - used
    with capsys.disabled():
        print(f"\n60 s of the rover, simulated: {took:.2f} s ({used:.2f} s of CPU)")
    assert used < 20, "far less than the minute it stands for"
