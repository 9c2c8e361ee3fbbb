"""Drive with the CiA 402 profile on CANopen: profile velocity and profile position.

Sources: CiA 402 as documented in the canopen package (profiles/p402.py) and public drive manuals;
CiA 301 for the rest. Node id and bit rate are set at the drive. The drive watches this program's
heartbeat (object 0x1016) and stops by itself when it does not come any more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from horus_drivers.motor._cia402 import (
    ABORT_OPTION,
    ACCELERATION,
    AT_ONCE,
    CONTROL,
    DECELERATION,
    ENABLE,
    ERROR,
    ERRORS,
    MODE,
    MODE_SHOWN,
    MOST_VELOCITY,
    NEW,
    NO_VOLTAGE,
    ONWARD,
    POSITION,
    PROFILE,
    PROFILE_POSITION,
    PROFILE_VELOCITY,
    PROFILE_VELOCITY_MODE,
    QUICK_STOP,
    QUICK_STOP_DECELERATION,
    QUICK_STOP_OPTION,
    QUICK_STOP_THEN_OFF,
    RESET,
    SHUT_DOWN,
    STATES,
    STATUS,
    STOP_WHEN_LOST,
    TARGET_POSITION,
    TARGET_VELOCITY,
    TRANSITIONS,
    VELOCITY,
    order_in,
    state_of,
)

from horus.hal import (
    Actuator,
    ActuatorConfig,
    Command,
    FaultKind,
    Link,
    Report,
    Steps,
    Stimulus,
    option,
)
from horus.hal.canopen import (
    ENTER_PRE_OPERATIONAL,
    MASTER,
    OPERATIONAL,
    START,
    STOPPED,
    CanOpenFrames,
    Objects,
)
from horus.hal.simcanopen import CanOpenSim
from horus.hal.simmotor import MotorSimConfig, SimMotor
from horus.msgs import ControlMode, MotorCommand, MotorState

BEAT, ANSWER = 0.05, 0.1  # s: our heartbeat, the drive's
LOST = 0.5  # s without a heartbeat
ARMED_WITHIN = 1.0  # s from the command to enabled
TURN = 2 * math.pi  # rad
MODES = {ControlMode.VELOCITY: ("velocity",), ControlMode.POSITION: ("position",)}


class Condition(NamedTuple):
    """First PDO of the drive."""

    status: int
    mode: int
    error: int


class Motion(NamedTuple):
    """Second PDO of the drive, in its own units."""

    position: int
    velocity: int


class Cia402Frames(CanOpenFrames):
    """PDOs as the driver maps them."""

    velocity = Command(0x200, "<Hi")  # controlword, target velocity
    position = Command(0x300, "<Hi")  # controlword, target position
    condition = Report(0x180, "<HbH", Condition)
    motion = Report(0x280, "<ii", Motion)


@dataclass(frozen=True, kw_only=True)
class Cia402Config(ActuatorConfig):
    """Options of one drive."""

    node: int = option(low=1, high=126, doc="CANopen node id")
    resolution: int = option(
        10_000, unit="counts", low=1, high=100_000_000, doc="per turn of the motor"
    )
    velocity_unit: Literal["counts/s", "rpm"] = option("counts/s", doc="the drive's own")
    gear_ratio: float = option(1.0, above=0, high=10_000, doc="motor turns per turn of the output")
    reverse: bool = option(False, doc="the motor turns against the output")
    max_velocity: float = option(
        20.0, unit="rad/s", above=0, high=10_000, doc="of the output", live="lower"
    )
    acceleration: float = option(
        50.0, unit="rad/s²", above=0, high=100_000, doc="of the output: the drive's own ramp"
    )
    watchdog: float = option(
        0.25, unit="s", low=0, high=10, doc="it stops by itself when unheard so long; 0 is off"
    )

    @property
    def counts(self) -> float:
        """Counts per radian of the output."""
        return self.resolution * self.gear_ratio / TURN * (-1 if self.reverse else 1)

    @property
    def speed(self) -> float:
        """The drive's velocity per rad/s of the output."""
        rpm = self.gear_ratio * 60 / TURN * (-1 if self.reverse else 1)
        return rpm if self.velocity_unit == "rpm" else self.counts


class Cia402(Actuator[Cia402Config, Cia402Frames]):
    """One axis; made safe it brakes, then is switched off and coasts."""

    def __init__(self, config: Cia402Config, link: Link) -> None:
        super().__init__(config, link)
        self.objects = Objects(self.map, self.fault)
        self._asked = False
        self._target: float | None = None  # rad/s, in mode VELOCITY
        self._angle: float | None = None  # rad, in mode POSITION

    def probe(self) -> bool:
        """Ask for the device type; a node that was stopped answers nothing until it is woken."""
        data = self.objects.found(0x1000, 0)
        if data is None:
            if self.map.heartbeat.latest() == STOPPED:
                self.map.nmt.repeat(0.1, ENTER_PRE_OPERATIONAL, self.config.node)
            if self.map.sdo_answer.due(0.1):
                self.objects.ask(0x1000, 0)
            return False
        profile = int.from_bytes(data[:2], "little")
        if profile != PROFILE:
            text = f"has the CANopen profile {profile}; a CiA 402 drive has {PROFILE}"
            raise self.stranger(text)
        return True

    def configure(self) -> Steps:
        """Bring the drive from any state to operational, its motor off."""
        config, objects, write = self.config, self.objects, self.objects.write
        self.map.nmt.send(ENTER_PRE_OPERATIONAL, config.node)
        beat = MASTER << 16 | round(config.watchdog * 1000)
        yield from write(0x1016, 1, "<I", beat, optional=not config.watchdog)
        yield from write(0x1017, 0, "<H", round(ANSWER * 1000))
        yield from write(ABORT_OPTION, 0, "<h", STOP_WHEN_LOST, optional=True)
        yield from write(QUICK_STOP_OPTION, 0, "<h", QUICK_STOP_THEN_OFF)
        yield from write(MODE, 0, "<b", PROFILE_VELOCITY_MODE)
        most = self.fastest
        ramp = max(1, round(abs(config.acceleration * config.speed)))
        yield from write(MOST_VELOCITY, 0, "<I", most, optional=True)
        yield from write(PROFILE_VELOCITY, 0, "<I", most)
        for index in (ACCELERATION, DECELERATION, QUICK_STOP_DECELERATION):
            yield from write(index, 0, "<I", ramp, optional=index == QUICK_STOP_DECELERATION)
        every = min(100, max(1, round(1000 / config.rate)))
        yield from objects.map_pdo(1, (CONTROL, 16), (TARGET_VELOCITY, 32), send=False)
        yield from objects.map_pdo(2, (CONTROL, 16), (TARGET_POSITION, 32), send=False)
        status = ((STATUS, 16), (MODE_SHOWN, 8), (ERROR, 16))
        yield from objects.map_pdo(1, *status, send=True, every_ms=100)
        motion = ((POSITION, 32), (VELOCITY, 32))
        yield from objects.map_pdo(2, *motion, send=True, every_ms=every, inhibit_ms=every)
        for word in (NO_VOLTAGE, RESET, NO_VOLTAGE):  # the edge of the bit resets a fault
            yield from write(CONTROL, 0, "<H", word)
        self.map.condition.forget()
        self.map.heartbeat.forget()
        self.map.nmt.send(START, config.node)
        heard = lambda: self.map.heartbeat.latest() == OPERATIONAL  # noqa: E731
        yield from self.until(heard, LOST, "starting the node")
        yield from self.until(lambda: self.map.condition.latest() is not None, LOST, "its PDOs")

    @property
    def fastest(self) -> int:
        """The highest velocity in the drive's own unit."""
        return round(abs(self.config.max_velocity * self.config.speed))

    def changed(self, option: str) -> None:
        """Tell the drive its highest velocity: in mode POSITION it alone keeps to it."""
        if option == "max_velocity":
            self.objects.put(PROFILE_VELOCITY, 0, "<I", self.fastest)
            self.objects.put(MOST_VELOCITY, 0, "<I", self.fastest)

    def arm(self) -> None:
        """Begin to go through the states towards enabled, at velocity 0; `read` goes on."""
        self._target, self._angle = 0.0, None
        self.objects.put(MODE, 0, "<b", PROFILE_VELOCITY_MODE)
        self._go_on()

    def check(self, command: MotorCommand) -> None:
        """Refuse all but velocities and positions within the limits."""
        self.only(command, MODES)
        fastest = self.config.max_velocity
        farthest = (2**31 - 1) / abs(self.config.counts)
        self.limit("velocity", command.velocity, -fastest, fastest, "rad/s", "max_velocity")
        self.limit("position", command.position, -farthest, farthest, "rad")

    def write(self, command: MotorCommand) -> None:
        """Set the velocity, or the position to go to."""
        position = command.mode == ControlMode.POSITION
        if position != (self._angle is not None):
            mode = PROFILE_POSITION if position else PROFILE_VELOCITY_MODE
            self.objects.put(MODE, 0, "<b", mode)
        if position:
            self._target, self._angle = None, command.position
        else:
            self._target, self._angle = command.velocity, None
        self._go_on()

    def safe(self) -> None:
        """Order a quick stop, in a way that works in every state of the node."""
        self.map.velocity.send(QUICK_STOP, 0)
        self.objects.put(CONTROL, 0, "<H", QUICK_STOP)

    def read(self) -> MotorState | None:
        """Return the state, once for each report of position and velocity."""
        if self.config.watchdog:
            self.map.master_beat.repeat(BEAT, OPERATIONAL)
        beat = self.map.heartbeat.require(LOST)
        if beat != OPERATIONAL:
            text = f"the node is in state 0x{beat:02X}, not operational"
            raise self.restarted(text)
        condition = self.map.condition.require(LOST)
        state = state_of(condition.status)
        if state in ("fault", "fault reaction"):
            code = condition.error
            text = f"{state} 0x{code:04X} {ERRORS.get(code, '')}".rstrip()
            raise self.fault(FaultKind.REJECTED, text, cure="it is reset when set up again")
        enabled = state == "enabled"
        if self.armed_ns and not enabled:
            if self.armed_for > ARMED_WITHIN:
                cure = "has its power stage its supply, and its enable input (STO) its signal?"
                text = f"it is in state {state!r}, not enabled"
                raise self.fault(FaultKind.REJECTED, text, cure)
            self._go_on()
        motion = self.map.motion.new()
        if motion is None:
            return None
        armed = bool(self.armed_ns) and enabled
        mode = ControlMode.VELOCITY if self._angle is None else ControlMode.POSITION
        return MotorState(
            position=motion.position / self.config.counts,
            velocity=motion.velocity / self.config.speed,
            mode=mode if armed else ControlMode.IDLE,
            armed=armed,
        )

    def at_rest(self) -> str:
        """Tell of a drive that is switched off and does not turn."""
        condition, motion = self.map.condition.latest(), self.map.motion.latest()
        if condition is None or motion is None:
            return ""
        if state_of(condition.status) in ("enabled", "quick stop"):
            return ""
        speed = self.config.speed
        return self.resting(motion.velocity / speed, resolution=1.5 / abs(speed))

    def _go_on(self) -> None:
        """Send the target with the controlword that the present state needs."""
        condition = self.map.condition.latest()
        state = state_of(condition.status) if condition else ""
        word = ONWARD.get(state, SHUT_DOWN)
        if self._angle is None:
            self.map.velocity.send(word, round((self._target or 0.0) * self.config.speed))
            return
        angle = round(self._angle * self.config.counts)
        self.map.position.send(word, angle)
        if word == ENABLE and condition is not None and condition.mode == PROFILE_POSITION:
            self.map.position.send(word | AT_ONCE, angle)  # bit 4 must rise for each
            self.map.position.send(word | AT_ONCE | NEW, angle)


@dataclass(frozen=True, kw_only=True)
class Cia402SimConfig(MotorSimConfig):
    """Options of a simulated drive and its motor."""

    most_current: float = option(20.0, unit="A", above=0, high=500)
    name: str = option("Simulated CiA 402 drive")


class Cia402Sim(CanOpenSim[Cia402Config, Cia402Frames], twin_of=Cia402):
    """A drive: the state machine, ramps, and the motor."""

    options: Cia402SimConfig
    load = Stimulus(0.0, unit="N·m", low=-100, high=100, doc="torque on the motor shaft, forward")
    ambient = Stimulus(25.0, unit="°C", low=-40, high=125)

    def setup(self) -> None:
        """Begin at rest."""
        self.motor = SimMotor(self.options)
        self.motor.limit = self.options.most_current

    def power_on(self) -> None:
        """Come up switched off, with the mapping of PDOs that the profile proposes."""
        super().power_on()
        self.status, self.mode, self.demand, self.control = "switch on disabled", 0, 0.0, 0
        self.goal: int | None = None
        self.change(0x1000, 0, 0x00020000 | PROFILE)
        self.add(0x1008, 0, "s", self.options.name, constant=True)
        self.add(0x6502, 0, "<I", 1 << 0 | 1 << 2, constant=True)  # modes 1 and 3
        for index, format in (
            (CONTROL, "<H"), (MODE, "<b"), (TARGET_POSITION, "<i"), (TARGET_VELOCITY, "<i"),
            (ABORT_OPTION, "<h"), (QUICK_STOP_OPTION, "<h"), (MOST_VELOCITY, "<I"),
            (PROFILE_VELOCITY, "<I"), (ACCELERATION, "<I"), (DECELERATION, "<I"),
            (QUICK_STOP_DECELERATION, "<I"),
        ):  # fmt: skip
            self.add(index, 0, format, 0)
        for index, format in (
            (STATUS, "<H"), (MODE_SHOWN, "<b"), (ERROR, "<H"), (POSITION, "<i"), (VELOCITY, "<i"),
        ):  # fmt: skip
            self.add(index, 0, format, 0, constant=True)
        self.change(QUICK_STOP_OPTION, 0, QUICK_STOP_THEN_OFF)
        self.change(ABORT_OPTION, 0, 1)
        for index in (ACCELERATION, DECELERATION, QUICK_STOP_DECELERATION, MOST_VELOCITY):
            self.change(index, 0, round(abs(self.config.speed) * 100))
        self.preset_pdo(1, (CONTROL, 16), send=False)
        self.preset_pdo(2, (CONTROL, 16), (TARGET_POSITION, 32), send=False)
        self.preset_pdo(3, (CONTROL, 16), (TARGET_VELOCITY, 32), send=False)
        self.preset_pdo(1, (STATUS, 16), send=True)
        self._show()

    def written(self, index: int, sub: int) -> None:
        """Obey the controlword; take a mode that there is."""
        if index == MODE and self.value(MODE) in (0, PROFILE_POSITION, PROFILE_VELOCITY_MODE):
            if self.mode != self.value(MODE):
                self.goal, self.demand = None, self.motor.velocity
            self.mode = self.value(MODE)
        elif index == CONTROL:
            self._obey(self.value(CONTROL))
        self._show()

    def _obey(self, word: int) -> None:
        rising = word & ~self.control
        self.control = word
        if self.status == "fault":
            if rising & RESET:
                self.status = "switch on disabled"
                self.change(ERROR, 0, 0)
            return
        state = TRANSITIONS.get((self.status, order_in(word)), self.status)
        if state == "enabled" and self.status != "enabled":
            self.motor.reset()
            self.goal, self.demand = None, self.motor.velocity
        self.status = state
        if state == "enabled" and rising & NEW and self.mode == PROFILE_POSITION:
            self.goal = self.value(TARGET_POSITION)

    def beat_lost(self) -> None:
        """React as object 0x6007 says."""
        reaction = self.value(ABORT_OPTION)
        if self.status != "enabled" or reaction == 0:
            return
        if reaction == 1:
            self.trip(0x8130)
        else:
            self.status = "quick stop" if reaction == STOP_WHEN_LOST else "switch on disabled"
        self._show()

    def trip(self, error: int) -> None:
        """Go to fault: the motor is off."""
        self.status = "fault"
        self.change(ERROR, 0, error)
        self._show()

    def update(self) -> None:
        """Move on along the ramp."""
        on = self.status in ("enabled", "quick stop")
        self.motor.move(
            self.dt, self._regulate if on else None, load=self.load, ambient=self.ambient
        )
        if self.status == "quick stop" and abs(self.motor.velocity) < 0.05:
            self.status = "switch on disabled"
        self._show()

    def _regulate(self, step: float) -> float:
        scale = abs(self.config.speed) / self.config.gear_ratio  # units per rad/s of the motor
        if self.status == "enabled" and self.mode == PROFILE_POSITION:
            goal = self.motor.position if self.goal is None else self._angle(self.goal)
            speed = self.value(PROFILE_VELOCITY) / scale
            return self.motor.hold_position(goal, speed, step)
        target = 0.0
        if self.status == "enabled" and self.mode == PROFILE_VELOCITY_MODE:
            most = self.value(MOST_VELOCITY)
            target = min(max(self.value(TARGET_VELOCITY), -most), most) / scale
        ramp = QUICK_STOP_DECELERATION if self.status == "quick stop" else ACCELERATION
        most = self.value(ramp) / scale * step
        self.demand += min(max(target - self.demand, -most), most)
        return self.motor.hold_velocity(self.demand, step)

    def _angle(self, counts: int) -> float:
        return counts / self.config.resolution * TURN

    def _show(self) -> None:
        """Bring statusword and measurements up to date."""
        value = STATES[self.status][1] | 0x0210  # voltage enabled, remote
        if self.status == "enabled" and self.goal is not None and self.control & NEW:
            value |= 0x1000  # the position was taken
        if abs(self.motor.velocity) < 0.05 and self.mode == PROFILE_VELOCITY_MODE:
            value |= 0x1000  # standstill
        self.change(STATUS, 0, value)
        self.change(MODE_SHOWN, 0, self.mode)
        position = math.floor(self.motor.position / TURN * self.config.resolution)
        self.change(POSITION, 0, (position + 2**31) % 2**32 - 2**31)
        scale = abs(self.config.speed) / self.config.gear_ratio
        self.change(VELOCITY, 0, round(self.motor.velocity * scale))

    def truth(self) -> dict[str, object]:
        """Return what the output shaft really does."""
        ratio = self.config.gear_ratio * (-1 if self.config.reverse else 1)
        off = self.status not in ("enabled", "quick stop")
        return {
            "state": self.status,
            "velocity": self.motor.velocity / ratio,
            "position": self.motor.position / ratio,
            "current": self.motor.amperes,
            "temperature": self.motor.temperature,
            "at_rest": off and abs(self.motor.velocity) < 0.05,
        }
