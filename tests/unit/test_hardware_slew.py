"""Ramps of commanded velocities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from horus_drivers.motor.odrive import OdriveConfig
from horus_drivers.motor.roboclaw import RoboclawConfig

from horus.errors import ConfigError
from horus.hardware.config import load
from horus.hardware.node import DeviceState
from horus.hardware.slew import Slew, ramp_of
from horus.msgs import ControlMode, MotorCommand

PERIOD = 0.01
MS = 1_000_000


def velocities(slew: Slew, target: float, ticks: int, start: float = 0.0) -> list[float]:
    """What is passed on when one command is followed for so many ticks."""
    first = slew.follow(MotorCommand(velocity=target, torque=0.5), 10 * MS, lambda: start)
    rest = [slew.go_on((n + 2) * 10 * MS) for n in range(ticks - 1)]
    assert first.torque == 0.5
    return [first.velocity, *(made.velocity for made in rest if made is not None)]


def test_a_step_becomes_a_ramp_that_ends_at_the_target() -> None:
    ramp = velocities(Slew(100.0, PERIOD), 3.5, 10)
    assert ramp == pytest.approx([1.0, 2.0, 3.0, 3.5])


def test_it_begins_at_the_velocity_that_the_motor_has() -> None:
    assert velocities(Slew(100.0, PERIOD), 0.0, 10, start=-2.5) == pytest.approx([-1.5, -0.5, 0.0])


def test_without_a_limit_everything_passes_at_once() -> None:
    slew = Slew(None, PERIOD)
    command = MotorCommand(velocity=50.0)
    assert slew.follow(command, 0, lambda: 0.0) is command
    assert slew.go_on(10 * MS) is None


@pytest.mark.parametrize("mode", [ControlMode.POSITION, ControlMode.TORQUE, ControlMode.DUTY])
def test_only_velocities_are_ramped(mode: ControlMode) -> None:
    slew = Slew(1.0, PERIOD)
    command = MotorCommand(velocity=50.0, position=3.0, mode=mode)
    assert slew.follow(command, 0, lambda: 0.0) is command
    assert slew.go_on(10 * MS) is None


def test_a_pause_is_not_made_up_for() -> None:
    slew = Slew(100.0, PERIOD)
    slew.follow(MotorCommand(velocity=50.0), 10 * MS, lambda: 0.0)
    assert slew.go_on(5_000 * MS).velocity == pytest.approx(3.0)


def test_the_command_itself_is_left_as_it_was() -> None:
    command = MotorCommand(velocity=50.0)
    Slew(1.0, PERIOD).follow(command, 0, lambda: 0.0)
    assert command.velocity == 50.0


def test_the_node_ramps_between_commands_too(make_bench: Any, clock: Any) -> None:
    bench = make_bench("odrive", max_acceleration=5.0, command_timeout=1.0)
    bench.until(lambda: bench.node.state is DeviceState.READY)
    bench.run(0.01, MotorCommand(velocity=5.0))
    bench.run(0.49)
    assert bench.twin.truth()["velocity"] == pytest.approx(2.5, abs=0.3)
    bench.run(0.1, MotorCommand(velocity=5.0))
    bench.run(0.6)
    assert bench.twin.truth()["velocity"] == pytest.approx(5.0, abs=0.3)
    bench.run(1.0)
    assert bench.twin.truth()["at_rest"]


def test_a_stop_is_not_ramped(make_bench: Any) -> None:
    bench = make_bench("odrive", max_acceleration=0.5)
    bench.until(lambda: bench.node.state is DeviceState.READY)
    bench.run(4.0, MotorCommand(velocity=2.0))
    bench.run(0.27)
    assert bench.node.state is DeviceState.READY


def test_after_a_stop_a_ramp_begins_anew_from_what_the_motor_does(
    make_bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench("odrive", max_acceleration=5.0)
    bench.until(lambda: bench.node.state is DeviceState.READY)
    bench.run(1.5, MotorCommand(velocity=5.0))
    bench.run(0.3)
    coasting = bench.twin.truth()["velocity"]
    written: list[float] = []
    write = bench.device.driver.write
    monkeypatch.setattr(
        bench.device.driver,
        "write",
        lambda self, command: (written.append(command.velocity), write(self, command)),
    )
    bench.run(0.05, MotorCommand(velocity=5.0))
    assert coasting > 0.5
    assert written[0] == pytest.approx(coasting, abs=0.3)


def test_a_device_that_limits_by_itself_is_not_ramped_twice() -> None:
    assert ramp_of(OdriveConfig(node=1, max_acceleration=5.0)) == 5.0
    assert ramp_of(OdriveConfig(node=1)) is None
    assert ramp_of(RoboclawConfig(motor=1, counts_per_turn=1440, max_acceleration=5.0)) is None


def test_for_a_device_without_velocities_the_option_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "horus.yaml"
    path.write_text(
        "buses: {i2c1: {use: i2c, device: /dev/i2c-1}}\n"
        "hardware:\n"
        "  servos: {use: pca9685, bus: i2c1, max_acceleration: 2.0}\n"
    )
    with pytest.raises(ConfigError, match="servos.max_acceleration: pca9685 is not commanded by"):
        load(path)
