"""The motor that stands behind the twins of motor controllers: inertia, friction, heat, loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from horus.hal.config import SimConfig, option

#: Longest step of the simulation, and the most that one call moves it on (s).
STEP, LONGEST = 0.001, 1.0
#: Bandwidth of the velocity loop, its integral part, and the gain of the position loop (1/s).
VELOCITY_GAIN, INTEGRAL_GAIN, POSITION_GAIN = 30.0, 5.0, 10.0
HEAT_CAPACITY, COOLING = 50.0, 0.5  # J/K, W/K


@dataclass(frozen=True, kw_only=True)
class MotorSimConfig(SimConfig):
    """Options of a simulated motor: by default one of 270 KV on a small wheel."""

    inertia: float = option(0.002, unit="kg·m²", above=0, high=10, doc="at the motor shaft")
    friction: float = option(0.05, unit="N·m", low=0, high=100, doc="independent of speed")
    drag: float = option(0.002, unit="N·m·s/rad", low=0, high=10, doc="proportional to speed")
    torque_constant: float = option(8.27 / 270, unit="N·m/A", above=0, high=10)
    resistance: float = option(0.05, unit="Ω", above=0, high=100, doc="of the winding")
    supply: float = option(24.0, unit="V", above=0, high=100)


class SimMotor:
    """A shaft turned by a current: angle, speed, current and heat, and the usual loops over them.

    A twin calls `move` with a function that returns the wanted current (A) for each small step,
    mostly one of `hold_velocity`, `hold_position`, `hold_torque`, `hold_duty` and `spring`.
    """

    def __init__(self, options: MotorSimConfig) -> None:
        self.options = options
        #: Of the motor shaft, in rad, rad/s, A, °C and V.
        self.position = 0.0
        self.velocity = 0.0
        self.amperes = 0.0
        self.temperature = 25.0
        self.volts = options.supply
        #: Most current that the controller lets flow (A).
        self.limit = math.inf
        self._integral = 0.0

    @property
    def torque(self) -> float:
        """Torque of the current (N·m)."""
        return self.amperes * self.options.torque_constant

    @property
    def supply_amperes(self) -> float:
        """Current drawn from the supply (A): mechanical power and heat of the winding."""
        power = self.torque * self.velocity + self.amperes**2 * self.options.resistance
        return power / self.volts if self.volts else 0.0

    def reset(self) -> None:
        """Forget what the loops have summed up, as when a controller is enabled."""
        self._integral = 0.0

    def hold_velocity(self, target: float, step: float) -> float:
        """Return the current (A) that brings the shaft to a velocity (rad/s)."""
        gain = VELOCITY_GAIN * self.options.inertia / self.options.torque_constant
        error = target - self.velocity
        wanted = gain * error + self._integral
        current = self.possible(wanted)
        if current == wanted:  # at the limit the integral would wind up
            self._integral += gain * INTEGRAL_GAIN * error * step
        return current

    def hold_position(self, target: float, speed: float, step: float) -> float:
        """Return the current (A) that brings the shaft to an angle (rad) at a speed (rad/s)."""
        wanted = POSITION_GAIN * (target - self.position)
        return self.hold_velocity(min(max(wanted, -speed), speed), step)

    def hold_torque(self, torque: float) -> float:
        """Return the current (A) of a torque (N·m)."""
        return self.possible(torque / self.options.torque_constant)

    def hold_duty(self, duty: float) -> float:
        """Return the current (A) that a share of the supply voltage drives."""
        back = self.velocity * self.options.torque_constant
        return self.possible((duty * self.volts - back) / self.options.resistance)

    def spring(
        self, position: float, velocity: float, stiffness: float, damping: float, torque: float
    ) -> float:
        """Return the current (A) of a spring (N·m/rad) and damper (N·m·s/rad) with a torque."""
        pull = stiffness * (position - self.position) + damping * (velocity - self.velocity)
        return self.hold_torque(pull + torque)

    def possible(self, current: float) -> float:
        """Return a current (A) held within the limit and what the supply can drive."""
        back = self.velocity * self.options.torque_constant
        low = (-self.volts - back) / self.options.resistance
        high = (self.volts - back) / self.options.resistance
        return min(max(min(max(current, low), high), -self.limit), self.limit)

    def move(
        self,
        dt: float,
        regulate: Callable[[float], float] | None,
        *,
        load: float = 0.0,
        ambient: float = 25.0,
    ) -> None:
        """Move on by ``dt`` seconds, in small steps; ``regulate(step)`` returns the current (A).

        Without it no current flows and the shaft coasts. ``load`` (N·m) turns the shaft forward.
        """
        options = self.options
        left = min(dt, LONGEST)
        stands = regulate is None and not self.velocity and abs(load) <= options.friction
        while left > 0:
            step = left if stands else min(left, STEP)
            left -= step
            self.amperes = regulate(step) if regulate else 0.0
            torque = self.torque + load - options.drag * self.velocity
            moved = self.velocity + torque / options.inertia * step
            brake = options.friction / options.inertia * step
            self.velocity = math.copysign(max(0.0, abs(moved) - brake), moved)
            self.position += self.velocity * step
            heat = self.amperes**2 * options.resistance
            heat -= (self.temperature - ambient) * COOLING
            self.temperature += heat / HEAT_CAPACITY * step
