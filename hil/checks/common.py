"""What the checks have in common: when a device works, what it sent, whether it rests."""

from __future__ import annotations

import math
from typing import Any

from horus.hal.config import ActuatorConfig
from horus.hardware.node import DeviceState
from horus.msgs import MotorCommand, ServoCommand
from horus.testing import hil
from horus.testing.rig.under_test import DeviceUnderTest

WORKING = (DeviceState.READY, DeviceState.ACTIVE)
#: Longest time (s) in which a device must be found and set up.
FOUND = 20.0
#: Shortest and longest time (s) between attempts to find a device that was lost, with slack.
BACK = 10.0


def found(device: DeviceUnderTest) -> float:
    """Wait for the first sample; return how long (s) it took."""
    return device.until(lambda: device.node.samples, FOUND)


def ready(device: DeviceUnderTest) -> float:
    """Wait until the device is set up; return how long (s) it took."""
    return device.until(lambda: device.node.state in WORKING, FOUND)


def period(device: DeviceUnderTest) -> float:
    """Return the time (s) from one sample to the next."""
    return 1.0 / float(device.node.device.config.rate)


def patience(device: DeviceUnderTest) -> float:
    """Return within how many seconds a device that is gone must be noticed."""
    config = device.node.device.config
    return 1.5 + float(max(config.stale_after, 3 / config.rate))


def command_timeout(device: DeviceUnderTest) -> float:
    """Return for how long (s) a command is followed."""
    config = device.node.device.config
    assert isinstance(config, ActuatorConfig)
    return config.command_timeout


def received(device: DeviceUnderTest) -> list[tuple[Any, int]]:
    """Return the samples that came since the last call, with their stamps (ns)."""
    samples = []
    while (one := device.data.recv_stamped()) is not None:
        samples.append(one)
    return samples


def numbers(message: Any) -> dict[str, list[float]]:
    """Return the numbers of a message by field; what is not measured (NaN) is left out."""
    values = {}
    for field in type(message).__horus_spec__.fields:
        value = getattr(message, field.name)
        if field.code not in ("f4", "f8") or field.name == "stamp":
            continue
        several = [value] if field.kind == "scalar" else list(value)
        values[field.name] = [float(n) for n in several if math.isfinite(n)]
    return values


def applies(device: DeviceUnderTest, what: str) -> None:
    """Skip the test if the driver says that this does not apply to it: ``C1`` or ``C1.wrong``."""
    exempt = device.entry.driver.exempt
    for key in (what, what.partition(".")[0]):
        if key in exempt:
            hil.not_applicable(f"as its driver says: {exempt[key]}")


def resting(device: DeviceUnderTest) -> bool:
    """Return whether a device that moves was made safe and does not move.

    As its twin says; on a bench as the driver sees it.
    """
    truth = device.truth()
    if truth is not None and "at_rest" in truth:
        return bool(truth["at_rest"])
    if device.driver is None:
        return False
    rest = device.driver.at_rest()
    return bool(rest) or rest is None


def following(device: DeviceUnderTest) -> bool:
    """Return whether the device follows commands: a motor turns, a servo has power."""
    truth = device.truth()
    if truth is None:
        return device.node.state is DeviceState.ACTIVE
    turns = abs(float(truth["velocity"])) > 1.0
    return turns if isinstance(device.good, MotorCommand) else not resting(device)


def value_name(device: DeviceUnderTest) -> str:
    """Return the name of the value that commands of this device carry."""
    if isinstance(device.good, MotorCommand):
        return "velocity"
    return "angle" if isinstance(device.good, ServoCommand) else "position"
