"""A device's topics and their types, made from its name and its driver's annotations."""

from typing import Any

import pytest

from horus.hal import Actuator, ActuatorConfig, Driver, DriverConfig, RegisterMap
from horus.hardware import topics
from horus.msgs import Imu, MotorCommand, MotorState
from horus.plugins import drivers


class Registers(RegisterMap):
    pass


class Sensor(Driver[DriverConfig, Registers]):
    def probe(self) -> bool:
        return True

    def read(self) -> Imu | None:
        return None


class Untyped(Sensor):
    def read(self):  # type: ignore[no-untyped-def]
        return None


class Numbers(Sensor):
    def read(self) -> Any:
        return 1.0


class Motor(Actuator[ActuatorConfig, Registers]):
    def probe(self) -> bool:
        return True

    def read(self) -> MotorState | None:
        return None

    def arm(self) -> None: ...
    def write(self, command: MotorCommand) -> None: ...
    def safe(self) -> None: ...


def test_a_sensor_has_one_topic_of_its_own_name() -> None:
    assert topics.data_topic("imu", Sensor) == "imu"
    assert topics.data_type(Sensor) is Imu


def test_what_moves_has_a_command_and_a_state() -> None:
    assert topics.command_topic("left") == "left.command"
    assert topics.command_type(Motor) is MotorCommand
    assert topics.data_topic("left", Motor) == "left.state"
    assert topics.data_type(Motor) is MotorState


@pytest.mark.parametrize("driver", [Untyped, Numbers])
def test_a_driver_without_a_message_type_is_told_what_to_write(driver: Any) -> None:
    with pytest.raises(TypeError, match=r"read: annotate 'return' .* such as -> Imu \| None"):
        topics.data_type(driver)


def test_a_driver_knows_its_types_from_its_class_statement() -> None:
    assert Motor.config_type is ActuatorConfig
    assert Motor.map_type is Registers
    assert Motor.twin is None
    twin = drivers()["odrive"].load().twin
    assert twin is not None
    assert twin.options_type().__name__ == "OdriveSimConfig"
