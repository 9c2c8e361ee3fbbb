"""What drivers say: when another device answers, when settings were lost, when it is at rest."""

from __future__ import annotations

from typing import Any

import pytest

from horus.hal import (
    Actuator,
    ActuatorConfig,
    CommandRefused,
    DeviceFault,
    Driver,
    DriverConfig,
    FaultKind,
    Link,
    PacketMap,
    RegisterMap,
)
from horus.msgs import ControlMode, JointCommand, MotorCommand


class Chip(Driver[DriverConfig, RegisterMap]):
    """A chip on I2C, of which nothing is asked."""

    def probe(self) -> bool:
        return True

    def read(self) -> None:
        return None


class Stream(Chip, Driver[DriverConfig, PacketMap]):
    """A device that has its serial port to itself."""

    config_type, map_type = DriverConfig, PacketMap


def made(kind: Any = Chip) -> Any:
    return kind(DriverConfig(), Link("imu", "i2c1", 0x68))


def said(function: Any, *arguments: Any) -> tuple[FaultKind, str]:
    with pytest.raises(DeviceFault) as info:
        function(*arguments)
    return info.value.kind, str(info.value)


def test_the_right_identity_is_the_answer_of_probe() -> None:
    assert made().expect(0x68, 0x68, "an MPU-6050") is True
    assert made().expect((0xEE, 0xAA), (0xEE, 0xAA), "a VL53L0X") is True


@pytest.mark.parametrize(
    ("found", "wanted", "words"),
    [
        (0x71, 0x68, "identity 0x71; a chip has 0x68"),
        (0x00, 0x1234, "identity 0x0000; a chip has 0x1234"),
        ((0xEE, 0x01), (0xEE, 0xAA), "identity 0xEE 0x01; a chip has 0xEE 0xAA"),
    ],
)
def test_another_identity_is_rejected_naming_both_and_the_cure(
    found: Any, wanted: Any, words: str
) -> None:
    assert said(made().expect, found, wanted, "a chip") == (
        FaultKind.REJECTED,
        f"imu on i2c1: the device that answers has {words}: correct use: or address: in horus.yaml",
    )


def test_a_hint_stands_before_the_cure() -> None:
    fault = made().stranger("is no INA219", hint="is it an INA226?")
    assert str(fault).endswith(
        "is no INA219: is it an INA226? Correct use: or address: in horus.yaml"
    )


def test_without_a_place_on_the_bus_the_bus_may_be_wrong() -> None:
    assert str(made(Stream).stranger("is silent")).endswith("correct use: or bus: in horus.yaml")


def test_settings_that_are_not_kept_are_a_fault_that_tells_both() -> None:
    made().confirm("CONFIG", 0x399F, 0x399F)
    kind, text = said(made().confirm, "CONFIG", 0x0001, 0x399F)
    assert kind is FaultKind.CORRUPT
    assert "imu on i2c1: CONFIG reads 0x0001 and not 0x399F: was it restarted" in text
    _, text = said(made().confirm, "MODE1 and MODE2", (0x11, 4), (0x20, 4))
    assert "MODE1 and MODE2 read 0x11 0x04 and not 0x20 0x04" in text


class Motor(Actuator[ActuatorConfig, RegisterMap]):
    """A motor on I2C, to which nothing is said."""

    def probe(self) -> bool:
        return True

    def arm(self) -> None:
        return None

    def write(self, command: MotorCommand) -> None:
        return None

    def safe(self) -> None:
        return None

    def read(self) -> None:
        return None


def motor() -> Motor:
    return Motor(ActuatorConfig(), Link("wheel", "i2c1", 0x68))


def test_a_device_that_is_not_as_it_was_set_up_is_rejected_with_a_cure() -> None:
    fault = motor().restarted("it is off", hint="is it calibrated?")
    assert fault.kind is FaultKind.REJECTED
    assert str(fault) == (
        "wheel on i2c1: it is off: is it calibrated? Or was it restarted, or does another program "
        "use it? It is set up again"
    )


@pytest.mark.parametrize(
    ("velocity", "resolution", "text"),
    [
        (-0.0, 0.0, "stopped (0.0 rad/s, idle)"),
        (-0.049, 0.0, "stopped (0.0 rad/s, idle)"),
        (0.06, 0.1, "stopped (0.1 rad/s, idle)"),
        (0.05, 0.0, ""),
        (-3.0, 0.1, ""),
        (float("nan"), 0.0, ""),
    ],
)
def test_at_rest_is_slower_than_can_be_told(velocity: float, resolution: float, text: str) -> None:
    assert motor().resting(velocity, resolution=resolution) == text


MODES = {
    ControlMode.VELOCITY: ("velocity", "torque"),
    ControlMode.DUTY: ("duty",),
    ControlMode.IDLE: (),
}


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (MotorCommand(), ""),
        (MotorCommand(velocity=1.0, torque=-2.0), ""),
        (MotorCommand(mode=ControlMode.DUTY, duty=0.5), ""),
        (MotorCommand(mode=4, duty=0.5, velocity=0.1), "velocity is given: in mode DUTY this"),
        (
            MotorCommand(duty=0.5),
            "duty is given: in mode VELOCITY this driver follows velocity",
        ),
        (MotorCommand(mode=3), "control mode 3: this driver does VELOCITY, DUTY and IDLE only"),
        (MotorCommand(mode=99), "control mode 99: this driver does VELOCITY, DUTY and IDLE only"),
        (MotorCommand(mode=ControlMode.IDLE), ""),
        (MotorCommand(mode=ControlMode.IDLE, duty=1.0), "duty is given: in mode IDLE"),
        (JointCommand(effort=[0.0], mode=ControlMode.VELOCITY), "effort is given: in mode VELOC"),
    ],
)
def test_what_a_mode_does_not_follow_is_refused(command: Any, text: str) -> None:
    if not text:
        motor().only(command, MODES, "mode")
        return
    with pytest.raises(CommandRefused) as info:
        motor().only(command, MODES, "mode")
    assert str(info.value).startswith(text) and str(info.value).endswith(" only (mode)")


def test_a_limit_of_nothing_has_no_sign() -> None:
    with pytest.raises(CommandRefused, match="torque must be from 0 to 0 N·m, not 1"):
        motor().limit("torque", 1.0, -0.0, 0.0, "N·m")
