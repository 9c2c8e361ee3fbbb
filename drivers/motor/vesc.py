"""VESC motor controller on CAN, driven by velocity, position, torque or duty cycle.

Source: documentation/comm_can.md of github.com/vedderb/bldc (firmware 6). First, in VESC Tool: run
the motor wizard, set the id (App Settings > General > VESC ID) and the CAN baud rate, let it send
status messages 1, 4 and 5 (CAN Status) at the rate wanted here; set Speed PID > Minimum ERPM below
the slowest speed. Its own time-out (App Settings > General > Timeout, 0.5 s as delivered) releases
the motor when commands stop, whatever becomes of this program.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from horus_drivers.motor._vesc import (
    ANGLE,
    CURRENT,
    DUTY,
    VescConfig,
    VescTwin,
    VescUnits,
    hottest,
)

from horus.hal import Actuator, CanMap, CanSim, Command, Link, Report, option
from horus.hal.layouts import Scaled
from horus.msgs import ControlMode, MotorCommand, MotorState

LOST = 0.5  # s without a status
OLD = 0.5  # s: an additional status is too old to be shown
IDLE_CURRENT = 0.5  # A: noise of the measurement


class Status(NamedTuple):
    """Status 1."""

    erpm: float
    current: float
    duty: float


class Temperatures(NamedTuple):
    """Status 4: °C, A, degrees."""

    fet: float
    motor: float
    current_in: float
    angle: float


class Supply(NamedTuple):
    """Status 5: tachometer steps and V."""

    tachometer: float
    voltage: float


class Counted(NamedTuple):
    """Status 2 (A·h) and 3 (W·h); not used by the driver."""

    used: float
    recovered: float


class Inputs(NamedTuple):
    """Status 6: V at the inputs, and the servo pulse; not used by the driver."""

    adc1: float
    adc2: float
    adc3: float
    pulse: float


class VescFrames(CanMap):
    """Frames by command; all big-endian, with 29-bit ids."""

    extended = True
    duty = Command(0, Scaled(">i", DUTY))
    current = Command(1, Scaled(">i", CURRENT))
    brake = Command(2, Scaled(">i", CURRENT))
    erpm = Command(3, ">i")
    angle = Command(4, Scaled(">i", ANGLE))
    status = Report(9, Scaled(">ihh", 1, 0.1, 0.001), Status)
    charge = Report(14, Scaled(">ii", 1e-4, 1e-4), Counted)
    energy = Report(15, Scaled(">ii", 1e-4, 1e-4), Counted)
    temperatures = Report(16, Scaled(">hhhh", 0.1, 0.1, 0.1, 0.02), Temperatures)
    supply = Report(27, Scaled(">ih", 1, 0.1), Supply)
    inputs = Report(28, Scaled(">hhhh", 0.001, 0.001, 0.001, 0.001), Inputs)

    @classmethod
    def can_id(cls, station: int, command: int) -> int:
        """Return command and id of the VESC in 29 bits."""
        return command << 8 | station


@dataclass(frozen=True, kw_only=True)
class VescCanConfig(VescConfig):
    """Options of a VESC on CAN."""

    rate: float = option(50.0, unit="Hz", above=0, high=1000, doc="as its status messages are sent")
    node: int = option(low=0, high=254, doc="VESC ID")


class Vesc(Actuator[VescCanConfig, VescFrames]):
    """One motor: made safe it gets no current and coasts."""

    def __init__(self, config: VescCanConfig, link: Link) -> None:
        super().__init__(config, link)
        self.units = VescUnits(config)
        self._mode = ControlMode.VELOCITY

    @classmethod
    def calls(cls, config: VescCanConfig) -> float:
        """Look twice for each status message: two that come late are not one."""
        return 2 * config.rate

    def probe(self) -> bool:
        """Hear a status message."""
        return self.map.status.age < LOST

    def arm(self) -> None:
        """Let no current flow: a VESC always follows commands."""
        self.map.current.send(0.0)

    def check(self, command: MotorCommand) -> None:
        """Refuse what is over a limit, or cannot be done."""
        self.units.check(self, command)

    def write(self, command: MotorCommand) -> None:
        """Set velocity, duty, current or angle."""
        setting, value = self.units.setting(command)
        self._mode = ControlMode(command.mode)
        getattr(self.map, setting).send(value)

    def safe(self) -> None:
        """Let no current flow."""
        self.map.current.send(0.0)

    def read(self) -> MotorState | None:
        """Return the state, once for each status message."""
        self.map.status.require(LOST)
        status = self.map.status.new()
        if status is None:
            return None
        units = self.units
        supply = self.map.supply.latest() if self.map.supply.age < OLD else None
        heat = self.map.temperatures.latest() if self.map.temperatures.age < OLD else None
        current = status.current * units.sign
        return MotorState(
            position=supply.tachometer / units.steps if supply else math.nan,
            velocity=status.erpm / units.erpm,
            torque=current * units.torque if units.torque else math.nan,
            current=current,
            voltage=supply.voltage if supply else math.nan,
            temperature=hottest(heat.fet, heat.motor) if heat else math.nan,
            mode=self._mode if self.armed_ns else ControlMode.IDLE,
            armed=bool(self.armed_ns),
        )

    def at_rest(self) -> str:
        """Tell of a motor that has no current and does not turn."""
        status = self.map.status.latest()
        if status is None or abs(status.current) > IDLE_CURRENT:
            return ""
        return self.resting(status.erpm / self.units.erpm)


class VescSim(VescTwin, CanSim[VescCanConfig, VescFrames], twin_of=Vesc):
    """A VESC that sends all its status messages."""

    cyclic = {  # noqa: RUF012
        "status": 0.02,
        "charge": 0.1,
        "energy": 0.1,
        "temperatures": 0.1,
        "supply": 0.02,
        "inputs": 0.1,
    }

    def on_duty(self, duty: float) -> None:
        """Apply a share of the supply."""
        self.core.set("duty", duty, self.time)

    def on_current(self, current: float) -> None:
        """Drive a current."""
        self.core.set("current", current, self.time)

    def on_brake(self, current: float) -> None:
        """Brake with a current."""
        self.core.set("brake", current, self.time)

    def on_erpm(self, erpm: int) -> None:
        """Hold a speed."""
        self.core.set("erpm", erpm, self.time)

    def on_angle(self, degrees: float) -> None:
        """Go to an angle within the turn."""
        self.core.set("angle", degrees, self.time)

    def report_status(self) -> Status:
        """Return speed, current and duty."""
        noise = self.random.gauss(0.0, 0.5)
        return Status(self.core.erpm + noise, self.core.motor.amperes, self.core.duty)

    def report_charge(self) -> Counted:
        """Return no charge: it is not simulated."""
        return Counted(0.0, 0.0)

    report_energy = report_charge

    def report_temperatures(self) -> Temperatures:
        """Return heat, input current and angle."""
        motor = self.core.motor
        fet = (motor.temperature + self.ambient) / 2
        angle = math.degrees(motor.position) % 360
        return Temperatures(fet, motor.temperature, motor.supply_amperes, angle)

    def report_supply(self) -> Supply:
        """Return tachometer and voltage."""
        return Supply(self.core.tachometer, self.core.motor.volts)

    def report_inputs(self) -> Inputs:
        """Return open inputs."""
        return Inputs(0.0, 0.0, 0.0, 0.0)
