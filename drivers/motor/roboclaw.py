"""Basicmicro RoboClaw: one motor of a two-channel motor controller, in packet serial mode.

Source: RoboClaw user manual, "Packet Serial" and "Advanced Motor Control"; checked against
Basicmicro's own Python library. First, in Motion Studio: set packet serial mode, the address and
the baud rate of the bus (38,400 as delivered), and tune the velocity PID of each motor with its
encoder. Each motor of a board is a device of its own, with the same address::

    left:  {use: roboclaw, bus: uart, address: 0x80, motor: 1, counts_per_turn: 1440}
    right: {use: roboclaw, bus: uart, address: 0x80, motor: 2, counts_per_turn: 1440, reverse: true}
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from horus_drivers.motor._roboclaw import ACK, MOST_VERSION, VERSION_END, RoboclawPackets

from horus.hal import (
    Actuator,
    ActuatorConfig,
    CommandRefused,
    DeviceFault,
    FaultKind,
    Link,
    Steps,
    Stimulus,
    command,
    option,
)
from horus.hal.checksums import crc16_xmodem
from horus.hal.simmotor import MotorSimConfig, SimMotor
from horus.hal.simserial import SerialSim
from horus.msgs import ControlMode, MotorCommand, MotorState

TURN = 2 * math.pi  # rad
FULL = 32767  # duty
MODES = {ControlMode.VELOCITY: ("velocity",), ControlMode.DUTY: ("duty",)}
WATCHDOG = 0.1  # s per unit
REST = 0.05  # rad/s
LEAST_VOLTAGE, MOST_VOLTAGE = 4.0, 80.0  # V: none of the boards works outside
# Errors that stop a motor, by the size of the status that a firmware sends; the rest are warnings.
STOPPED = {
    2: {
        0x0004: "emergency stop",
        0x0008: "too hot",
        0x0010: "too hot (2)",
        0x0020: "main voltage too high",
        0x0040: "logic voltage too high",
        0x0080: "logic voltage too low",
        0x0100: "driver fault of motor 1",
        0x0200: "driver fault of motor 2",
    },
    4: {
        0x0001: "emergency stop",
        0x0002: "too hot",
        0x0004: "too hot (2)",
        0x0008: "main voltage too high",
        0x0010: "logic voltage too high",
        0x0020: "logic voltage too low",
        0x0040: "driver fault of motor 1",
        0x0080: "driver fault of motor 2",
    },
}
OTHER_MOTOR = {2: (0x0200, 0x0100), 4: (0x0080, 0x0040)}  # seen from motor 1, from motor 2


@dataclass(frozen=True, kw_only=True)
class RoboclawConfig(ActuatorConfig):
    """Options of one motor of a RoboClaw."""

    rate: float = option(50.0, unit="Hz", above=0, high=500, doc="commands and states a second")
    address: Literal[0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87] = option(0x80)
    motor: Literal[1, 2] = option(doc="which of the board's two")
    counts_per_turn: float = option(
        low=64, high=1e7, doc="of the encoder, per turn of the output; 4 a line"
    )
    reverse: bool = option(False, doc="the motor turns against the output")
    max_velocity: float = option(
        20.0, unit="rad/s", above=0, high=10_000, doc="of the output", live="lower"
    )
    max_acceleration: float = option(
        100.0, unit="rad/s²", above=0, high=1e6, doc="of the output: the board's own ramp"
    )
    watchdog: float = option(
        0.5, unit="s", low=0, high=25.5, doc="it stops by itself when unheard so long; 0 is off"
    )


class Roboclaw(Actuator[RoboclawConfig, RoboclawPackets]):
    """One motor with its encoder. Made safe its duty is 0: the board brakes it."""

    def __init__(self, config: RoboclawConfig, link: Link) -> None:
        super().__init__(config, link)
        self.which = config.motor - 1
        self.ratio = config.counts_per_turn / TURN * (-1 if config.reverse else 1)  # counts/rad
        self._mode = ControlMode.VELOCITY
        self._turn = 0
        self._amperes = self._volts = self._degrees = math.nan
        self._errors = 0

    def probe(self) -> bool:
        """Ask for the version, which names the board."""
        try:
            data = self.map.answer(RoboclawPackets.version, MOST_VERSION)
        except DeviceFault as fault:
            if fault.kind is FaultKind.TIMEOUT:
                return False
            raise
        text = data.removesuffix(VERSION_END).decode("ascii", "replace")
        if "roboclaw" not in text.lower() and not text.startswith("MCP"):
            raise self.stranger(f"calls itself {text!r} and not a RoboClaw")
        return True

    @property
    def watchdog(self) -> int:
        """The board's time-out in its own unit; 0 is none."""
        if not self.config.watchdog:
            return 0
        return min(max(math.ceil(self.config.watchdog / WATCHDOG - 1e-9), 1), 255)

    def configure(self) -> Steps:
        """Set the board's own time-out, and begin anew with what is measured in turn."""
        self.map.tell(RoboclawPackets.set_timeout, self.watchdog)
        yield 0.0
        for _ in CHECKS:
            self.examine()
            yield 0.0

    def arm(self) -> None:
        """Set a duty of 0, which it has when it was made safe: it brakes."""
        self.map.tell(RoboclawPackets.duties[self.which], 0)

    def check(self, command: MotorCommand) -> None:
        """Refuse all but velocities within the limit, and duty cycles."""
        self.only(command, MODES)
        most = self.config.max_velocity
        self.limit("velocity", command.velocity, -most, most, "rad/s", "max_velocity")
        self.limit("duty", command.duty, -1.0, 1.0)

    def write(self, command: MotorCommand) -> None:
        """Set velocity or duty; the board confirms it."""
        self._mode = ControlMode(command.mode)
        if command.mode == ControlMode.DUTY:
            duty = round(math.copysign(command.duty * FULL, command.duty * self.ratio))
            self.map.tell(RoboclawPackets.duties[self.which], duty)
            return
        acceleration = max(round(self.config.max_acceleration * abs(self.ratio)), 1)
        speed = round(command.velocity * self.ratio)
        self.map.tell(RoboclawPackets.run_smoothly[self.which], acceleration, speed)

    def safe(self) -> None:
        """Set a duty of 0."""
        self.map.tell(RoboclawPackets.duties[self.which], 0, confirmed=False)

    def read(self) -> MotorState:
        """Ask for position and speed, and for one of the rest in turn."""
        self.examine()
        counts, _ = self.map.ask(RoboclawPackets.encoders[self.which])
        stamp_ns = self.link.stamp_ns
        velocity = self.velocity()
        self.link.stamp_ns = stamp_ns
        position = counts - (1 << 32) if counts >> 31 else counts
        return MotorState(
            position=position / self.ratio,
            velocity=velocity,
            current=self._amperes,
            voltage=self._volts,
            temperature=self._degrees,
            mode=self._mode if self.armed_ns else ControlMode.IDLE,
            armed=bool(self.armed_ns),
            errors=self._errors,
        )

    def velocity(self) -> float:
        """Ask for the speed (rad/s); older firmware gives the direction beside it."""
        speed, backward = self.map.ask(RoboclawPackets.speeds[self.which])
        return (-speed if backward and speed > 0 else speed) / self.ratio + 0.0

    def examine(self) -> None:
        """Ask for what changes slowly, one thing at a time."""
        self._turn = (self._turn + 1) % len(CHECKS)
        CHECKS[self._turn](self)

    def examine_errors(self) -> None:
        """Look for errors that stop this motor."""
        data = self.map.answer(RoboclawPackets.status, 4, 6)
        bits = self._errors = int.from_bytes(data, "big")
        bits &= ~OTHER_MOTOR[len(data)][self.which]
        found = [text for bit, text in STOPPED[len(data)].items() if bits & bit]
        if found:
            text = f"the board reports: {', '.join(found)} (0x{self._errors:X})"
            raise self.fault(FaultKind.REJECTED, text, cure="remove the cause, then reset it")

    def examine_timeout(self) -> None:
        """See that the board still has the time-out that was set."""
        (found,) = self.map.ask(RoboclawPackets.timeout)
        if found != self.watchdog:
            text = f"its time-out is {found * WATCHDOG:.1f} s, not {self.watchdog * WATCHDOG:.1f} s"
            raise self.restarted(text)

    def examine_supply(self) -> None:
        """Measure the main voltage."""
        volts = self.map.ask(RoboclawPackets.main_voltage)[0] / 10
        if not LEAST_VOLTAGE <= volts <= MOST_VOLTAGE:
            raise self.fault(FaultKind.CORRUPT, f"a main voltage of {volts} V cannot be")
        self._volts = volts

    def examine_current(self) -> None:
        """Measure the motor's current."""
        amperes = self.map.ask(RoboclawPackets.currents)[self.which] / 100
        self._amperes = amperes * (-1 if self.config.reverse else 1)

    def examine_temperature(self) -> None:
        """Measure the board's temperature."""
        self._degrees = self.map.ask(RoboclawPackets.temperature)[0] / 10

    def at_rest(self) -> str:
        """Tell of a motor that does not turn."""
        return self.resting(self.velocity(), "braked")

    @command
    def set_position(self, position: float = 0.0) -> None:
        """Let the encoder's count be this angle (rad) from now on."""
        counts = round(position * self.ratio)
        if not -(1 << 31) <= counts < 1 << 31:
            raise CommandRefused(f"{position:g} rad are more counts than the encoder has")
        self.map.tell(RoboclawPackets.set_encoders[self.which], counts)


#: What is asked for in turn, one thing with each state.
CHECKS = (
    Roboclaw.examine_current,
    Roboclaw.examine_errors,
    Roboclaw.examine_supply,
    Roboclaw.examine_timeout,
    Roboclaw.examine_temperature,
)


@dataclass(frozen=True, kw_only=True)
class RoboclawSimConfig(MotorSimConfig):
    """Options of a simulated motor with an encoder at its output, and of the board's supply."""

    supply: float = option(12.0, unit="V", above=0, high=60)
    friction: float = option(0.02, unit="N·m", low=0, high=100, doc="independent of speed")
    torque_constant: float = option(0.2, unit="N·m/A", above=0, high=10, doc="gears included")
    resistance: float = option(0.5, unit="Ω", above=0, high=100, doc="of the winding")


class SimChannel:
    """One channel of a simulated board: what it follows, and its motor."""

    def __init__(self, options: MotorSimConfig) -> None:
        self.motor = SimMotor(options)
        self.offset = 0.0  # counts
        self.stop()

    def stop(self) -> None:
        """Brake."""
        self.duty = 0.0
        self.speed: float | None = None  # counts/s that are held, on the way to the goal
        self.goal, self.acceleration = 0.0, math.inf

    def run(self, goal: float, acceleration: float, now: float) -> None:
        """Hold a speed, from the present one on."""
        if self.speed is None:
            self.motor.reset()
            self.speed = now
        self.goal, self.acceleration = goal, acceleration


class RoboclawSim(SerialSim[RoboclawConfig, RoboclawPackets], twin_of=Roboclaw):
    """A board with firmware 4.2 and one of its motors; two twins of one address share a board."""

    options: RoboclawSimConfig
    load = Stimulus(0.0, unit="N·m", low=-100, high=100, doc="turns the output forward")
    ambient = Stimulus(25.0, unit="°C", low=-40, high=125)
    voltage = Stimulus(12.0, unit="V", low=0, high=80, doc="of the main supply")
    errors = Stimulus(0.0, low=0, high=0xFFFFFFFF, doc="status bits")
    name: ClassVar[bytes] = b"USB Roboclaw 2x15a v4.2.4\n\x00"

    def setup(self) -> None:
        """Begin at rest."""
        self.voltage = self.options.supply
        self.channels = [SimChannel(self.options), SimChannel(self.options)]
        #: The twins of this board by motor; the first one speaks for the board.
        self.board: dict[int, RoboclawSim] = {self.config.motor: self}

    def power_on(self) -> None:
        """Come up stopped, with no time-out."""
        self.timeout = 0
        self.heard = self.time
        for channel in self.channels:
            channel.stop()

    def meet(self, other: SerialSim[Any, Any]) -> None:
        """Share the board of an earlier twin with the same address."""
        if isinstance(other, RoboclawSim) and other.config.address == self.config.address:
            self.board = other.board
            self.board[self.config.motor] = self
            self.channels = other.channels
            self.channels[self.config.motor - 1] = SimChannel(self.options)

    @property
    def leader(self) -> RoboclawSim:
        """The twin that speaks for the whole board."""
        return next(iter(self.board.values()))

    def answer(self, frame: bytes) -> bytes:
        """Act on a request, if it is for this board and this twin speaks for what it is about."""
        if frame[0] != self.config.address:
            return b""
        self.heard = self.time
        number = frame[1]
        motor = RoboclawPackets.motors[number]
        if self.board.get(motor, self.leader) is not self:
            if number == RoboclawPackets.set_timeout.number:
                self.timeout = frame[2]
            return b""
        if number in RoboclawPackets.asked:
            data = self.say(number)
            return data + crc16_xmodem(frame + data).to_bytes(2, "big")
        self.obey(number, RoboclawPackets.told[number].struct.unpack(frame[2:-2]))
        return bytes((ACK,))

    def say(self, number: int) -> bytes:
        """Return the data of an answer."""
        if number == RoboclawPackets.version.number:
            return self.name
        motors = [channel.motor for channel in self.channels]
        volts, degrees = round(self.voltage * 10), round(max(m.temperature for m in motors) * 10)
        amperes = [min(max(round(m.amperes * 100), -32768), 32767) for m in motors]
        channel = self.channels[RoboclawPackets.motors[number] - 1]
        noise = self.random.gauss(0.0, 0.3) if channel.motor.velocity else 0.0
        speed = round(self.speed_of(channel) + noise)
        known: dict[int, tuple[int, ...]] = {
            15: (self.timeout,),
            24: (volts,),
            25: (50,),
            49: tuple(amperes),
            78: tuple(map(self.counts, self.channels)),
            82: (min(max(degrees, 0), 0xFFFF),),
            90: (int(self.errors),),
        }
        known[16] = known[17] = (self.counts(channel) & 0xFFFFFFFF, 0)
        known[18] = known[19] = (speed, int(speed < 0))
        return RoboclawPackets.asked[number].struct.pack(*known[number])

    def obey(self, number: int, values: tuple[Any, ...]) -> None:
        """Act on what the board is told."""
        channel = self.channels[RoboclawPackets.motors[number] - 1]
        if number == 14:
            self.timeout = values[0]
        elif number in (20, 22, 23):
            wanted = values[0] if values else 0
            for one in self.channels if number == 20 else [channel]:
                one.offset += wanted - self.counts(one)
        elif number in (32, 33, 34):
            targets = self.channels if number == 34 else [channel]
            for one, duty in zip(targets, values, strict=True):
                one.stop()
                one.duty = duty / FULL
        elif number == 37:
            for one, speed in zip(self.channels, values, strict=True):
                one.run(speed, math.inf, self.speed_of(one))
        else:
            *acceleration, speed = values
            most = acceleration[0] if acceleration else math.inf
            channel.run(speed, most, self.speed_of(channel))

    def counts(self, channel: SimChannel) -> int:
        """Return the encoder's count."""
        turns = channel.motor.position / TURN
        return math.floor(turns * self.config.counts_per_turn + channel.offset)

    def speed_of(self, channel: SimChannel) -> float:
        """Return the encoder's speed (counts/s)."""
        return channel.motor.velocity / TURN * self.config.counts_per_turn

    def update(self) -> None:
        """Move the motors of this twin on; the board's first one moves those without a twin."""
        if 0 < self.timeout * WATCHDOG < self.time - self.heard:
            for channel in self.channels:
                channel.stop()
        for motor, channel in enumerate(self.channels, 1):
            if self.board.get(motor, self.leader) is self:
                self.move(channel)

    def move(self, channel: SimChannel) -> None:
        """Move one motor on."""
        channel.motor.volts = self.voltage

        def regulate(step: float) -> float:
            if channel.speed is None:
                return channel.motor.hold_duty(channel.duty)
            most = channel.acceleration * step
            channel.speed += min(max(channel.goal - channel.speed, -most), most)
            return channel.motor.hold_velocity(
                channel.speed / self.config.counts_per_turn * TURN, step
            )

        channel.motor.move(self.dt, regulate, load=self.load, ambient=self.ambient)

    def truth(self) -> dict[str, object]:
        """Return what the output really does."""
        channel = self.channels[self.config.motor - 1]
        sign = -1 if self.config.reverse else 1
        braked = channel.speed is None and channel.duty == 0.0
        return {
            "position": sign * channel.motor.position,
            "velocity": sign * channel.motor.velocity,
            "current": channel.motor.amperes,
            "temperature": channel.motor.temperature,
            "at_rest": braked and abs(channel.motor.velocity) < REST,
        }
