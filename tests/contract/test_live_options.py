"""Options that a person changes while a device runs: within what horus.yaml says."""

from __future__ import annotations

from typing import Any

import pytest

from horus.hal import Actuator
from horus.hal.config import options
from horus.hardware.liveoptions import live_options
from horus.hardware.node import DeviceState
from horus.msgs import ControlMode, JointCommand, MotorCommand
from horus.node.caller import Caller, CallRefusedError
from horus.plugins import drivers

OURS = {
    name: found.load()
    for name, found in drivers().items()
    if found.plugin.package.startswith("horus ")
}
SLOWER = [
    name
    for name, driver in OURS.items()
    if issubclass(driver, Actuator) and "max_velocity" in options(driver.config_type)
]
#: What is driven by positions, and how: it obeys a lower limit on its way.
TO_A_POSITION = {
    "cia402": MotorCommand(mode=ControlMode.POSITION, position=60.0),
    "dynamixel": JointCommand(mode=ControlMode.POSITION, names="joint_1", position=[3.0]),
    "feetech": JointCommand(mode=ControlMode.POSITION, names="joint_1", position=[3.0]),
}


def moving(use: str, speed: float) -> MotorCommand | JointCommand:
    """Return a command to turn at this speed (rad/s)."""
    if use in ("dynamixel", "feetech"):
        return JointCommand(mode=ControlMode.VELOCITY, names="joint_1", velocity=[speed])
    return MotorCommand(velocity=speed)


def ask(bench: Any, method: str, *arguments: Any) -> Any:
    with Caller("device.params") as caller:
        pending = caller.start(method, *arguments, timeout=5.0)
        bench.until(pending.poll, 5.0)
        return pending.result()


def values(bench: Any) -> dict[str, Any]:
    return {about["name"]: about["value"] for about in ask(bench, "list")}


@pytest.fixture
def imu(make_bench: Any) -> Any:
    bench = make_bench("mpu6050", rate=100.0)
    bench.until(lambda: bench.node.samples)
    return bench


def test_a_sensor_tells_what_may_be_changed(imu: Any) -> None:
    found = {about["name"]: about for about in ask(imu, "list")}
    assert set(found) == {"rate", "bandwidth"}
    assert found["rate"]["range"] == "greater than 0 and at most 100 Hz"
    assert found["rate"]["type"] == "float" and found["bandwidth"]["type"] == "int"


def test_a_sensor_sends_as_often_as_asked_for_and_as_before_again(imu: Any) -> None:
    assert ask(imu, "set", "rate", 20) == 20.0
    before = imu.node.samples
    imu.run(2.0)
    assert 36 <= imu.node.samples - before <= 42
    assert imu.node.state is DeviceState.ACTIVE
    ask(imu, "set", "rate", 100)
    before = imu.node.samples
    imu.run(1.0)
    assert imu.node.samples - before >= 90
    with pytest.raises(CallRefusedError, match=r"at most 100 Hz, not 200 \(horus.yaml: 100\)"):
        ask(imu, "set", "rate", 200)


def test_a_filter_reaches_the_chip_and_is_there_after_a_power_cut(imu: Any) -> None:
    assert ask(imu, "set", "bandwidth", 10) == 10
    assert imu.twin.map.low_pass == 5
    imu.twin.unplug()
    imu.until(lambda: imu.node.state is not DeviceState.ACTIVE)
    imu.twin.plug()
    imu.until(lambda: imu.node.state is DeviceState.ACTIVE)
    assert imu.twin.map.low_pass == 5
    for value, text in ((11, "must be one of"), ("much", "must be one of")):
        with pytest.raises(CallRefusedError, match=text):
            ask(imu, "set", "bandwidth", value)
    with pytest.raises(CallRefusedError, match="no parameter 'bandwith' .did you mean"):
        ask(imu, "set", "bandwith", 10)
    with pytest.raises(CallRefusedError, match="while it runs: rate, bandwidth"):
        ask(imu, "set", "address", 0x69)


def test_a_chip_that_does_not_answer_leaves_the_option_as_it_was(imu: Any) -> None:
    imu.twin.silence()
    with Caller("device.params") as caller:
        pending = caller.start("set", "bandwidth", 10, timeout=5.0)
        imu.until(pending.poll, 5.0)
    imu.twin.silence(False)
    imu.until(lambda: imu.node.state is DeviceState.ACTIVE, 30.0)
    found = values(imu)["bandwidth"]
    assert imu.twin.map.low_pass == {44: 3, 10: 5}[found], "what is told is what the chip has"


@pytest.mark.parametrize("use", SLOWER)
def test_a_motor_may_be_made_slower_and_never_faster_than_horus_yaml_says(
    use: str, make_bench: Any
) -> None:
    about = {"mode": "velocity"} if use in ("dynamixel", "feetech") else {}
    bench = make_bench(use, **about)
    bench.until(lambda: bench.node.state is DeviceState.READY, 30.0)
    most = bench.node.device.config.max_velocity
    fast = moving(use, 0.9 * most)
    bench.run(0.3, fast)
    assert bench.node.state is DeviceState.ACTIVE and not bench.node.refused
    ask(bench, "set", "max_velocity", 0.5 * most)
    bench.run(1.0, fast)
    assert bench.node.refused
    assert bench.node.state is DeviceState.READY, "what is refused does not keep it moving"
    for value in (2 * most, -1.0, 0.0, float("nan"), float("inf"), "fast", None):
        with pytest.raises(CallRefusedError, match="max_velocity"):
            ask(bench, "set", "max_velocity", value)
    assert ask(bench, "set", "max_velocity", most) == most
    bench.run(0.3, fast)
    assert bench.node.state is DeviceState.ACTIVE


@pytest.mark.parametrize("use", TO_A_POSITION)
def test_on_its_way_to_a_position_it_turns_slower_at_once(use: str, make_bench: Any) -> None:
    bench = make_bench(use, max_velocity=3.0)
    bench.until(lambda: bench.node.state is DeviceState.READY, 30.0)
    bench.run(0.5, TO_A_POSITION[use])
    assert fastest(bench) > 2.0, "it is on its way"
    ask(bench, "set", "max_velocity", 0.5)
    bench.run(0.4, TO_A_POSITION[use])
    assert bench.node.state is DeviceState.ACTIVE and not bench.node.refused
    assert 0.1 < fastest(bench) < 0.6


def fastest(bench: Any) -> float:
    """Return how fast the twin turns (rad/s); of several joints the fastest."""
    return abs(bench.twin.truth()["velocity"])


def test_commands_may_be_followed_for_a_shorter_time_never_for_a_longer_one(
    make_bench: Any,
) -> None:
    bench = make_bench("odrive", command_timeout=0.5)
    bench.until(lambda: bench.node.state is DeviceState.READY)
    bench.run(0.3, bench.good)
    ask(bench, "set", "command_timeout", 0.1)
    bench.run(0.2, bench.good)
    bench.run(0.15)
    assert bench.node.state is DeviceState.READY and "0.1 s" in bench.node.text
    with pytest.raises(CallRefusedError, match=r"at most 0.5 s, not 1.0 \(horus.yaml: 0.5\)"):
        ask(bench, "set", "command_timeout", 1.0)


def test_a_ramp_may_be_made_gentler(make_bench: Any) -> None:
    bench = make_bench("odrive", max_acceleration=100.0)
    bench.until(lambda: bench.node.state is DeviceState.READY)
    ask(bench, "set", "max_acceleration", 1.0)
    bench.run(0.5, MotorCommand(velocity=10.0))
    assert 0.0 < bench.twin.truth()["velocity"] < 1.0
    assert "max_acceleration" not in live_options(OURS["odrive"].config_type(node=3))
