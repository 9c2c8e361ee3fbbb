"""The control frame of the MIT mini cheetah, as Damiao, CubeMars and others speak it.

Every frame carries a position, a velocity, the gains of a spring and a damper towards them, and a
torque: p16 | v12 | kp12 | kd12 | t12, big-endian, each spread over a range of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from horus.hal import Actuator, ActuatorConfig, option
from horus.hal.layouts import BitFields, Constant, Span
from horus.hal.simmotor import MotorSimConfig, SimMotor
from horus.msgs import ControlMode, MotorCommand, MotorState

CONTROL = BitFields("u16 u12 u12 u12 u12")
STIFFNESS, DAMPING = Span(0.0, 500.0, 12), Span(0.0, 5.0, 12)  # N·m/rad, N·m·s/rad
ENABLE, DISABLE = Constant("FFFFFFFFFFFFFFFC"), Constant("FFFFFFFFFFFFFFFD")
ZERO = Constant("FFFFFFFFFFFFFFFE")
ARMED_WITHIN = 0.5  # s from the command to enabled
LOST = 0.5  # s without an answer
FORWARD = ("position", "velocity", "torque")
MODES = {  # what is followed
    ControlMode.VELOCITY: ("velocity", "torque"),
    ControlMode.POSITION: FORWARD,
    ControlMode.TORQUE: ("torque",),
    ControlMode.IMPEDANCE: (*FORWARD, "stiffness", "damping"),
}


@dataclass(frozen=True, kw_only=True)
class MitConfig(ActuatorConfig):
    """Options of a motor that speaks the MIT frame."""

    node: int = option(low=1, high=127, doc="CAN id of the motor")
    master: int = option(0, low=0, high=0x7FF, doc="CAN id that the motor sends its answers to")
    max_velocity: float = option(
        20.0, unit="rad/s", above=0, high=1000, doc="of the output", live="lower"
    )
    max_torque: float = option(
        5.0, unit="N·m", above=0, high=500, doc="at the output", live="lower"
    )
    velocity_gain: float = option(
        2.0, unit="N·m·s/rad", above=0, high=5, doc="torque per speed missing, in mode VELOCITY"
    )
    stiffness: float = option(
        20.0, unit="N·m/rad", above=0, high=500, doc="of the spring in mode POSITION"
    )
    damping: float = option(
        1.0, unit="N·m·s/rad", low=0, high=5, doc="of the damper in mode POSITION"
    )
    reverse: bool = option(False, doc="the motor turns against the output")


class Setpoint(NamedTuple):
    """What one frame asks for, of the motor as it counts itself."""

    position: float = 0.0
    velocity: float = 0.0
    stiffness: float = 0.0
    damping: float = 0.0
    torque: float = 0.0


@dataclass(frozen=True)
class MitRanges:
    """The ranges of a motor: both ends must agree on them."""

    position: float
    velocity: float
    torque: float

    @property
    def spans(self) -> tuple[Span, Span, Span]:
        """Position (rad), velocity (rad/s), torque (N·m)."""
        return (
            Span(-self.position, self.position, 16),
            Span(-self.velocity, self.velocity, 12),
            Span(-self.torque, self.torque, 12),
        )

    def counts(self, setpoint: Setpoint) -> tuple[int, ...]:
        """Return the fields of a frame."""
        position, velocity, torque = self.spans
        spans = (position, velocity, STIFFNESS, DAMPING, torque)
        return tuple(span.count(value) for span, value in zip(spans, setpoint, strict=True))

    def setpoint(self, *counts: int) -> Setpoint:
        """Return what the fields of a frame ask for."""
        position, velocity, torque = self.spans
        spans = (position, velocity, STIFFNESS, DAMPING, torque)
        return Setpoint(*(span.value(count) for span, count in zip(spans, counts, strict=True)))

    def measured(self, position: int, velocity: int, torque: int) -> tuple[float, float, float]:
        """Return rad, rad/s and N·m of an answer; what is at the end of its range is NaN.

        Beyond its range a motor keeps on answering with the end of it.
        """
        counts = (position, velocity, torque)
        return (*map(_inside, self.spans, counts),)  # type: ignore[return-value]


def _inside(span: Span, count: int) -> float:
    return span.value(count) if 0 < count < span.most else math.nan


def check(driver: Actuator[Any, Any], command: MotorCommand, ranges: MitRanges) -> None:
    """Raise `CommandRefused` for what the motor cannot follow or may not do."""
    driver.only(command, MODES)
    config, limit, mode = driver.config, driver.limit, command.mode
    fastest = min(config.max_velocity, ranges.velocity)
    strongest = min(config.max_torque, ranges.torque)
    if mode != ControlMode.TORQUE:
        limit("velocity", command.velocity, -fastest, fastest, "rad/s", "max_velocity")
    if mode in (ControlMode.POSITION, ControlMode.IMPEDANCE):
        limit("position", command.position, -ranges.position, ranges.position, "rad")
    if mode == ControlMode.IMPEDANCE:
        limit("stiffness", command.stiffness, STIFFNESS.low, STIFFNESS.high, "N·m/rad")
        limit("damping", command.damping, DAMPING.low, DAMPING.high, "N·m·s/rad")
    limit("torque", command.torque, -strongest, strongest, "N·m", "max_torque")


def state(
    config: MitConfig, measured: tuple[float, float, float], temperature: float, mode: ControlMode
) -> MotorState:
    """Return the message of what was measured (see `MitRanges`); mode IDLE is not armed."""
    sign = -1.0 if config.reverse else 1.0
    position, velocity, torque = measured
    return MotorState(
        position=sign * position,
        velocity=sign * velocity,
        torque=sign * torque,
        temperature=temperature,
        mode=mode,
        armed=mode != ControlMode.IDLE,
    )


def resting(driver: Actuator[Any, Any], ranges: MitRanges, counts: tuple[int, int, int]) -> str:
    """Return for `Actuator.at_rest` that the motor does not turn, as far as it can tell."""
    velocity = ranges.measured(*counts)[1]
    return driver.resting(velocity, resolution=2 * ranges.spans[1].resolution)


def setpoint(config: MitConfig, command: MotorCommand) -> Setpoint:
    """Return what a command asks of the motor."""
    sign = -1.0 if config.reverse else 1.0
    position, velocity = sign * command.position, sign * command.velocity
    torque = sign * command.torque
    if command.mode == ControlMode.TORQUE:
        return Setpoint(torque=torque)
    if command.mode == ControlMode.VELOCITY:
        return Setpoint(0.0, velocity, 0.0, config.velocity_gain, torque)
    if command.mode == ControlMode.POSITION:
        return Setpoint(position, velocity, config.stiffness, config.damping, torque)
    return Setpoint(position, velocity, command.stiffness, command.damping, torque)


@dataclass(frozen=True, kw_only=True)
class MitSimConfig(MotorSimConfig):
    """Options of a simulated joint motor, all of them as seen at the output of its gearbox."""

    inertia: float = option(0.02, unit="kg·m²", above=0, high=10)
    friction: float = option(0.1, unit="N·m", low=0, high=100)
    drag: float = option(0.01, unit="N·m·s/rad", low=0, high=10)
    torque_constant: float = option(1.0, unit="N·m/A", above=0, high=10)
    resistance: float = option(0.5, unit="Ω", above=0, high=100)
    peak_torque: float = option(7.0, unit="N·m", above=0, high=500)


class MitCore:
    """The firmware of such a motor: a spring and a damper, when it is enabled."""

    def __init__(self, options: MitSimConfig) -> None:
        self.motor = SimMotor(options)
        self.motor.limit = options.peak_torque / options.torque_constant
        self.power_on(0.0)

    def power_on(self, time: float) -> None:
        """Come up disabled."""
        self.enabled = False
        self.speed: float | None = None
        self.wanted = Setpoint()
        self.fed = time

    def enable(self, time: float) -> None:
        """Follow from now on what comes from now on."""
        if not self.enabled:
            self.motor.reset()
            self.wanted, self.speed = Setpoint(), None
        self.enabled, self.fed = True, time

    def disable(self) -> None:
        """Let the motor coast."""
        self.enabled = False

    def follow(self, wanted: Setpoint, time: float) -> None:
        """Take a control frame; one that comes while disabled is not kept."""
        self.fed = time
        if self.enabled:
            self.wanted, self.speed = wanted, None

    def hold(self, speed: float, time: float) -> None:
        """Take a speed (rad/s), for the firmware's own velocity loop."""
        self.fed = time
        if self.enabled:
            self.speed = speed

    def move(self, dt: float, load: float, ambient: float) -> None:
        """Move on."""
        regulate = self._regulate if self.enabled else None
        self.motor.move(dt, regulate, load=load, ambient=ambient)

    def _regulate(self, step: float) -> float:
        if self.speed is not None:
            return self.motor.hold_velocity(self.speed, step)
        return self.motor.spring(*self.wanted)

    def measured(self, ranges: MitRanges) -> tuple[int, ...]:
        """Return the fields of an answer: position, velocity and torque, held to their ranges."""
        values = (self.motor.position, self.motor.velocity, self.motor.torque)
        return tuple(
            span.count(span.inside(value + span.resolution / 2))
            for span, value in zip(ranges.spans, values, strict=True)
        )

    def truth(self, reverse: bool) -> dict[str, object]:
        """Return what the output really does."""
        sign = -1.0 if reverse else 1.0
        motor = self.motor
        return {
            "enabled": self.enabled,
            "velocity": sign * motor.velocity,
            "position": sign * motor.position,
            "torque": sign * motor.torque,
            "temperature": motor.temperature,
            "at_rest": not self.enabled and abs(motor.velocity) < 0.05,
        }
