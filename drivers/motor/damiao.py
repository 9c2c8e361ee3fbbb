"""Damiao joint motor (DM4310 and its family) on CAN, in MIT or velocity mode.

Sources: Damiao "DM-J4310-2EC V1.1 manual"; the packages damiao-motor and pydamiao, whose frames are
the same byte for byte. The ranges of position, velocity and torque are read from the motor: tables
of them in different packages differ. Set the motor's id and master id with Damiao's tool first.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from horus_drivers.motor._mit import (
    ARMED_WITHIN,
    CONTROL,
    DISABLE,
    ENABLE,
    LOST,
    ZERO,
    MitConfig,
    MitCore,
    MitRanges,
    MitSimConfig,
    Setpoint,
    check,
    resting,
    setpoint,
    state,
)

from horus.hal import (
    Actuator,
    CanMap,
    CanSim,
    Command,
    FaultKind,
    Link,
    Report,
    Steps,
    Stimulus,
    option,
)
from horus.hal.layouts import BitFields, Constant
from horus.msgs import ControlMode, MotorCommand, MotorState

READ, WRITE, REFRESH = 0x33, 0x55, 0xCC  # what to do with a register
TIMEOUT, MODE, POSITION_RANGE, VELOCITY_RANGE, TORQUE_RANGE = 9, 10, 21, 22, 23  # registers
WHOLE = frozenset({7, 8, TIMEOUT, MODE, 35})  # registers that hold whole numbers
TIMEOUT_UNIT = 50e-6  # s
MODES = {"mit": 1, "velocity": 3}
ENABLED, FAULTS = 1, 8  # states in the answer: from 8 on they are errors
STATES = {
    8: "OVER_VOLTAGE",
    9: "UNDER_VOLTAGE",
    10: "OVER_CURRENT",
    11: "MOS_OVER_TEMPERATURE",
    12: "ROTOR_OVER_TEMPERATURE",
    13: "COMMUNICATION_LOST",
    14: "OVERLOAD",
}
ATTEMPTS, ANSWER_WITHIN = 5, 0.03  # s
REFERENCE = MitRanges(12.5, 30.0, 10.0)  # of a 4310, until the motor has told its own


class Feedback(NamedTuple):
    """The answer to every command: state, counts, °C."""

    state: int
    node: int
    position: int
    velocity: int
    torque: int
    transistors: int
    rotor: int


class Register(NamedTuple):
    """The answer to a question for a register."""

    node: int
    action: int
    number: int
    data: bytes


class DamiaoFrames(CanMap):
    """Frames; all motors answer to the same id, their master's."""

    enable = Command(0x000, ENABLE)
    disable = Command(0x000, DISABLE)
    zero = Command(0x000, ZERO)
    clear = Command(0x000, Constant("FFFFFFFFFFFFFFFB"))
    control = Command(0x000, CONTROL)
    velocity = Command(0x200, "<f4x")  # rad/s
    register = Command(0x7FF, "<HBB4s")
    answer = Report(
        0x7FF,
        "<HBB4s",
        Register,
        when=lambda data, node: data[:2] == bytes((node, 0)) and data[2:3] in (b"\x33", b"\x55"),
    )
    feedback = Report(
        0x7FF,
        BitFields("u4 u4 u16 u12 u12 u8 u8"),
        Feedback,
        when=lambda data, node: len(data) == 8 and data[0] & 0x0F == node & 0x0F,
    )

    @classmethod
    def can_id(cls, station: int, command: int) -> int:
        """Return the id of a command: registers share one."""
        return command if command == 0x7FF else command + station

    @classmethod
    def frame_id(cls, declared: Any, station: int, config: Any) -> int:
        """Return the id of a frame; the answers go to the master's."""
        master = isinstance(declared, Report)
        return int(config.master) if master else cls.can_id(station, declared.command)


@dataclass(frozen=True, kw_only=True)
class DamiaoConfig(MitConfig):
    """Options of one motor."""

    node: int = option(low=1, high=15, doc="CAN id of the motor (ESC_ID)")
    mode: Literal["mit", "velocity"] = option("mit", doc="velocity uses the motor's own loop")


class Damiao(Actuator[DamiaoConfig, DamiaoFrames]):
    """One motor; made safe it is disabled and coasts."""

    def __init__(self, config: DamiaoConfig, link: Link) -> None:
        super().__init__(config, link)
        self.ranges = REFERENCE
        self._control: tuple[float, ...] = ()
        self._mode = ControlMode.VELOCITY
        self._period = min(0.9 / config.rate, 0.1)

    def probe(self) -> bool:
        """Ask for an answer."""
        self._refresh(0.1)
        return self.map.feedback.age < LOST

    def configure(self) -> Steps:
        """Forget errors, learn the ranges, choose the mode, and arm the motor's own time-out."""
        self.map.clear.send()
        ranges = []
        for number in (POSITION_RANGE, VELOCITY_RANGE, TORQUE_RANGE):
            data = yield from self._ask(READ, number, bytes(4))
            ranges.append(struct.unpack("<f", data)[0])
        self.ranges = MitRanges(*ranges)
        if not all(0.0 < value < 1000.0 for value in ranges):
            given = ", ".join(f"{value:g}" for value in ranges)
            raise self.stranger(f"has ranges of {given}, which no Damiao motor has")
        timeout = round(2 * self.config.command_timeout / TIMEOUT_UNIT)
        for number, value in ((TIMEOUT, timeout), (MODE, MODES[self.config.mode])):
            yield from self._ask(WRITE, number, struct.pack("<I", value))
        self.map.feedback.forget()
        self._refresh(0.0)
        yield from self.until(lambda: self.map.feedback.age < LOST, LOST, "configuring")

    def arm(self) -> None:
        """Enable the motor, without torque."""
        self.map.enable.send()
        velocity = self.config.mode == "velocity"
        self._send((0.0,) if velocity else self.ranges.counts(Setpoint()))

    def check(self, command: MotorCommand) -> None:
        """Refuse what is over a limit, or cannot be done."""
        if self.config.mode == "velocity":
            self.only(command, {ControlMode.VELOCITY: ("velocity",)}, "mode")
        check(self, command, self.ranges)

    def write(self, command: MotorCommand) -> None:
        """Set velocity, or the spring, the damper and the torque."""
        self._mode = ControlMode(command.mode)
        wanted = setpoint(self.config, command)
        velocity = self.config.mode == "velocity"
        self._send((wanted.velocity,) if velocity else self.ranges.counts(wanted))

    def safe(self) -> None:
        """Disable the motor."""
        self.map.disable.send()

    def read(self) -> MotorState | None:
        """Return the state; the motor tells it when it is spoken to, so speak to it."""
        if not self.armed_ns:
            self._refresh(self._period)
        elif self._control:  # nothing new was commanded: say it again
            (self.map.velocity if len(self._control) == 1 else self.map.control).repeat(
                self._period, *self._control
            )
        self.map.feedback.require(LOST)
        found = self.map.feedback.new()
        if found is None:
            return None
        if found.state >= FAULTS:
            text = f"error {found.state} {STATES.get(found.state, '')}".rstrip()
            raise self.fault(FaultKind.REJECTED, text, cure="it is cleared when set up again")
        if found.state != ENABLED and self.armed_for > ARMED_WITHIN:
            raise self.restarted(f"it is in state {found.state}, not enabled")
        measured = self.ranges.measured(found.position, found.velocity, found.torque)
        armed = self.armed_ns and found.state == ENABLED
        mode = self._mode if armed else ControlMode.IDLE
        return state(self.config, measured, max(found.transistors, found.rotor), mode)

    def at_rest(self) -> str:
        """Tell of a motor that is disabled and does not turn."""
        self._refresh(0.01)
        found = self.map.feedback.latest()
        if found is None or found.state == ENABLED:
            return ""
        return resting(self, self.ranges, (found.position, found.velocity, found.torque))

    def _refresh(self, every: float) -> None:
        self.map.register.repeat(every, self.config.node, REFRESH, 0, bytes(4))

    def _send(self, control: tuple[float, ...]) -> None:
        self._control = control
        (self.map.velocity if len(control) == 1 else self.map.control).send(*control)

    def _ask(self, action: int, number: int, data: bytes) -> Any:
        """Read or write a register; a generator that waits for the answer and returns its data."""
        for _ in range(ATTEMPTS):
            self.map.answer.forget()
            self.map.register.send(self.config.node, action, number, data)
            for _ in range(round(ANSWER_WITHIN / 0.001)):
                yield 0.001
                found = self.map.answer.latest()
                if found is not None and (found.action, found.number) == (action, number):
                    return found.data
        raise self.fault(FaultKind.TIMEOUT, f"register {number} is not answered")


@dataclass(frozen=True, kw_only=True)
class DamiaoSimConfig(MitSimConfig):
    """Options of a simulated DM4310."""

    position_range: float = option(12.5, unit="rad", above=0, high=1000)
    velocity_range: float = option(30.0, unit="rad/s", above=0, high=1000)
    torque_range: float = option(10.0, unit="N·m", above=0, high=1000)


class DamiaoSim(CanSim[DamiaoConfig, DamiaoFrames], twin_of=Damiao):
    """A motor with its registers; it answers whoever speaks to it, and never by itself."""

    options: DamiaoSimConfig
    load = Stimulus(0.0, unit="N·m", low=-100, high=100, doc="torque on the output, forward")
    ambient = Stimulus(25.0, unit="°C", low=-40, high=125)

    def setup(self) -> None:
        """Begin at rest."""
        self.core = MitCore(self.options)

    def power_on(self) -> None:
        """Come up disabled, with what was saved: no time-out, MIT mode."""
        options = self.options
        self.core.power_on(self.time)
        self.error = 0
        self.registers: dict[int, float] = {
            7: self.config.master,
            8: self.config.node,
            TIMEOUT: 0,
            MODE: 1,
            POSITION_RANGE: options.position_range,
            VELOCITY_RANGE: options.velocity_range,
            TORQUE_RANGE: options.torque_range,
        }

    @property
    def ranges(self) -> MitRanges:
        """The ranges in force."""
        numbers = (POSITION_RANGE, VELOCITY_RANGE, TORQUE_RANGE)
        return MitRanges(*(self.registers[number] for number in numbers))

    def update(self) -> None:
        """Move on; enabled and not spoken to for too long, the motor gives up."""
        timeout = self.registers[TIMEOUT] * TIMEOUT_UNIT
        if self.core.enabled and 0 < timeout < self.time - self.core.fed:
            self.core.disable()
            self.error = 13
        self.core.move(self.dt, self.load, self.ambient)

    def on_enable(self) -> None:
        """Enable, unless there is an error."""
        if not self.error:
            self.core.enable(self.time)
        self.tell()

    def on_disable(self) -> None:
        """Disable."""
        self.core.disable()
        self.tell()

    def on_zero(self) -> None:
        """Make this position zero."""
        self.core.motor.position = 0.0
        self.tell()

    def on_clear(self) -> None:
        """Forget errors."""
        self.error = 0
        self.tell()

    def on_control(self, *counts: int) -> None:
        """Follow, in MIT mode."""
        if self.registers[MODE] == MODES["mit"]:
            self.core.follow(self.ranges.setpoint(*counts), self.time)
            self.tell()

    def on_velocity(self, speed: float) -> None:
        """Follow, in velocity mode."""
        if self.registers[MODE] == MODES["velocity"]:
            most = self.ranges.velocity
            self.core.hold(min(max(speed, -most), most), self.time)
            self.tell()

    def on_register(self, node: int, action: int, number: int, data: bytes) -> None:
        """Answer a question that is for this motor."""
        if node != self.station:
            return
        if action == REFRESH:
            self.tell()
        elif action in (READ, WRITE) and number in self.registers:
            code = "<I" if number in WHOLE else "<f"
            if action == WRITE:
                self.registers[number] = struct.unpack(code, data)[0]
            value = self.registers[number]
            packed = struct.pack(code, int(value) if number in WHOLE else value)
            self.emit("answer", node, action, number, packed)

    def tell(self) -> None:
        """Answer with the state."""
        state = self.error or (ENABLED if self.core.enabled else 0)
        heat = round(self.core.motor.temperature)
        counts = self.core.measured(self.ranges)
        self.emit("feedback", state, self.station & 0x0F, *counts, heat, heat)

    def truth(self) -> dict[str, object]:
        """Return what the output really does."""
        return {"error": self.error, **self.core.truth(self.config.reverse)}
