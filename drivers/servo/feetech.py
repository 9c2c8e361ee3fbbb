"""Feetech STS and SMS: a chain of smart servos on one line, such as the STS3215.

Sources: Feetech's SDKs for these series (``sms_sts``) and LeRobot's register tables. Frames are
those of Dynamixel's Protocol 1.0; numbers have a sign bit instead of a complement. Set ids with
Feetech's FD first; as delivered a servo has id 1 and 1,000,000 bit/s. The bus needs the same
``baudrate``. The SCS series is another one: its numbers are big-endian.

These servos have no watchdog: when the line goes dead they hold their last goal.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from horus_drivers.servo._chain import (
    COUNT,
    MIDDLE,
    Chain,
    ChainConfig,
    Joint,
    ServoState,
    condition,
)
from horus_drivers.servo._packets import Packet, ServoMap
from horus_drivers.servo._twin import ChainSim, Regulator, ServoSimConfig, SimServo, clamp

from horus.hal import (
    Burst,
    Checksum,
    FaultKind,
    HeaderFraming,
    Register,
    RegisterMap,
    Steps,
    command,
    option,
)
from horus.hal.checksums import inverted_sum8

HEADER = b"\xff\xff"
ACCELERATION = 100 * COUNT  # rad/s² per unit
POSITION_MODE, VELOCITY_MODE = 0, 1
NEGATIVE, NEGATIVE_LOAD = 0x8000, 0x0400  # sign bits
SERIES = {8: "SMS", 9: "STS"}  # by the low byte of the model number; 5 is SCS
MODELS = {777: "STS3215", 2825: "STS3250", 11272: "SM8512BL"}
ERRORS = {
    0x01: "input voltage",
    0x02: "position sensor",
    0x04: "overheated",
    0x08: "overcurrent",
    0x20: "overload",
}


class StsTable(RegisterMap):
    """The part of the control table that is used here; below 40 it outlives power."""

    model_number = Register(3, "<H", reset=777)
    id = Register(5, "B", reset=1)
    answers_writes = Register(8, "B", reset=1)
    limits = Burst(9, "<HH")  # lowest and highest position; both 0 for a servo without
    lowest = Register(9, "<H", reset=0)
    highest = Register(11, "<H", reset=4095)
    hottest = Register(13, "B", reset=70)  # °C
    most_voltage = Register(14, "B", reset=140)  # 0.1 V
    least_voltage = Register(15, "B", reset=40)
    mode = Register(33, "B", reset=POSITION_MODE)
    modes = Burst(33, "<B5x")
    torque = Register(40, "B")
    setup = Burst(40, "<B15x")
    goal = Burst(41, "<BHHH")  # acceleration, position, time, velocity
    goal_position = Register(42, "<H", reset=MIDDLE)
    goal_velocity = Register(46, "<H")
    lock = Register(55, "B", reset=1)
    present = Burst(56, "<HHHBBxBB2xH")
    present_position = Register(56, "<H", reset=MIDDLE)


class ServoFraming(HeaderFraming):
    """Two FF, id, length, instruction or error, parameters, checksum."""

    def __init__(self) -> None:
        checksum = Checksum(inverted_sum8, start=2)
        super().__init__(HEADER, length=(3, "B", 4), checksum=checksum, largest=260)

    def measure(self, data: bytes) -> int:
        """Return the size of the frame; a third FF is no id, but noise before a header."""
        if len(data) > 2 and data[2] == 0xFF:
            return -1
        if len(data) > 3 and data[3] < 2:
            return -1
        return super().measure(data)


class FeetechMap(ServoMap[StsTable]):
    """The frames of Dynamixel's Protocol 1.0; little-endian."""

    framing = ServoFraming()
    table = StsTable
    place_format = struct.Struct("<BB")
    overhead = 6

    @classmethod
    def encode(cls, id: int, code: int, data: bytes = b"") -> bytes:
        """Return the frame of an instruction, or of a status with its error as the code."""
        body = bytes((id, len(data) + 2, code)) + data
        return HEADER + body + bytes((inverted_sum8(body),))

    @classmethod
    def status(cls, frame: bytes) -> Packet | None:
        """Return the status in a frame; instructions look the same."""
        return Packet(frame[2], frame[4], frame[5:-1])


def signed(raw: int, sign: int = NEGATIVE) -> int:
    """Return a number that has a sign bit."""
    return -(raw & (sign - 1)) if raw & sign else raw & (sign - 1)


def with_sign(value: int, sign: int = NEGATIVE) -> int:
    """Return a number with a sign bit, as the servo writes it."""
    return min(abs(value), sign - 1) | (sign if value < 0 else 0)


@dataclass(frozen=True, kw_only=True)
class FeetechConfig(ChainConfig):
    """Options of a chain of Feetech servos of the STS or SMS series."""

    max_acceleration: float = option(
        20.0, unit="rad/s²", low=0.16, high=38.9, doc="of every joint: the servos' own ramp"
    )


class Feetech(Chain[FeetechConfig, FeetechMap]):
    """Joints of STS or SMS servos, followed together. Made safe they are limp: torque is off."""

    kind = "a Feetech servo of the STS or SMS series"

    def model(self, id: int) -> tuple[str, bool]:
        """Return the model by its number."""
        number = self.map.servo(id).model_number
        series = SERIES.get(number & 0xFF)
        if series is None:
            return f"a device of model number {number}", False
        return MODELS.get(number, f"{series} of model number {number}"), True

    def configure(self) -> Steps:
        """Set the mode and take over the limits that are set in the servos."""
        joints = self.config.joints()
        for place, joint in enumerate(joints):
            servo = self.map.servo(joint.id)
            self.set_mode(joint, servo)
            lowest, highest = servo.limits
            if self.config.mode == "position" and (lowest, highest) != (0, 0):
                joints[place] = self.limited(joint, lowest, highest)
            yield 0.0
        self.joints = joints

    def set_mode(self, joint: Joint, servo: StsTable) -> None:
        """Set the operating mode, if it differs: it is in memory that wears out."""
        wanted = POSITION_MODE if self.config.mode == "position" else VELOCITY_MODE
        if servo.modes[0] != wanted:
            self.keep(joint.id, {StsTable.mode.address: bytes((wanted,))}, "its mode")

    def keep(self, id: int, values: dict[int, bytes], what: str, new_id: int | None = None) -> None:
        """Write to memory that outlives power, which is locked otherwise."""
        lock = StsTable.lock.address
        self.map.ensure_all(lock, {id: b"\x00"}, "its unlocking")
        for address, value in values.items():
            if new_id is None:
                self.map.ensure_all(address, {id: value}, what)
            else:
                self.map.write_all(address, {id: value})
        self.map.ensure_all(lock, {id if new_id is None else new_id: b"\x01"}, "its locking")

    def arm(self) -> None:
        """Hold every joint where it is."""
        goal = StsTable.goal
        states = self.measure()
        here = {}
        for joint in self.joints:
            counts = states[joint.id].counts
            if self.config.mode == "position":
                counts = self.held(joint, counts)
            here[joint.id] = self.goal(counts, 0 if self.config.mode == "velocity" else self.speed)
        self.map.ensure_all(goal.address, here, "its position as its goal")
        on = {joint.id: b"\x01" for joint in self.joints}
        self.map.ensure_all(StsTable.torque.address, on, "torque on")

    @property
    def speed(self) -> int:
        """The speed (counts a second) on the way to a position."""
        return round(self.config.max_velocity / COUNT)

    def goal(self, counts: int, speed: int) -> bytes:
        """Return a goal as it is written: acceleration, position, time and velocity."""
        acceleration = min(max(round(self.config.max_acceleration / ACCELERATION), 1), 254)
        return StsTable.goal.struct.pack(acceleration, with_sign(counts), 0, with_sign(speed))

    def send(self, values: dict[int, float]) -> None:
        """Send goals by one frame."""
        if self.config.mode == "position":
            goals = {id: self.goal(int(counts), self.speed) for id, counts in values.items()}
            self.map.write_all(StsTable.goal.address, goals)
        else:
            speeds = {id: with_sign(round(speed / COUNT)) for id, speed in values.items()}
            goals = {id: struct.pack("<H", speed) for id, speed in speeds.items()}
            self.map.write_all(StsTable.goal_velocity.address, goals)

    def safe(self) -> None:
        """Switch the torque of all servos off by one frame."""
        self.map.write_all(StsTable.torque.address, {joint.id: b"\x00" for joint in self.joints})

    def measure(self) -> dict[int, ServoState]:
        """Read position and velocity of all servos."""
        block = StsTable.present
        found = self.map.read_all(self.map.names, block.address, block.size)
        states = {}
        for id, data in found.items():
            position, velocity, *_ = block.struct.unpack(data)
            states[id] = ServoState(signed(position), signed(velocity) * COUNT)
        return states

    def examine(self, joint: Joint) -> None:
        """Check one servo for errors and lost torque."""
        (torque,) = self.map.servo(joint.id).setup
        name = self.map.name(joint.id)
        error = self.map.alerts.get(joint.id, 0)
        if error:
            text = f"{name} reports: {condition(error, ERRORS)}"
            raise self.fault(FaultKind.REJECTED, text, cure="remove the cause")
        if self.armed_ns and not torque:
            raise self.restarted(f"{name} lost its torque")

    @command
    def set_id(self, old: int, new: int) -> str:
        """Give a servo another id, such as 1 of a new one; refused while they are in use."""
        self.refuse_while_armed()
        self.free_id(new)
        self.keep(old, {StsTable.id.address: bytes((new,))}, "its id", new_id=new)
        return f"servo {old} is now {new}: {self.model(new)[0]}"


class FeetechSim(ChainSim[FeetechConfig, FeetechMap], twin_of=Feetech):
    """STS3215 servos with their lock, limits and error bits."""

    options: ServoSimConfig
    ram = 40

    def setup(self) -> None:
        """Make the servos; what is written while locked does not outlive power."""
        super().setup()
        self.kept = {servo: servo.read(0, self.ram) for servo in self.servos.values()}

    def start(self, servo: SimServo) -> None:
        """Start a servo with what was kept."""
        servo.write(0, self.kept[servo])
        servo.id = servo.table.id
        super().start(servo)

    def decode(self, frame: bytes) -> Packet | None:
        """Return the instruction in a frame."""
        return FeetechMap.status(frame)

    def reply(self, servo: SimServo, data: bytes = b"", error: int = 0) -> bytes:
        """Return a status with the servo's own error bits."""
        return FeetechMap.encode(servo.id, self.errors(servo) | error, data)

    def errors(self, servo: SimServo) -> int:
        """Return what is wrong with a servo."""
        table = servo.table
        volts = table.least_voltage <= round(self.supply * 10) <= table.most_voltage
        hot = servo.motor.temperature > table.hottest
        return (0 if volts else 0x01) | (0x04 if hot else 0)

    def told(self, servo: SimServo) -> bool:
        """Return whether a servo confirms what was written to it."""
        return bool(servo.table.answers_writes)

    def write(self, servo: SimServo, address: int, data: bytes) -> int:
        """Write as far as the servo allows it; a goal switches the torque on."""
        table = servo.table
        before = servo.read(0, StsTable.present.address)
        had_torque = table.torque
        end = address + len(data)
        servo.write(address, data)
        servo.write(0, before[:5])
        servo.write(StsTable.present.address, bytes(64))
        if address < self.ram and not before[StsTable.lock.address]:
            self.kept[servo] = servo.read(0, self.ram)
        servo.id = table.id
        if address < 44 and end > 42:
            table.torque = 1
        if table.torque and not had_torque:
            servo.motor.reset()
        return 0

    def guard(self, servo: SimServo) -> None:
        """Switch the torque off while something is wrong."""
        if servo.table.torque and self.errors(servo):
            servo.table.torque = 0

    def drive(self, servo: SimServo) -> Regulator:
        """Follow the goal of the operating mode."""
        table, motor = servo.table, servo.motor
        speed = signed(table.goal_velocity) * COUNT
        if table.mode == VELOCITY_MODE:
            return lambda step: motor.hold_velocity(speed, step)
        goal = signed(table.goal_position)
        if (table.lowest, table.highest) != (0, 0):
            goal = min(max(goal, table.lowest), table.highest)
        angle, most = (goal - MIDDLE) * COUNT, abs(speed) or 10.0
        return lambda step: motor.hold_position(angle, most, step)

    def show(self, servo: SimServo) -> None:
        """Measure position, velocity, load, voltage, temperature and current."""
        motor = servo.motor
        noise = self.random.gauss(0.0, 3.0) if motor.velocity else 0.0
        velocity = clamp(motor.velocity / COUNT + noise, -32767, 32767)
        load = motor.amperes * motor.options.resistance / max(self.supply, 1.0) * 1000  # 0.1 %
        servo.table.present = (
            with_sign(servo.counts),
            with_sign(velocity),
            with_sign(clamp(load, -1000, 1000), NEGATIVE_LOAD),
            clamp(self.supply * 10, 0, 255),
            clamp(motor.temperature, 0, 255),
            self.errors(servo),
            int(velocity != 0),
            with_sign(clamp(motor.amperes / 0.0065, -32767, 32767)),
        )
