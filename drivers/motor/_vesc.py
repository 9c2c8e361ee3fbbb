"""What VESC speaks alike on CAN and on serial: options, units, and the motor behind both twins.

Sources: documentation/comm_can.md of github.com/vedderb/bldc; motor/mcpwm_foc.c for the twin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from horus.hal import Actuator, ActuatorConfig, CommandRefused, Sim, Stimulus, option
from horus.hal.simmotor import MotorSimConfig, SimMotor
from horus.msgs import ControlMode, MotorCommand

TURN = 2 * math.pi  # rad
DEGREE = TURN / 360
#: One count of what is commanded, in its unit: share of the supply, A, degrees. ERPM are whole.
DUTY, CURRENT, ANGLE = 1e-5, 1e-3, 1e-6
TACHO_STEPS = 6  # of the tachometer, per electrical revolution
MODES = {
    ControlMode.VELOCITY: ("velocity",),
    ControlMode.POSITION: ("position",),
    ControlMode.TORQUE: ("torque",),
    ControlMode.DUTY: ("duty",),
}


@dataclass(frozen=True, kw_only=True)
class VescConfig(ActuatorConfig):
    """Options of a motor behind a VESC, whatever the bus."""

    pole_pairs: int = option(7, low=1, high=100, doc="of the motor: magnets / 2")
    gear_ratio: float = option(1.0, above=0, high=10_000, doc="motor turns per turn of the output")
    reverse: bool = option(False, doc="the motor turns against the output")
    max_velocity: float = option(
        20.0, unit="rad/s", above=0, high=10_000, doc="of the output", live="lower"
    )
    max_current: float = option(10.0, unit="A", above=0, high=500, doc="in the motor")
    torque_constant: float = option(
        0.0, unit="N·m/A", low=0, high=10, doc="of the motor; 0 is unknown: no torques then"
    )


class VescUnits:
    """From commands to a VESC's settings and back to quantities of the output shaft."""

    def __init__(self, config: VescConfig) -> None:
        self.config = config
        self.sign = -1.0 if config.reverse else 1.0
        #: Motor turns per turn of the output, negative when reversed.
        self.gear = config.gear_ratio * self.sign
        #: ERPM per rad/s of the output.
        self.erpm = self.gear * 60 / TURN * config.pole_pairs
        #: Tachometer steps per radian of the output.
        self.steps = self.gear / TURN * config.pole_pairs * TACHO_STEPS
        #: N·m at the output per A in the motor, without the sign; 0 is unknown.
        self.torque = config.torque_constant * config.gear_ratio

    def check(self, driver: Actuator[Any, Any], command: MotorCommand) -> None:
        """Raise `CommandRefused` for what the motor cannot follow."""
        driver.only(command, MODES)
        config, limit = driver.config, driver.limit
        if command.mode == ControlMode.VELOCITY:
            most = config.max_velocity
            limit("velocity", command.velocity, -most, most, "rad/s", "max_velocity")
        elif command.mode == ControlMode.DUTY:
            limit("duty", command.duty, -1.0, 1.0)
        elif command.mode == ControlMode.TORQUE:
            if not self.torque:
                raise CommandRefused("mode TORQUE needs the option torque_constant")
            most = config.max_current * self.torque
            limit("torque", command.torque, -most, most, "N·m", "max_current")
        else:
            limit("position", command.position, 0.0, TURN / config.gear_ratio, "rad", "gear_ratio")

    def setting(self, command: MotorCommand) -> tuple[str, float]:
        """Return the name of the setting (erpm, duty, current, angle) and its value."""
        if command.mode == ControlMode.DUTY:
            return "duty", command.duty * self.sign
        if command.mode == ControlMode.TORQUE:
            return "current", command.torque * self.sign / self.torque
        if command.mode == ControlMode.POSITION:  # within one turn of the motor: all it knows
            return "angle", command.position * self.gear / DEGREE % 360
        return "erpm", round(command.velocity * self.erpm)


def hottest(fet: float, motor: float) -> float:
    """Return the higher temperature (°C); a motor without a sensor reads what cannot be."""
    return max(fet, motor) if -30.0 < motor < 150.0 else fet


@dataclass(frozen=True, kw_only=True)
class VescSimConfig(MotorSimConfig):
    """Options of a simulated VESC: its own settings, and the motor."""

    timeout: float = option(0.5, unit="s", low=0, high=60, doc="without a command; 0 is off")
    most_current: float = option(60.0, unit="A", above=0, high=500)
    min_erpm: float = option(0.0, low=0, high=10_000, doc="900 as delivered; below it coasts")


class VescCore:
    """The firmware with its motor, commanded by the same settings on every bus."""

    def __init__(self, options: VescSimConfig, config: VescConfig) -> None:
        self.options = options
        self.units = VescUnits(config)
        self.pairs = config.pole_pairs
        self.motor = SimMotor(options)
        self.motor.limit = options.most_current
        self.power_on(0.0)

    def power_on(self, time: float) -> None:
        """Come up released."""
        self.setting, self.value, self.fed = "current", 0.0, time

    def set(self, setting: str, value: float, time: float) -> None:
        """Take a command: erpm, duty, current, brake (A) or angle (degrees)."""
        if setting != self.setting:
            self.motor.reset()
        self.setting, self.value, self.fed = setting, value, time

    def move(self, dt: float, time: float, load: float, ambient: float) -> None:
        """Move on; without commands for too long the motor is released."""
        if 0 < self.options.timeout < time - self.fed:
            self.setting, self.value = "current", 0.0
        self.motor.move(dt, self._regulate, load=load, ambient=ambient)

    def _regulate(self, step: float) -> float:
        motor, value = self.motor, self.value
        if self.setting == "erpm":
            if abs(value) < self.options.min_erpm:
                motor.reset()
                return 0.0
            return motor.hold_velocity(value / self.pairs * TURN / 60, step)
        if self.setting == "duty":
            return motor.hold_duty(value)
        if self.setting == "angle":
            here = motor.position / DEGREE % 360
            way = (value - here + 180) % 360 - 180  # the shorter one
            return motor.hold_position(motor.position + way * DEGREE, 50.0, step)
        if self.setting == "brake":
            return motor.possible(
                -math.copysign(min(abs(value), abs(motor.velocity)), motor.velocity)
            )
        return motor.possible(value)

    @property
    def released(self) -> bool:
        """Whether no current is asked for."""
        return self.setting == "current" and self.value == 0.0

    @property
    def erpm(self) -> float:
        """Electrical revolutions per minute."""
        return self.motor.velocity * 60 / TURN * self.pairs

    @property
    def duty(self) -> float:
        """Share of the supply voltage that the motor is given."""
        motor = self.motor
        volts = motor.velocity * self.options.torque_constant
        volts += motor.amperes * self.options.resistance
        return min(max(volts / motor.volts, -1.0), 1.0) if motor.volts else 0.0

    @property
    def tachometer(self) -> int:
        """Steps counted since the start."""
        return math.floor(self.motor.position / TURN * self.pairs * TACHO_STEPS)

    def truth(self) -> dict[str, object]:
        """Return what the output shaft really does."""
        motor = self.motor
        return {
            "setting": self.setting,
            "velocity": motor.velocity / self.units.gear,
            "position": motor.position / self.units.gear,
            "current": motor.amperes,
            "temperature": motor.temperature,
            "at_rest": self.released and abs(motor.velocity) < 0.05,
        }


class VescTwin(Sim[Any, Any]):
    """What the twins have on every bus: the world around the motor, and the firmware."""

    options: VescSimConfig
    load = Stimulus(0.0, unit="N·m", low=-100, high=100, doc="torque on the motor shaft, forward")
    ambient = Stimulus(25.0, unit="°C", low=-40, high=125)
    voltage = Stimulus(24.0, unit="V", low=0, high=100, doc="of the supply")

    def setup(self) -> None:
        """Begin at rest."""
        self.voltage = self.options.supply
        self.core = VescCore(self.options, self.config)

    def power_on(self) -> None:
        """Come up released."""
        self.core.power_on(self.time)

    def update(self) -> None:
        """Move the motor on."""
        self.core.motor.volts = self.voltage
        self.core.move(self.dt, self.time, self.load, self.ambient)

    def truth(self) -> dict[str, object]:
        """Return what the output shaft really does."""
        return self.core.truth()
