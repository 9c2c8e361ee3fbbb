"""CubeMars / T-Motor AK-series joint motor on CAN, in MIT mode.

Sources: CubeMars "AK Series Module Driver User Manual"; the packages TMotorCANControl and
tmotor-can-mit-mode, whose frames differ by one count. The ranges of velocity and torque depend on
the model and on its firmware: compare them with the motor's own and give them as options where
they differ. The motor has no time-out that can be armed over CAN: it follows the last frame it got
until it is told to stop, and nothing but telling it to stop makes it answer when it is idle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from horus_drivers.motor._mit import (
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
    CanFrame,
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
from horus.hal.layouts import BitFields
from horus.msgs import ControlMode, MotorCommand, MotorState

RANGES = {  # rad, rad/s, N·m
    "AK10-9": MitRanges(12.5, 50.0, 65.0),
    "AK60-6": MitRanges(12.5, 45.0, 15.0),
    "AK70-10": MitRanges(12.5, 50.0, 25.0),
    "AK80-6": MitRanges(12.5, 76.0, 12.0),
    "AK80-9": MitRanges(12.5, 50.0, 18.0),
    "AK80-64": MitRanges(12.5, 8.0, 144.0),
}
ERRORS = {
    1: "OVER_TEMPERATURE",
    2: "OVER_CURRENT",
    3: "OVER_VOLTAGE",
    4: "UNDER_VOLTAGE",
    5: "ENCODER",
    6: "PHASE_CURRENT_UNBALANCE",
}


class Reply(NamedTuple):
    """The answer to every frame: counts."""

    node: int
    position: int
    velocity: int
    torque: int


class Health(NamedTuple):
    """What newer firmware adds to the answer."""

    temperature: int
    error: int


class CubeMarsFrames(CanMap):
    """Frames; all motors answer to the same id, and begin with their own."""

    enable = Command(0, ENABLE)
    disable = Command(0, DISABLE)
    zero = Command(0, ZERO)
    control = Command(0, CONTROL)
    reply = Report(
        0, BitFields("u8 u16 u12 u12"), Reply, when=lambda data, node: data[:1] == bytes([node])
    )
    health = Report(0, ">6xbB", Health, when=lambda data, node: len(data) >= 8 and data[0] == node)

    @classmethod
    def can_id(cls, station: int, command: int) -> int:
        """Return the motor's id."""
        return station

    @classmethod
    def frame_id(cls, declared: Any, station: int, config: Any) -> int:
        """Return the id of a frame; the answers go to the master's."""
        return int(config.master) if isinstance(declared, Report) else station


@dataclass(frozen=True, kw_only=True)
class CubeMarsConfig(MitConfig):
    """Options of one motor."""

    model: Literal["AK10-9", "AK60-6", "AK70-10", "AK80-6", "AK80-9", "AK80-64"] = option("AK80-9")
    velocity_range: float = option(
        0.0, unit="rad/s", low=0, high=1000, doc="of the motor's firmware; 0 is that of the model"
    )
    torque_range: float = option(
        0.0, unit="N·m", low=0, high=1000, doc="of the motor's firmware; 0 is that of the model"
    )

    @property
    def ranges(self) -> MitRanges:
        """The ranges of the frames."""
        model = RANGES[self.model]
        velocity, torque = self.velocity_range, self.torque_range
        return MitRanges(model.position, velocity or model.velocity, torque or model.torque)


class CubeMars(Actuator[CubeMarsConfig, CubeMarsFrames]):
    """One motor; made safe it has left motor mode and coasts."""

    exempt = {  # noqa: RUF012
        "C1.wrong": "an answer has the motor's id and no model: another make's may look the same"
    }

    def __init__(self, config: CubeMarsConfig, link: Link) -> None:
        super().__init__(config, link)
        self.ranges = config.ranges
        self._control = self.ranges.counts(Setpoint())
        self._mode = ControlMode.VELOCITY
        self._period = min(0.9 / config.rate, 0.1)

    def probe(self) -> bool:
        """Tell it to leave motor mode, which it is not in, and hear it answer."""
        self.map.disable.repeat(0.1)
        return self.map.reply.age < LOST

    def configure(self) -> Steps:
        """Leave motor mode and hear it say so: an answer to the question before may come late."""
        self.map.reply.forget()
        self.safe()
        yield from self.until(lambda: self.map.reply.age < LOST, LOST, "leaving motor mode")

    def arm(self) -> None:
        """Enter motor mode, without torque."""
        self.map.enable.send()
        self._send(Setpoint())

    def check(self, command: MotorCommand) -> None:
        """Refuse what is over a limit, or cannot be done."""
        check(self, command, self.ranges)

    def write(self, command: MotorCommand) -> None:
        """Set the spring, the damper and the torque."""
        self._mode = ControlMode(command.mode)
        self._send(setpoint(self.config, command))

    def safe(self) -> None:
        """Leave motor mode."""
        self.map.disable.send()

    def read(self) -> MotorState | None:
        """Return the state; the motor tells it when it is spoken to, so speak to it."""
        if self.armed_ns:
            self.map.control.repeat(self._period, *self._control)
        else:
            self.map.disable.repeat(self._period)
        self.map.reply.require(LOST)
        reply = self.map.reply.new()
        if reply is None:
            return None
        health = self.map.health.latest() if self.map.health.age < LOST else None
        if health is not None and health.error:
            text = f"error {health.error} {ERRORS.get(health.error, '')}".rstrip()
            raise self.fault(FaultKind.REJECTED, text, cure="mend its cause, then cut its power")
        measured = self.ranges.measured(reply.position, reply.velocity, reply.torque)
        temperature = health.temperature if health else math.nan
        mode = self._mode if self.armed_ns else ControlMode.IDLE
        return state(self.config, measured, temperature, mode)

    def at_rest(self) -> str:
        """Tell of a motor that does not turn after it was told to leave motor mode."""
        self.map.disable.repeat(0.01)
        reply = self.map.reply.latest()
        if reply is None:
            return ""
        return resting(self, self.ranges, (reply.position, reply.velocity, reply.torque))

    def _send(self, wanted: Setpoint) -> None:
        self._control = self.ranges.counts(wanted)
        self.map.control.send(*self._control)


@dataclass(frozen=True, kw_only=True)
class CubeMarsSimConfig(MitSimConfig):
    """Options of a simulated motor."""

    old: bool = option(False, doc="old firmware: no temperature and no error in the answer")


class CubeMarsSim(CanSim[CubeMarsConfig, CubeMarsFrames], twin_of=CubeMars):
    """A motor that answers whoever speaks to it, and never by itself."""

    options: CubeMarsSimConfig
    load = Stimulus(0.0, unit="N·m", low=-100, high=100, doc="torque on the output, forward")
    ambient = Stimulus(25.0, unit="°C", low=-40, high=125)

    def setup(self) -> None:
        """Begin at rest."""
        self.core = MitCore(self.options)

    def power_on(self) -> None:
        """Come up outside of motor mode."""
        self.core.power_on(self.time)
        self.error = 0

    def update(self) -> None:
        """Move on."""
        self.core.move(self.dt, self.load, self.ambient)

    def trip(self, error: int) -> None:
        """Leave motor mode with an error."""
        self.error = error
        self.core.disable()

    def on_enable(self) -> None:
        """Enter motor mode, unless there is an error."""
        if not self.error:
            self.core.enable(self.time)
        self.tell()

    def on_disable(self) -> None:
        """Leave motor mode."""
        self.core.disable()
        self.tell()

    def on_zero(self) -> None:
        """Make this position zero."""
        self.core.motor.position = 0.0
        self.tell()

    def on_control(self, *counts: int) -> None:
        """Follow, in motor mode; answer in any."""
        self.core.follow(self.config.ranges.setpoint(*counts), self.time)
        self.tell()

    def tell(self) -> None:
        """Answer with the state."""
        counts = self.core.measured(self.config.ranges)
        frame = CubeMarsFrames.reply.layout.pack(self.station, *counts)
        if not self.options.old:
            frame += bytes((round(self.core.motor.temperature) & 0xFF, self.error))
        self.emit_frame(CanFrame(self.config.master, frame))

    def truth(self) -> dict[str, object]:
        """Return what the output really does."""
        return {"error": self.error, **self.core.truth(self.config.reverse)}
