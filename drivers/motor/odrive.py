"""ODrive motor controller on CAN (CANSimple), firmware 0.5.x and 0.6.x, driven by velocity.

Sources: ODrive "CAN Protocol" (docs.odriverobotics.com, v0.6), tools/odrive-cansimple.dbc and
Firmware/communication/can/can_simple.cpp of the ODrive repository. Calibrate the axis, set its node
id, bit rate and ``enable_watchdog`` with odrivetool first: CANSimple cannot arm the watchdog.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from horus.hal import (
    Actuator,
    ActuatorConfig,
    CanMap,
    CanSim,
    Command,
    FaultKind,
    Report,
    Steps,
    Stimulus,
    option,
)
from horus.hal.simmotor import MotorSimConfig, SimMotor
from horus.msgs import ControlMode, MotorCommand, MotorState

IDLE, CLOSED_LOOP = 1, 8  # axis states
VELOCITY_CONTROL = 2  # control mode
PASSTHROUGH = 1  # input mode
ESTIMATES = 100.0  # Hz, encoder estimates sent unless configured otherwise
HEARTBEAT_LOST = 0.5  # s: the heartbeat comes every 0.1 s
ARMED_WITHIN = 0.5  # s from the command to closed loop
TURN = 2 * math.pi  # rad
ERRORS = {  # firmware 0.6, ODrive.Error
    0x00000100: "DC_BUS_OVER_VOLTAGE",
    0x00000200: "DC_BUS_UNDER_VOLTAGE",
    0x00002000: "MOTOR_OVER_TEMP",
    0x00004000: "INVERTER_OVER_TEMP",
    0x01000000: "WATCHDOG_TIMER_EXPIRED",
    0x02000000: "ESTOP_REQUESTED",
    0x04000000: "SPINOUT_DETECTED",
}


class Heartbeat(NamedTuple):
    """Sent every 0.1 s."""

    error: int
    state: int
    result: int
    flags: int


class Pair(NamedTuple):
    """Two numbers of one frame."""

    first: float
    second: float


class OdriveFrames(CanMap):
    """The frames used here, by command number; all little-endian."""

    heartbeat = Report(0x01, "<IBBBx", Heartbeat)
    estop = Command(0x02)
    set_axis_state = Command(0x07, "<I")
    estimates = Report(0x09, "<ff", Pair)  # position in rev, velocity in rev/s
    set_controller_mode = Command(0x0B, "<II")  # control mode, input mode
    set_input_velocity = Command(0x0D, "<ff")  # rev/s, torque feed-forward in N·m
    set_limits = Command(0x0F, "<ff")  # rev/s, A
    current = Report(0x14, "<ff", Pair)  # set and measured, A
    temperature = Report(0x15, "<ff", Pair)  # FET and motor, °C
    power = Report(0x17, "<ff", Pair)  # bus voltage in V, bus current in A
    clear_errors = Command(0x18)

    @classmethod
    def can_id(cls, station: int, command: int) -> int:
        """Return node id and command number in 11 bits."""
        return station << 5 | command


@dataclass(frozen=True, kw_only=True)
class OdriveConfig(ActuatorConfig):
    """Options of one axis of an ODrive."""

    node: int = option(low=0, high=62, doc="CAN node id of the axis")
    max_velocity: float = option(
        20.0, unit="rad/s", above=0, high=10_000, doc="of the output", live="lower"
    )
    max_current: float = option(10.0, unit="A", above=0, high=200, doc="in the motor")
    max_torque: float = option(
        0.0,
        unit="N·m",
        low=0,
        high=10_000,
        doc="fed forward at the output; 0 is none at all",
        live="lower",
    )
    gear_ratio: float = option(1.0, above=0, high=10_000, doc="motor turns per turn of the output")
    reverse: bool = option(False, doc="the motor turns against the output")


class Odrive(Actuator[OdriveConfig, OdriveFrames]):
    """One axis: rad/s in, state of the output shaft out. Made safe it is idle: the motor coasts."""

    @classmethod
    def calls(cls, config: OdriveConfig) -> float:
        """Look twice for each estimate where all are wanted: two that come late are not one."""
        return 2 * ESTIMATES if config.rate >= ESTIMATES else 0.0

    def probe(self) -> bool:
        """Hear a heartbeat."""
        return self.map.heartbeat.age < HEARTBEAT_LOST

    def configure(self) -> Steps:
        """Stop, forget old errors, and see the heartbeat say so."""
        self.safe()
        self.map.clear_errors.send()
        yield 0.25  # two heartbeats

    @property
    def ratio(self) -> float:
        """Motor revolutions per radian of the output."""
        return self.config.gear_ratio / TURN * self.sign

    @property
    def sign(self) -> float:
        """Direction of the motor, seen from the output."""
        return -1.0 if self.config.reverse else 1.0

    def arm(self) -> None:
        """Enter closed-loop velocity control at a standstill."""
        limit = self.config.max_velocity * abs(self.ratio)
        self.map.set_controller_mode.send(VELOCITY_CONTROL, PASSTHROUGH)
        self.map.set_limits.send(limit, self.config.max_current)
        self.map.set_input_velocity.send(0.0, 0.0)
        self.map.set_axis_state.send(CLOSED_LOOP)

    def check(self, command: MotorCommand) -> None:
        """Refuse all but velocities, and torques with them, within the limits."""
        self.only(command, {ControlMode.VELOCITY: ("velocity", "torque")})
        fastest, strongest = self.config.max_velocity, self.config.max_torque
        self.limit("velocity", command.velocity, -fastest, fastest, "rad/s", "max_velocity")
        self.limit("torque", command.torque, -strongest, strongest, "N·m", "max_torque")

    def write(self, command: MotorCommand) -> None:
        """Set the velocity, and the torque that is added."""
        torque = command.torque / self.config.gear_ratio * self.sign
        self.map.set_input_velocity.send(command.velocity * self.ratio, torque + 0.0)

    def safe(self) -> None:
        """Ask for zero velocity, then switch the motor off."""
        self.map.set_input_velocity.send(0.0, 0.0)
        self.map.set_axis_state.send(IDLE)

    def read(self) -> MotorState | None:
        """Return the state, once for each encoder estimate (100 a second unless configured)."""
        beat = self.map.heartbeat.require(HEARTBEAT_LOST)
        if beat.error:
            names = [name for bit, name in ERRORS.items() if beat.error & bit]
            text = f"axis error 0x{beat.error:08X} {' '.join(names)}".rstrip()
            raise self.fault(FaultKind.REJECTED, text, cure="`dump_errors(odrv0)` in odrivetool")
        armed = beat.state == CLOSED_LOOP
        if not armed and self.armed_for > ARMED_WITHIN:
            text = f"the axis is in state {beat.state}, not in closed loop"
            raise self.restarted(text, hint="is it calibrated?")
        self.map.estimates.poll(every=0.05)
        power, temperature = self.map.power.poll(every=0.5), self.map.temperature.poll(every=0.5)
        current = self.map.current.poll(every=0.1)
        estimates = self.map.estimates.new()
        if estimates is None:
            return None
        return MotorState(
            position=estimates.first / self.ratio,
            velocity=estimates.second / self.ratio,
            current=self.sign * current.second if current else math.nan,
            voltage=power.first if power else math.nan,
            temperature=temperature.first if temperature else math.nan,
            mode=ControlMode.VELOCITY if armed else ControlMode.IDLE,
            armed=armed,
        )

    def at_rest(self) -> str:
        """Tell of a motor that is idle and does not turn."""
        beat, estimates = self.map.heartbeat.latest(), self.map.estimates.latest()
        if beat is None or estimates is None or beat.state != IDLE:
            return ""
        return self.resting(estimates.second / self.ratio)


@dataclass(frozen=True, kw_only=True)
class OdriveSimConfig(MotorSimConfig):
    """Options of the simulated ODrive and its motor."""

    watchdog: float = option(0.0, unit="s", low=0, high=60, doc="0 is off, as delivered")
    estimates: float = option(
        0.01, unit="s", above=0, high=10, doc="from one estimate of the encoder to the next"
    )


class OdriveSim(CanSim[OdriveConfig, OdriveFrames], twin_of=Odrive):
    """An axis with its motor: velocity loop, current limit, inertia, friction, heat."""

    options: OdriveSimConfig
    cyclic = {"heartbeat": 0.1}  # noqa: RUF012
    load = Stimulus(0.0, unit="N·m", low=-100, high=100, doc="torque on the motor shaft, forward")
    ambient = Stimulus(25.0, unit="°C", low=-40, high=125)

    def setup(self) -> None:
        """Begin at rest, at room temperature."""
        self.motor = SimMotor(self.options)
        self.periods["estimates"] = self.options.estimates

    def power_on(self) -> None:
        """Come up idle, with the limits of a controller that was never configured."""
        self.state, self.error = IDLE, 0
        self.velocity_mode = False
        self.input = self.torque = 0.0  # rad/s and N·m, of the motor shaft
        self.velocity_limit, self.motor.limit = 2.0 * TURN, 10.0
        self.fed = self.time

    def on_set_axis_state(self, state: int) -> None:
        """Change state; closed loop is refused while there is an error."""
        if state == CLOSED_LOOP and not self.error and self.state != CLOSED_LOOP:
            self.state, self.fed = CLOSED_LOOP, self.time
            self.motor.reset()
        elif state == IDLE:
            self.state = IDLE

    def on_set_controller_mode(self, control: int, input: int) -> None:
        """Follow velocities only when told to."""
        self.velocity_mode = control == VELOCITY_CONTROL and input == PASSTHROUGH

    def on_set_input_velocity(self, velocity: float, torque: float) -> None:
        """Take the new velocity and torque; NaN would make a real controller trip."""
        if math.isfinite(velocity) and math.isfinite(torque):
            self.input, self.torque, self.fed = velocity * TURN, torque, self.time
        else:
            self.trip(0x00000010)

    def on_set_limits(self, velocity: float, current: float) -> None:
        """Take new limits."""
        self.velocity_limit, self.motor.limit = velocity * TURN, current

    def on_clear_errors(self) -> None:
        """Forget errors; the axis stays idle."""
        self.error = 0

    def on_estop(self) -> None:
        """Stop with an error."""
        self.trip(0x02000000)

    def trip(self, error: int) -> None:
        """Go idle with an error."""
        self.state, self.error = IDLE, self.error | error

    def report_heartbeat(self) -> Heartbeat:
        """Return errors and state."""
        return Heartbeat(self.error, self.state, 0, 0)

    def report_estimates(self) -> Pair:
        """Return position and velocity of the motor."""
        return Pair(self.motor.position / TURN, self.motor.velocity / TURN)

    def report_current(self) -> Pair:
        """Return motor current; the loop is ideal."""
        return Pair(self.motor.amperes, self.motor.amperes)

    def report_temperature(self) -> Pair:
        """Return the temperatures of transistors and motor."""
        return Pair(self.motor.temperature, self.motor.temperature)

    def report_power(self) -> Pair:
        """Return what the supply gives."""
        return Pair(self.motor.volts, self.motor.supply_amperes)

    def update(self) -> None:
        """Move the motor on."""
        watchdog = self.options.watchdog
        if self.state == CLOSED_LOOP and 0 < watchdog < self.time - self.fed:
            self.trip(0x01000000)
        regulate = self.regulate if self.state == CLOSED_LOOP else None
        self.motor.move(self.dt, regulate, load=self.load, ambient=self.ambient)

    def regulate(self, step: float) -> float:
        """Return the current (A) of the velocity loop, with that of the torque added."""
        target, torque = (self.input, self.torque) if self.velocity_mode else (0.0, 0.0)
        limited = min(max(target, -self.velocity_limit), self.velocity_limit)
        fed_forward = torque / self.options.torque_constant
        return self.motor.possible(self.motor.hold_velocity(limited, step) + fed_forward)

    def truth(self) -> dict[str, object]:
        """Return what the motor really does; velocity and position of the output shaft."""
        ratio = self.config.gear_ratio * (-1 if self.config.reverse else 1)
        return {
            "state": self.state,
            "error": self.error,
            "velocity": self.motor.velocity / ratio,
            "position": self.motor.position / ratio,
            "current": self.motor.amperes,
            "temperature": self.motor.temperature,
            "at_rest": self.state == IDLE and abs(self.motor.velocity) < 0.05,
        }
