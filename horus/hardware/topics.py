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
from collections.abc import Callable
from typing import Any, Union, get_args, get_origin, get_type_hints

from horus.hal.config import options
from horus.hal.driver import Actuator, Driver, marked

#: Everything that moves listens to it.
ESTOP = "estop"


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
    code = driver.write.__code__
    if code.co_argcount < 2:
        raise TypeError(f"{driver.__name__}.write: it takes the command, such as MotorCommand")
    return _message(driver, driver.write, code.co_varnames[1])


def lacking(driver: type[Driver[Any, Any]]) -> list[str]:
    """Return what a driver's class lacks before it can be used; nothing when it is complete."""
    if not (hasattr(driver, "config_type") and hasattr(driver, "map_type")):
        name = driver.__name__
        return [
            f"name its options and its map: class {name}(Driver[{name}Config, {name}Registers])"
        ]
    missing = sorted(driver.__abstractmethods__)
    found = [f"{name}() is missing" for name in missing]
    station = driver.map_type.station_option
    if station and station not in options(driver.config_type):
        found.append(f"{driver.config_type.__name__} has no option {station!r}")
    checks: list[Callable[[], object]] = []
    if "read" not in missing:
        checks.append(lambda: data_type(driver))
    if issubclass(driver, Actuator) and "write" not in missing:
        checks.append(lambda: command_type(driver))
    checks.append(lambda: output_types(driver))
    for check in checks:
        try:
            check()
        except TypeError as error:
            found.append(str(error))
    return found


def _message(driver: type, function: Any, name: str) -> type:
    place = f"{driver.__name__}.{function.__name__}"
    try:
        hint = get_type_hints(function).get(name)
    except Exception as error:  # an annotation is an expression, and may raise anything
        raise TypeError(f"{place}: its annotations cannot be read: {error}") from error
    if get_origin(hint) in (Union, types.UnionType):
        left = [argument for argument in get_args(hint) if argument is not type(None)]
        hint = left[0] if len(left) == 1 else None
    if not isinstance(hint, type) or not hasattr(hint, "__horus_spec__"):
        raise TypeError(f"{place}: annotate {name!r} with one message type, such as -> Imu | None")
    return hint
