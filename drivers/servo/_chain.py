"""A chain of smart servos as one device: joints with names, angles and limits."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

from horus_drivers.servo._joints import told, wrong_names
from horus_drivers.servo._packets import ServoMap

from horus.hal import (
    Actuator,
    ActuatorConfig,
    CommandRefused,
    FaultKind,
    command,
    option,
)
from horus.msgs import ControlMode, JointCommand, JointState

COUNTS = 4096  # a turn, of Dynamixel X and of Feetech STS
MIDDLE = 2048
TURN = 2 * math.pi
COUNT = TURN / COUNTS  # rad
MOST_JOINTS = 32  # of a JointCommand
FARTHEST = 512 * COUNTS  # counts: no servo counts on farther than this
FASTEST = 100.0  # rad/s: no servo turns faster than this
CHECK_EVERY = 5  # reads: then one servo in turn is asked whether it is still as it should be
TOLERANCE = 0.01  # rad: by so much a joint may be outside of its limits when it is armed
MODES = {"position": ControlMode.POSITION, "velocity": ControlMode.VELOCITY}


@dataclass(frozen=True, kw_only=True)
class ChainConfig(ActuatorConfig):
    """Options of a chain of servos."""

    rate: float = option(50.0, unit="Hz", above=0, high=1000, doc="commands and states a second")
    ids: tuple[int, ...] = option(low=0, high=252, doc="of the servos, such as [1, 2, 3]")
    names: tuple[str, ...] | None = option(
        None, doc="of the joints, in the order of ids; by default joint_<id>"
    )
    mode: Literal["position", "velocity"] = option("position", doc="what the servos follow")
    max_velocity: float = option(
        3.0, unit="rad/s", low=0.1, high=50, doc="of every joint", live="lower"
    )
    min_angle: tuple[float, ...] | None = option(
        None, unit="rad", low=-TURN, high=TURN, doc="one for all joints, or one each"
    )
    max_angle: tuple[float, ...] | None = option(
        None, unit="rad", low=-TURN, high=TURN, doc="one for all joints, or one each"
    )
    zero: tuple[float, ...] | None = option(
        None,
        unit="rad",
        low=-TURN,
        high=TURN,
        doc="where the joint is at 0, from the servo's middle; one for all, or one each",
    )
    reverse: tuple[int, ...] | None = option(
        None, low=0, high=252, doc="ids of servos that turn against their joint"
    )

    def contradictions(self) -> list[tuple[str, str]]:
        """Find lists that do not fit each other."""
        count = len(self.ids)
        found = wrong_names(self.names, count, "ids")
        if count > MOST_JOINTS:
            found.append(("ids", f"has {count} servos where a command has room for {MOST_JOINTS}"))
        for name in ("min_angle", "max_angle", "zero"):
            given = getattr(self, name)
            if given is not None and len(given) not in (1, count):
                found.append((name, f"has {len(given)} angles for {count} ids: give 1 or each"))
        strange = [id for id in self.reverse or () if id not in self.ids]
        found += [("reverse", f"has {id}, which is not among the ids") for id in strange]
        if not found and any(joint.low >= joint.high for joint in self.joints()):
            found.append(("min_angle", "must be below max_angle, for every joint"))
        return found

    def joints(self) -> list[Joint]:
        """Return the joints as configured, in the order of ids."""

        def each(values: tuple[float, ...] | None, default: float) -> tuple[float, ...]:
            values = values or (default,)
            return values * len(self.ids) if len(values) == 1 else values

        names = self.names or [f"joint_{id}" for id in self.ids]
        lows, highs = each(self.min_angle, -TURN), each(self.max_angle, TURN)
        zeros = each(self.zero, 0.0)
        signs = [-1 if id in (self.reverse or ()) else 1 for id in self.ids]
        return [Joint(*of) for of in zip(self.ids, names, signs, zeros, lows, highs, strict=True)]


@dataclass(frozen=True)
class Joint:
    """One joint: its servo, and how its angles (rad) and the servo's counts belong together."""

    id: int
    name: str
    sign: int
    zero: float
    low: float
    high: float

    def angle(self, counts: float) -> float:
        """Return the joint's angle for a position of the servo."""
        return self.sign * ((counts - MIDDLE) * COUNT - self.zero)

    def counts(self, angle: float) -> int:
        """Return the position of the servo for an angle of the joint."""
        return round((self.sign * angle + self.zero) / COUNT) + MIDDLE

    def within(self, low: int, high: int) -> Joint:
        """Return this joint with the limits (counts) of its servo observed too."""
        ends = sorted((self.angle(low), self.angle(high)))
        return replace(self, low=max(self.low, ends[0]), high=min(self.high, ends[1]))


class ServoState(NamedTuple):
    """Where a servo is (counts) and how fast it turns (rad/s, in the servo's own direction)."""

    counts: int
    velocity: float


ChainConfigT = TypeVar("ChainConfigT", bound=ChainConfig)
ServoMapT = TypeVar("ServoMapT", bound=ServoMap[Any])


class Chain(Actuator[ChainConfigT, ServoMapT]):
    """Commands and states of several joints; a subclass knows the registers."""

    def __init__(self, config: ChainConfigT, link: Any) -> None:
        super().__init__(config, link)
        self.joints = config.joints()
        self.map.names = {joint.id: joint.name for joint in self.joints}
        self._reads = 0

    #: What every servo of the chain must be, for people.
    kind: ClassVar[str]

    @abstractmethod
    def model(self, id: int) -> tuple[str, bool]:
        """Return the model of a servo that answers, and whether it is of the right kind."""

    @abstractmethod
    def measure(self) -> dict[int, ServoState]:
        """Return where all servos are and how fast they turn, by id."""

    @abstractmethod
    def examine(self, joint: Joint) -> None:
        """Raise a fault if a servo reports an error, or is not as it was set up."""

    @abstractmethod
    def send(self, values: dict[int, float]) -> None:
        """Send goals by id: counts, or the velocity (rad/s) of the servo, as the mode is."""

    def probe(self) -> bool:
        """Ask every servo what it is; that some answer and some do not is a fault."""
        ids = [joint.id for joint in self.joints]
        silent = [id for id in ids if not self.map.answers(id, attempts=1)]
        if silent == ids:
            return False
        absent = [id for id in silent if not self.map.answers(id)]
        if absent:
            missing = ", ".join(map(self.map.name, absent))
            text = f"no answer from {missing}; the other {len(self.joints) - len(absent)} answer"
            cure = "check its cable, its power and its id"
            raise self.fault(FaultKind.TIMEOUT, text, cure)
        for joint in self.joints:
            model, right = self.model(joint.id)
            if not right:
                name = self.map.name(joint.id)
                raise self.stranger(f"as {name} is {model}, not {self.kind}")
        return True

    def check(self, command: JointCommand) -> None:
        """Refuse other modes, unknown joints and angles or velocities over the limits."""
        mode = self.config.mode
        self.only(command, {MODES[mode]: (mode,)}, "mode")
        for joint, value in told(command, self.joints, mode):
            if mode == "position":
                self.limit(f"position of {joint.name}", value, joint.low, joint.high, "rad")
            else:
                most = self.config.max_velocity
                self.limit(f"velocity of {joint.name}", value, -most, most, "rad/s", "max_velocity")

    def write(self, command: JointCommand) -> None:
        """Send goals to the joints that are named; the others keep theirs."""
        pairs = told(command, self.joints, self.config.mode)
        if self.config.mode == "position":
            self.send({joint.id: joint.counts(value) for joint, value in pairs})
        else:
            self.send({joint.id: joint.sign * value for joint, value in pairs})

    def read(self) -> JointState:
        """Return where all joints are; now and then look after one servo more closely."""
        states = self.measure()
        for id, state in states.items():
            if abs(state.counts) > FARTHEST or abs(state.velocity) > FASTEST:
                text = f"{self.map.name(id)}: {state} cannot be"
                raise self.fault(FaultKind.CORRUPT, text)
        stamp_ns = self.link.stamp_ns
        for joint in self.joints:
            if joint.id in self.map.alerts:
                self.examine(joint)
        self._reads += 1
        turn, due = divmod(self._reads, CHECK_EVERY)
        if not due:
            self.examine(self.joints[turn % len(self.joints)])
        self.link.stamp_ns = stamp_ns
        return JointState(
            ",".join(joint.name for joint in self.joints),
            position=[joint.angle(states[joint.id].counts) for joint in self.joints],
            velocity=[joint.sign * states[joint.id].velocity for joint in self.joints],
        )

    def held(self, joint: Joint, counts: int) -> int:
        """Return a position (counts) as a goal; a joint outside of its limits cannot be held."""
        angle = joint.angle(counts)
        if not joint.low - TOLERANCE <= angle <= joint.high + TOLERANCE:
            text = f"{joint.name} is at {angle:.2f} rad, outside of {joint.low:.2f} to "
            text += f"{joint.high:.2f}: armed, it would move by itself"
            raise self.fault(FaultKind.REJECTED, text, cure="turn it back by hand")
        return joint.counts(min(max(angle, joint.low), joint.high))

    def limited(self, joint: Joint, lowest: int, highest: int) -> Joint:
        """Return a joint with the limits (counts) that are set in its servo observed too."""
        found = joint.within(lowest, highest)
        if found.low >= found.high:
            text = f"{self.map.name(joint.id)}: no angle is within both min_angle and "
            text += f"max_angle and the servo's own limits ({lowest} to {highest} counts)"
            raise self.fault(FaultKind.REJECTED, text, cure="correct one of them")
        return found

    def at_rest(self) -> str:
        """Tell of servos that are limp and do not turn."""
        fastest = max(abs(state.velocity) for state in self.measure().values())
        return self.resting(fastest, "limp")

    @command
    def scan(self, first: int = 0, last: int = 20) -> Generator[float, None, str]:
        """Return the ids from first to last at which a servo answers, with its model."""
        found = []
        for id in range(max(first, 0), min(last, 252) + 1):
            if self.map.answers(id, attempts=1):
                found.append(f"{id} ({self.model(id)[0]})")
            yield 0.0
        return ", ".join(found) or "none"

    def refuse_while_armed(self) -> None:
        """Refuse a command call that is not for servos in use."""
        if self.armed_ns:
            raise CommandRefused("the servos are in use: end the commands to them first")

    def free_id(self, id: int) -> None:
        """Refuse an id that no servo can have, or that one has already."""
        if not 0 <= id <= 252:
            raise CommandRefused(f"an id is from 0 to 252, not {id}")
        if self.map.answers(id):
            raise CommandRefused(f"id {id} is already that of a servo on this line")


def condition(fault_bits: int, names: dict[int, str]) -> str:
    """Return the names of the error bits that are set."""
    found = [name for bit, name in names.items() if fault_bits & bit]
    return ", ".join(found) or f"0x{fault_bits:02X}"
