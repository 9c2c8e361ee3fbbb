"""Robotis Dynamixel X series: a chain of smart servos on one line, Protocol 2.0.

Sources: ROBOTIS e-Manual, "Protocol 2.0" and the control tables of the X series; DynamixelSDK 4.1
(model numbers, units). Set ids and baud rate with Dynamixel Wizard first; as delivered a servo has
id 1 and 57,600 bit/s. The bus needs the same ``baudrate``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Generator
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
from horus_drivers.servo._packets import REBOOT, Packet
from horus_drivers.servo._twin import ChainSim, Regulator, ServoSimConfig, SimServo, clamp
from horus_drivers.servo._x_series import (
    ALERT,
    MODELS,
    POSITION_MODE,
    STATUS,
    VELOCITY_MODE,
    DynamixelMap,
    XTable,
)

from horus.hal import FaultKind, Steps, command, option

VELOCITY = 0.0239691227  # rad/s per unit (0.229 rev/min)
ACCELERATION = 214.577 * 2 * math.pi / 3600  # rad/s² per unit of 214.577 rev/min²
WATCHDOG = 0.02  # s per unit
TIME_BASED = 0x04  # of the drive mode: profiles in ms rather than in speeds
RESTART = 0.5  # s
HARDWARE_ERRORS = {
    0x01: "input voltage",
    0x04: "overheated",
    0x08: "motor encoder",
    0x10: "electrical shock or too little power",
    0x20: "overload",
}


@dataclass(frozen=True, kw_only=True)
class DynamixelConfig(ChainConfig):
    """Options of a chain of Dynamixel servos of the X series."""

    max_acceleration: float = option(
        20.0, unit="rad/s²", low=0.4, high=10_000, doc="of every joint: the servos' own ramp"
    )
    watchdog: float = option(
        0.5, unit="s", low=0, high=2.54, doc="it stops by itself when unheard so long; 0 is off"
    )


class Dynamixel(Chain[DynamixelConfig, DynamixelMap]):
    """Joints of X-series servos, followed together. Made safe they are limp: torque is off."""

    kind = "a Dynamixel of the X series"

    def model(self, id: int) -> tuple[str, bool]:
        """Return the model by the number that the servo gives in answer to a ping."""
        number, firmware = struct.unpack("<HB", self.map.ping(id))
        name = MODELS.get(number)
        text = f"{name}, firmware {firmware}" if name else f"a device of model number {number}"
        return text, name is not None

    def configure(self) -> Steps:
        """Set the mode, take over the limits that are set in the servos, clear old errors."""
        answer_all = {joint.id: b"\x02" for joint in self.joints}
        self.map.write_all(XTable.return_level.address, answer_all)
        joints = self.config.joints()
        for place, joint in enumerate(joints):
            servo = self.map.servo(joint.id)
            if servo.health[2]:  # an error that is over is forgotten by a restart only
                self.map.ask(joint.id, REBOOT)
                yield RESTART
                self.examine(joint)
            self.set_mode(joint, servo)
            fastest, highest, lowest = servo.limits
            if self.units(self.config.max_velocity) > fastest:
                text = f"{self.map.name(joint.id)} turns {fastest * VELOCITY:.3g} rad/s at most"
                cure = "lower max_velocity, or raise Velocity Limit (44) in Dynamixel Wizard"
                raise self.fault(FaultKind.REJECTED, text, cure)
            if self.config.mode == "position":
                joints[place] = self.limited(joint, lowest, highest)
            yield 0.0
        self.joints = joints

    def set_mode(self, joint: Joint, servo: XTable) -> None:
        """Set drive and operating mode, if they differ: they are in memory that wears out."""
        wanted = POSITION_MODE if self.config.mode == "position" else VELOCITY_MODE
        _, drive, mode, _, _ = servo.settings
        if mode == wanted and not drive & TIME_BASED:
            return
        if drive & TIME_BASED:
            servo.drive_mode = drive & ~TIME_BASED
        if mode != wanted:
            servo.operating_mode = wanted
        _, drive, mode, _, _ = servo.settings
        if mode != wanted or drive & TIME_BASED:
            text = f"{self.map.name(joint.id)} did not take operating mode {wanted}"
            cure = "set it in Dynamixel Wizard, or give it another mode:"
            raise self.fault(FaultKind.REJECTED, text, cure)

    def units(self, velocity: float) -> int:
        """Return a velocity (rad/s) in the servo's unit."""
        return round(velocity / VELOCITY)

    @property
    def watchdog(self) -> int:
        """The watchdog's time in its own unit; 0 is none."""
        if not self.config.watchdog:
            return 0
        return min(max(math.ceil(self.config.watchdog / WATCHDOG - 1e-9), 2), 127)

    def changed(self, option: str) -> None:
        """Tell servos in use how fast they may go to a position; others are told when armed."""
        if option == "max_velocity" and self.armed_ns:
            self.set_profile()

    def set_profile(self) -> None:
        """Set how fast servos turn and gain speed on their way to a position."""
        acceleration = round(self.config.max_acceleration / ACCELERATION)
        profile = struct.pack("<II", acceleration, self.units(self.config.max_velocity))
        self.set_all(XTable.profile.address, profile, "its profile")

    def arm(self) -> None:
        """Hold every joint where it is; from now on each servo minds its own watchdog."""
        self.set_all(XTable.watchdog.address, bytes(1), "its watchdog")  # tripped, it locks goals
        self.set_profile()
        if self.config.mode == "velocity":
            self.set_all(XTable.goal_velocity.address, bytes(4), "a goal of 0")
        else:
            states = self.measure()
            here = {
                joint.id: struct.pack("<i", self.held(joint, states[joint.id].counts))
                for joint in self.joints
            }
            self.map.ensure_all(XTable.goal_position.address, here, "its position as its goal")
        self.set_all(XTable.torque.address, b"\x01", "torque on")
        self.set_all(XTable.watchdog.address, bytes((self.watchdog,)), "its watchdog")

    def set_all(self, address: int, value: bytes, what: str) -> None:
        """Write the same to all servos and see that they took it."""
        self.map.ensure_all(address, {joint.id: value for joint in self.joints}, what)

    def send(self, values: dict[int, float]) -> None:
        """Send goals by one frame."""
        if self.config.mode == "position":
            goals = {id: struct.pack("<i", int(counts)) for id, counts in values.items()}
            self.map.write_all(XTable.goal_position.address, goals)
        else:
            goals = {id: struct.pack("<i", self.units(speed)) for id, speed in values.items()}
            self.map.write_all(XTable.goal_velocity.address, goals)

    def safe(self) -> None:
        """Switch the torque of all servos off by one frame."""
        self.map.write_all(XTable.torque.address, {joint.id: b"\x00" for joint in self.joints})

    def measure(self) -> dict[int, ServoState]:
        """Read velocity and position of all servos."""
        block = XTable.present
        found = self.map.read_all(self.map.names, block.address, block.size)
        states = {}
        for id, data in found.items():
            _, velocity, position = block.struct.unpack(data)
            states[id] = ServoState(position, velocity * VELOCITY)
        return states

    def examine(self, joint: Joint) -> None:
        """Check one servo for hardware errors, lost torque and a tripped watchdog."""
        torque, _, error, watchdog = self.map.servo(joint.id).health
        name = self.map.name(joint.id)
        if error:
            text = f"{name}: hardware error: {condition(error, HARDWARE_ERRORS)}"
            cure = "remove the cause; it is restarted by itself"
            raise self.fault(FaultKind.REJECTED, text, cure)
        if self.armed_ns and not torque:
            raise self.restarted(f"{name} lost its torque")
        if self.armed_ns and watchdog == 0xFF:
            text = f"{name}: its watchdog tripped"
            raise self.fault(FaultKind.REJECTED, text, cure="is the line overloaded?")
        if self.armed_ns and watchdog != self.watchdog:
            raise self.restarted(f"{name}: its watchdog is {watchdog} and not {self.watchdog}")

    @command
    def reboot(self, id: int) -> Generator[float, None, str]:
        """Restart one servo, which forgets hardware errors; refused while they are in use."""
        self.refuse_while_armed()
        self.map.ask(id, REBOOT)
        yield RESTART
        return f"{self.map.name(id)} is {self.model(id)[0]}"

    @command
    def set_id(self, old: int, new: int) -> str:
        """Give a servo another id, such as 1 of a new one; refused while they are in use."""
        self.refuse_while_armed()
        self.free_id(new)
        self.map.write_all(XTable.id.address, {old: bytes((new,))})  # not answered: by which id?
        return f"servo {old} is now {new}: {self.model(new)[0]}"


REFUSED, UNKNOWN, RANGE, LIMIT, ACCESS = 1, 2, 4, 6, 7  # error numbers of a status
BULK_READ, BULK_WRITE = 0x92, 0x93
FIXED = ((0, 7), (69, 71), (120, 148))  # registers that cannot be written
GOALS = (100, 120)
RANGES = {  # values that a register takes
    "id": (0, 252),
    "drive_mode": (0, 13),
    "torque": (0, 1),
    "return_level": (0, 2),
    "watchdog": (0, 127),
}


class DynamixelSim(ChainSim[DynamixelConfig, DynamixelMap], twin_of=Dynamixel):
    """XL430-W250 servos with their limits, locks, watchdog and hardware errors."""

    options: ServoSimConfig
    ram = 64

    def decode(self, frame: bytes) -> Packet | None:
        """Return the instruction in a frame."""
        packet = DynamixelMap.decode(frame)
        return None if packet is None or packet.code == STATUS else packet

    def reply(self, servo: SimServo, data: bytes = b"", error: int = 0) -> bytes:
        """Return a status, with the alert bit while there is a hardware error."""
        alert = ALERT if servo.table.hardware_error else 0
        return DynamixelMap.encode(servo.id, STATUS, bytes((error | alert,)) + data)

    def ping(self, servo: SimServo, data: bytes) -> bytes:
        """Tell model and firmware."""
        about = struct.pack("<HB", servo.table.model_number, servo.table.firmware)
        return self.reply(servo, about)

    def other(self, packet: Packet) -> list[bytes]:
        """Read and write in bulk; refuse what is unknown."""
        answers = []
        data = packet.data
        if packet.code == BULK_READ:
            for at in range(0, len(data) - 4, 5):
                id, address, count = struct.unpack_from("<BHH", data, at)
                answers += [self.tell(servo, address, count) for servo in self.alive((id,))]
        elif packet.code == BULK_WRITE:
            while len(data) >= 5:
                id, address, count = struct.unpack_from("<BHH", data)
                for servo in self.alive((id,)):
                    self.write(servo, address, data[5 : 5 + count])
                data = data[5 + count :]
        else:
            answers = [self.reply(servo, error=UNKNOWN) for servo in self.alive((packet.id,))]
        return answers

    def told(self, servo: SimServo) -> bool:
        """Return whether a servo confirms what was written to it."""
        return int(servo.table.return_level) == 2

    def write(self, servo: SimServo, address: int, data: bytes) -> int:
        """Write as far as the servo allows it."""
        table = servo.table

        def touches(low: int, high: int) -> bool:
            return address < high and low < address + len(data)

        if any(touches(*fixed) for fixed in FIXED) or (table.torque and touches(0, self.ram)):
            return ACCESS
        if table.watchdog == 0xFF and touches(*GOALS):
            return RANGE
        before, had_torque = servo.read(0, len(servo.memory)), table.torque
        servo.write(address, data)
        error = self.fault_in(servo, touches)
        if error:
            servo.write(0, before)
            return error
        servo.id = table.id
        if table.torque and not had_torque:
            servo.motor.reset()
            table.goal_position = servo.counts
        return 0

    def fault_in(self, servo: SimServo, touches: Callable[[int, int], bool]) -> int:
        """Return the error for values that a servo does not take, 0 for none."""
        table = servo.table
        for name, (low, high) in RANGES.items():
            at = XTable.fields[name].address
            if touches(at, at + 1) and not low <= getattr(table, name) <= high:
                return RANGE
        if table.operating_mode not in (0, VELOCITY_MODE, POSITION_MODE, 4, 5, 16):
            return RANGE
        if table.torque and table.hardware_error:
            return REFUSED
        if touches(104, 108) and abs(table.goal_velocity) > table.velocity_limit:
            return LIMIT
        within = table.lowest <= table.goal_position <= table.highest
        positions = table.operating_mode == POSITION_MODE
        return LIMIT if touches(116, 120) and positions and not within else 0

    def guard(self, servo: SimServo) -> None:
        """Stop when nothing was heard for too long; shut down on a hardware error."""
        table = servo.table
        if not table.torque:
            return
        if 0 < table.watchdog <= 127 and self.time - servo.heard > table.watchdog * WATCHDOG:
            table.watchdog = 0xFF
            table.goal_velocity, table.goal_position = 0, servo.counts
        hot = servo.motor.temperature > table.hottest
        volts = table.least_voltage <= round(self.supply * 10) <= table.most_voltage
        error = (0x04 if hot else 0) | (0 if volts else 0x01)
        if error:
            table.hardware_error |= error
            table.torque = 0

    def drive(self, servo: SimServo) -> Regulator:
        """Follow the goal of the operating mode."""
        table, motor = servo.table, servo.motor
        if table.operating_mode == VELOCITY_MODE:
            velocity = table.goal_velocity * VELOCITY
            return lambda step: motor.hold_velocity(velocity, step)
        _, speed = table.profile
        most = (speed or table.velocity_limit) * VELOCITY
        goal = (table.goal_position - MIDDLE) * COUNT
        return lambda step: motor.hold_position(goal, most, step)

    def show(self, servo: SimServo) -> None:
        """Measure load, velocity, position, voltage and temperature."""
        motor, table = servo.motor, servo.table
        noise = self.random.gauss(0.0, 0.3) if motor.velocity else 0.0
        load = motor.amperes * motor.options.resistance / max(self.supply, 1.0) * 1000  # 0.1 %
        velocity = clamp(motor.velocity / VELOCITY + noise, -1023, 1023)
        table.present = (clamp(load, -1000, 1000), velocity, servo.counts)
        table.moving = int(velocity != 0)
        table.supply = clamp(self.supply * 10, 0, 0xFFFF)
        table.temperature = clamp(motor.temperature, 0, 255)
