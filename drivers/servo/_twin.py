"""The twin of a chain of smart servos: instructions, control tables, and a motor in each servo."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from horus_drivers.servo._chain import COUNT, MIDDLE, ChainConfig
from horus_drivers.servo._packets import (
    ACTION,
    BROADCAST,
    PING,
    READ,
    REBOOT,
    REG_WRITE,
    SYNC_READ,
    SYNC_WRITE,
    WRITE,
    Packet,
    ServoMap,
)

from horus.hal import RegisterMap, SerialSim, Stimulus, option
from horus.hal.simmotor import MotorSimConfig, SimMotor

SPACE = 1024  # bytes of a servo's memory, more than any control table has
REST = 0.05  # rad/s

#: Instructions for one servo, or all, and what acts on them.
_SINGLE = {
    PING: "ping",
    READ: "_read",
    WRITE: "_write",
    REG_WRITE: "_reg_write",
    ACTION: "_action",
    REBOOT: "_reboot",
}


@dataclass(frozen=True, kw_only=True)
class ServoSimConfig(MotorSimConfig):
    """Options of the simulated servos: by default geared motors of about 2 N·m at 12 V."""

    inertia: float = option(0.005, unit="kg·m²", above=0, high=10, doc="at the horn")
    friction: float = option(0.05, unit="N·m", low=0, high=100, doc="independent of speed")
    drag: float = option(0.01, unit="N·m·s/rad", low=0, high=10, doc="proportional to speed")
    torque_constant: float = option(1.3, unit="N·m/A", above=0, high=10, doc="gears included")
    resistance: float = option(8.0, unit="Ω", above=0, high=100, doc="of the winding")
    supply: float = option(12.0, unit="V", above=0, high=30)


class SimServo:
    """One servo: its memory and its motor, whose angle is that of the horn from the middle."""

    def __init__(self, id: int, table: type[RegisterMap], options: MotorSimConfig) -> None:
        self.id = id
        self.memory = bytearray(SPACE)
        self.table: Any = table(self)
        self.motor = SimMotor(options)
        self.heard = 0.0  # s: when the last instruction came
        self.pending: tuple[int, bytes] | None = None  # written, waits for an action

    def read(self, address: int, count: int) -> bytes:
        """Return bytes of the memory."""
        return bytes(self.memory[address : address + count])

    def write(self, address: int, data: bytes) -> None:
        """Change bytes of the memory."""
        self.memory[address : address + len(data)] = data

    @property
    def counts(self) -> int:
        """Position in counts."""
        return round(self.motor.position / COUNT) + MIDDLE


#: From the length of a step (s) to the current (A) in it.
Regulator = Callable[[float], float]
ChainConfigT = TypeVar("ChainConfigT", bound=ChainConfig)
ServoMapT = TypeVar("ServoMapT", bound=ServoMap[Any])


class ChainSim(SerialSim[ChainConfigT, ServoMapT]):
    """Servos that share a line; what is particular to a make is in a subclass."""

    map_type: type[ServoMap[Any]]  # type: ignore[misc]
    options: ServoSimConfig
    load = Stimulus(0.0, unit="N·m", low=-100, high=100, doc="turns every joint forward")
    supply = Stimulus(12.0, unit="V", low=0, high=30, doc="on the line")
    ambient = Stimulus(25.0, unit="°C", low=-40, high=125)
    dead = Stimulus(-1.0, low=-1, high=252, doc="id of a servo without power; -1 for none")

    #: Registers from here on are lost with power; those before it stay.
    ram: int

    def setup(self) -> None:
        """Make the servos as they are delivered, but with their ids."""
        self.servos = {}
        for id in self.stations:
            servo = SimServo(id, self.map_type.table, self.options)
            servo.write(0, bytes(self.map_type.table.image()))
            servo.table.id = id
            self.servos[id] = servo
        self.supply = self.options.supply

    def power_on(self) -> None:
        """Start all servos."""
        for servo in self.servos.values():
            self.start(servo)

    def start(self, servo: SimServo) -> None:
        """Start a servo: what is kept stays, the rest is as after power-on."""
        servo.write(self.ram, bytes(self.map_type.table.image()[self.ram :]))
        servo.heard, servo.pending = self.time, None
        self.show(servo)

    # what a make has of its own -----------------------------------------------------------------

    def decode(self, frame: bytes) -> Packet | None:
        """Return the instruction in a frame, or None when it is none."""
        raise TypeError(f"{type(self).__name__} does not say how frames are read: define decode")

    def reply(self, servo: SimServo, data: bytes = b"", error: int = 0) -> bytes:
        """Return a status of a servo."""
        raise TypeError(f"{type(self).__name__} does not say what a status is: define reply")

    def write(self, servo: SimServo, address: int, data: bytes) -> int:
        """Write to a servo's memory from the line and return the error, 0 for none."""
        servo.write(address, data)
        return 0

    def drive(self, servo: SimServo) -> Regulator:
        """Return what says which current (A) a servo with torque lets flow in a step."""
        raise TypeError(f"{type(self).__name__} does not say what its motors do: define drive")

    def show(self, servo: SimServo) -> None:
        """Put what a servo measures into its registers; called before they are read."""

    def guard(self, servo: SimServo) -> None:
        """Let a servo look after itself: errors, watchdog."""

    def told(self, servo: SimServo) -> bool:
        """Return whether a servo confirms what was written to it."""
        return True

    # instructions -------------------------------------------------------------------------------

    def alive(self, ids: Iterable[int]) -> list[SimServo]:
        """Return the servos of this chain among ids that have power."""
        everybody = [s for s in self.servos.values() if s.id != self.dead]
        return [servo for id in ids for servo in everybody if id in (servo.id, BROADCAST)]

    def answer(self, frame: bytes) -> list[bytes]:
        """Act on an instruction."""
        packet = self.decode(frame)
        if packet is None:
            return []
        for servo in self.alive((BROADCAST,)):
            servo.heard = self.time
        if packet.code == SYNC_READ:
            return self.read_together(packet.data)
        if packet.code == SYNC_WRITE:
            return self.write_together(packet.data)
        known = _SINGLE.get(packet.code)
        if known is None:
            return self.other(packet)
        act = getattr(self, known)
        answers = [act(servo, packet.data) for servo in self.alive((packet.id,))]
        alone = packet.id != BROADCAST or packet.code == PING
        return [answer for answer in answers if answer] if alone else []

    def other(self, packet: Packet) -> list[bytes]:
        """Act on an instruction that only one make has."""
        return []

    def ping(self, servo: SimServo, data: bytes) -> bytes:
        """Tell that it is there."""
        return self.reply(servo)

    def _read(self, servo: SimServo, data: bytes) -> bytes:
        place = self.map_type.place_format
        if len(data) != place.size:
            return b""
        address, count = place.unpack(data)
        return self.tell(servo, address, count)

    def tell(self, servo: SimServo, address: int, count: int) -> bytes:
        """Return a status with some of a servo's registers."""
        self.show(servo)
        return self.reply(servo, servo.read(address, count))

    def _split(self, data: bytes) -> tuple[int, bytes]:
        """Return the address at the start of the parameters, and what follows."""
        size = self.map_type.place_format.size // 2
        return int.from_bytes(data[:size], "little"), data[size:]

    def _write(self, servo: SimServo, data: bytes) -> bytes:
        error = self.write(servo, *self._split(data))
        return self.reply(servo, error=error) if self.told(servo) else b""

    def _reg_write(self, servo: SimServo, data: bytes) -> bytes:
        servo.pending = self._split(data)
        return self.reply(servo) if self.told(servo) else b""

    def _action(self, servo: SimServo, data: bytes) -> bytes:
        pending, servo.pending = servo.pending, None
        if pending:
            self.write(servo, *pending)
        return self.reply(servo) if self.told(servo) else b""

    def _reboot(self, servo: SimServo, data: bytes) -> bytes:
        answer = self.reply(servo)
        self.start(servo)
        return answer

    def read_together(self, data: bytes) -> list[bytes]:
        """Answer one after the other, each having heard the one before it."""
        place = self.map_type.place_format
        if len(data) < place.size:
            return []
        address, count = place.unpack_from(data)
        answers = []
        for id in data[place.size :]:
            if id == self.dead:
                break
            answers += [self.tell(servo, address, count) for servo in self.alive((id,))]
        return answers

    def write_together(self, data: bytes) -> list[bytes]:
        """Write to each servo its own part; nobody answers."""
        place = self.map_type.place_format
        if len(data) < place.size:
            return []
        address, count = place.unpack_from(data)
        for at in range(place.size, len(data) - count, count + 1):
            for servo in self.alive((data[at],)):
                self.write(servo, address, data[at + 1 : at + 1 + count])
        return []

    # physics ------------------------------------------------------------------------------------

    def powered(self, servo: SimServo) -> bool:
        """Return whether a servo's motor is driven."""
        return bool(servo.table.torque) and servo.id != self.dead

    def update(self) -> None:
        """Move all motors on."""
        for servo in self.servos.values():
            if servo.id == self.dead:
                self.start(servo)
            servo.motor.volts = self.supply
            self.guard(servo)
            drive = self.drive(servo) if self.powered(servo) else None
            servo.motor.move(self.dt, drive, load=self.load, ambient=self.ambient)

    def truth(self) -> dict[str, object]:
        """Return what the joints really do, in their own directions."""
        motors = [servo.motor for servo in self.servos.values()]
        joints = self.config.joints()
        pairs = list(zip(joints, motors, strict=True))
        fastest = max(abs(motor.velocity) for motor in motors)
        limp = not any(map(self.powered, self.servos.values()))
        return {
            "position": [joint.sign * (motor.position - joint.zero) for joint, motor in pairs],
            "velocities": [joint.sign * motor.velocity for joint, motor in pairs],
            "velocity": fastest,
            "torque": [motor.torque for motor in motors],
            "at_rest": limp and fastest < REST,
        }


def clamp(value: float, low: int, high: int) -> int:
    """Return a measurement as a whole number that fits its register."""
    return min(max(round(value), low), high) if math.isfinite(value) else 0
