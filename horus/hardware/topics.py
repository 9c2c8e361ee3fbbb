"""The topics of a device, all made from its name in horus.yaml.

| topic | message | who sends it |
|---|---|---|
| ``<name>`` | what the driver's `read` returns | a device that only measures |
| ``<name>.command`` | what the driver's `write` takes | the robot's nodes, to a device that moves |
| ``<name>.state`` | what the driver's `read` returns | a device that moves |
| ``<name>.<output>`` | what that `output` method returns | a device with a second source |
| ``<name>.status`` | `DeviceStatus` | every device: at a change, and once a second |
| ``sim.<name>`` | dict: the twin's true state | every simulated device, 20 times a second |
| ``estop`` | `EmergencyStop` | anybody, to everything that moves: see `horus.hardware.estop` |
"""

from __future__ import annotations

import types
from typing import Any, Union, get_args, get_origin, get_type_hints

from horus.hal.driver import Actuator, Driver, marked


def command_topic(name: str) -> str:
    """Return the topic on which a device that moves is commanded."""
    return f"{name}.command"


def status_topic(name: str) -> str:
    """Return the topic on which a device says how it is."""
    return f"{name}.status"


def truth_topic(name: str) -> str:
    """Return the topic on which a twin shows its true state."""
    return f"sim.{name}"


def data_topic(name: str, driver: type[Driver[Any, Any]]) -> str:
    """Return the topic on which a device's samples, or its state, are sent."""
    return f"{name}.state" if issubclass(driver, Actuator) else name


def output_topic(name: str, method: str) -> str:
    """Return the topic of a second source of messages: a method marked with `horus.hal.output`."""
    return f"{name}.{method}"


def output_types(driver: type[Driver[Any, Any]]) -> dict[str, type]:
    """Return the message types of a driver's second sources by the names of their methods."""
    return {
        name: _message(driver, function, "return")
        for name, function in marked(driver, "output").items()
    }


def data_type(driver: type[Driver[Any, Any]]) -> type:
    """Return the message type that a driver's `read` is annotated with."""
    return _message(driver, driver.read, "return")


def command_type(driver: type[Actuator[Any, Any]]) -> type:
    """Return the message type that an actuator's `write` is annotated with."""
    names = driver.write.__code__.co_varnames
    return _message(driver, driver.write, names[1])


def _message(driver: type, function: Any, name: str) -> type:
    hint = get_type_hints(function).get(name)
    if get_origin(hint) in (Union, types.UnionType):
        left = [argument for argument in get_args(hint) if argument is not type(None)]
        hint = left[0] if len(left) == 1 else None
    if not isinstance(hint, type) or not hasattr(hint, "__horus_spec__"):
        raise TypeError(
            f"{driver.__name__}.{function.__name__}: annotate {name!r} with one message type, "
            "such as -> Imu | None"
        )
    return hint
