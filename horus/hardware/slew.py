"""Ramps: a velocity that is commanded in steps reaches the device at a limited acceleration."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from horus.hal.config import ActuatorConfig
from horus.hal.driver import Actuator, Driver
from horus.hardware import topics
from horus.msgs import ControlMode, MotorCommand


class Slew:
    """Holds the change of a velocity to ``limit`` (rad/s²); None lets every command through.

    Only velocities of a `MotorCommand` are ramped. A stop is never delayed: nobody asks here.
    """

    def __init__(self, limit: float | None, period: float) -> None:
        self._limit = limit
        #: A pause longer than two periods (s) gains no more than these: no leap after a delay.
        self._longest = 2.0 * period
        self._period = period
        self._velocity = 0.0
        self._target: MotorCommand | None = None
        self._last_ns = 0

    def reset(self) -> None:
        """Forget what was followed: the next command begins a ramp anew."""
        self._target = None
        self._last_ns = 0

    def follow(self, command: Any, now_ns: int, speed: Callable[[], float]) -> Any:
        """Take a new command; return what is to be passed on now.

        ``speed`` tells the velocity (rad/s) that the device has, where a ramp begins.
        """
        if (
            self._limit is None
            or not isinstance(command, MotorCommand)
            or command.mode != ControlMode.VELOCITY
        ):
            self.reset()
            return command
        if self._target is None:
            self._velocity = speed()
        self._target = command
        return self._step(now_ns)

    def go_on(self, now_ns: int) -> Any:
        """Return what is to be passed on though no new command came; None when nothing is."""
        if self._target is None or self._velocity == self._target.velocity:
            return None
        return self._step(now_ns)

    def _step(self, now_ns: int) -> MotorCommand:
        assert self._target is not None and self._limit is not None
        passed = (now_ns - self._last_ns) / 1e9 if self._last_ns else self._period
        self._last_ns = now_ns
        most = self._limit * min(max(passed, 0.0), self._longest)
        wanted = self._target.velocity
        change = min(max(wanted - self._velocity, -most), most)
        reached = abs(wanted - self._velocity) <= most
        self._velocity = wanted if reached else self._velocity + change
        ramped = copy.copy(self._target)
        ramped.velocity = self._velocity
        return ramped


def ramp_of(config: ActuatorConfig) -> float | None:
    """Return the ramp (rad/s²) to be made here; None where the device itself limits.

    Such a driver declares ``max_acceleration`` anew, and passes it on to the device.
    """
    inherited = set(fields(config)) & set(fields(ActuatorConfig))
    ours = any(field.name == "max_acceleration" for field in inherited)
    return config.max_acceleration if ours else None


def rampable(driver: type[Driver[Any, Any]]) -> bool:
    """Return whether a driver is commanded by velocities that can be ramped."""
    return issubclass(driver, Actuator) and issubclass(topics.command_type(driver), MotorCommand)
