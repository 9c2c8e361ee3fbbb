"""VESC motor controller on a serial port (UART or USB): velocity, position, torque or duty cycle.

Sources: comm/packet.c, comm/commands.c, datatypes.h of github.com/vedderb/bldc, firmware 3.33 and
later. First, in VESC Tool: run the motor wizard, set App to Use to UART with the baud rate of the
bus (115,200 as delivered), and Speed PID > Minimum ERPM below the slowest speed. Its own time-out
(App Settings > General > Timeout, 0.5 s as delivered) releases the motor when commands stop,
whatever becomes of this program.

A second VESC on the first one's CAN bus is reached through the same port: give its id as ``node``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from horus_drivers.motor._vesc import (
    ANGLE,
    CURRENT,
    DUTY,
    VescConfig,
    VescTwin,
    VescUnits,
    hottest,
)

from horus.hal import (
    Actuator,
    DeviceFault,
    FaultKind,
    Framing,
    Link,
    Packet,
    PacketMap,
    option,
)
from horus.hal.checksums import crc16_xmodem
from horus.hal.simserial import SerialSim
from horus.msgs import ControlMode, MotorCommand, MotorState

SHORT, LONG, END = 2, 3, 3
LARGEST = 512  # bytes of a payload
OLDEST = (3, 33)  # firmware
LOCAL = 256  # the place of the VESC at the port itself; those behind it have ids up to 254
LATENCY = 0.03  # s
FAULTS = {
    1: "over voltage",
    2: "under voltage",
    3: "gate driver",
    4: "absolute over current",
    5: "transistors too hot",
    6: "motor too hot",
    7: "gate driver over voltage",
    8: "gate driver under voltage",
    9: "voltage of the controller too low",
    10: "restarted by its watchdog",
}


class VescFraming(Framing):
    """02 and a length of one byte, or 03 and one of two; payload, CRC, 03."""

    def measure(self, data: bytes) -> int:
        """Return the size of the frame."""
        if data[0] == SHORT:
            return 0 if len(data) < 2 else data[1] + 5 if data[1] else -1
        if data[0] != LONG:
            return -1
        if len(data) < 3:
            return 0
        size = data[1] << 8 | data[2]
        return size + 6 if 255 < size <= LARGEST else -1

    def valid(self, frame: bytes) -> bool:
        """Return whether checksum and end are right."""
        found: int = struct.unpack_from(">H", frame, len(frame) - 3)[0]
        return frame[-1] == END and found == crc16_xmodem(payload(frame))


def payload(frame: bytes) -> bytes:
    """Return what a frame carries."""
    return frame[2 if frame[0] == SHORT else 3 : -3]


def framed(data: bytes) -> bytes:
    """Return the frame that carries a payload."""
    size = bytes((SHORT, len(data))) if len(data) < 256 else struct.pack(">BH", LONG, len(data))
    return size + data + struct.pack(">HB", crc16_xmodem(data), END)


class Values(NamedTuple):
    """What a VESC measures, in its own units."""

    fet: int  # 0.1 °C
    motor: int
    current: int  # 0.01 A
    current_in: int
    direct: int
    quadrature: int
    duty: int  # 0.001
    erpm: int
    voltage: int  # 0.1 V
    charge: int
    charge_back: int
    energy: int
    energy_back: int
    tachometer: int
    distance: int
    fault: int
    angle: int  # 1e-6°
    id: int


class VescPackets(PacketMap):
    """Payloads by command; all big-endian."""

    framing = VescFraming()
    version = Packet(0, ">BB")  # major and minor; name and serial number follow
    values = Packet(4, ">hhiiiihihiiiiiiBiB")  # longer in later firmware
    duty = Packet(5, ">i")
    current = Packet(6, ">i")
    brake = Packet(7, ">i")
    erpm = Packet(8, ">i")
    angle = Packet(9, ">i")
    alive = Packet(30)
    forward = Packet(34, ">B")  # the id of another VESC; then what is for that one

    @classmethod
    def stations(cls, config: Any) -> tuple[int, ...]:
        """Return the id behind the port, or the place of the VESC at the port itself."""
        return (LOCAL if config.node is None else config.node,)

    @classmethod
    def place(cls, config: Any) -> str:
        """Return which VESC it is, for people."""
        return "port" if config.node is None else f"can {config.node}"

    def send(self, packet: Packet, *values: float) -> None:
        """Send a command; it is not confirmed."""
        self.link.write(self.request(packet, *values))

    def request(self, packet: Packet, *values: float) -> bytes:
        """Return the frame of a command to the VESC that is meant."""
        data = bytes((packet.number,)) + packet.pack(*values)
        if self.link.station != LOCAL:
            data = bytes((VescPackets.forward.number, self.link.station)) + data
        return framed(data)

    def ask(self, packet: Packet) -> bytes:
        """Ask for something without a payload of its own; return the answer after its command."""
        request = framed(bytes((packet.number,)))
        if self.link.station != LOCAL:
            head = bytes((VescPackets.forward.number, self.link.station))
            request = framed(head + bytes((packet.number,)))

        def accept(frame: bytes) -> bytes | None:
            data = payload(frame)
            whole = len(data) > packet.struct.size
            return data[1:] if whole and data[0] == packet.number else None

        timeout = LATENCY + self.link.time_for(100)
        return self.link.ask(request, self.framing, accept, timeout)


@dataclass(frozen=True, kw_only=True)
class VescUartConfig(VescConfig):
    """Options of a VESC at a serial port, or behind one."""

    rate: float = option(50.0, unit="Hz", above=0, high=500, doc="commands and states a second")
    node: int | None = option(
        None, low=0, high=254, doc="VESC ID of one on the CAN bus of that at the port"
    )


#: Settings by name: the packet and the unit of one count.
SETTINGS = {
    "duty": (VescPackets.duty, DUTY),
    "current": (VescPackets.current, CURRENT),
    "erpm": (VescPackets.erpm, 1),
    "angle": (VescPackets.angle, ANGLE),
}


class VescUart(Actuator[VescUartConfig, VescPackets]):
    """One motor: made safe it gets no current and coasts."""

    def __init__(self, config: VescUartConfig, link: Link) -> None:
        super().__init__(config, link)
        self.units = VescUnits(config)
        self._mode = ControlMode.VELOCITY

    def probe(self) -> bool:
        """Ask for the firmware's version."""
        try:
            found = VescPackets.version.unpack(self.map.ask(VescPackets.version))
        except DeviceFault as fault:
            if fault.kind is FaultKind.TIMEOUT:
                return False
            raise
        if found < OLDEST:
            text = f"a VESC with firmware {found[0]}.{found[1]:02d}, not 3.33 or later"
            raise self.fault(FaultKind.REJECTED, text, cure="update it with VESC Tool")
        return True

    def arm(self) -> None:
        """Let no current flow: a VESC always follows commands."""
        self.safe()

    def check(self, command: MotorCommand) -> None:
        """Refuse what is over a limit, or cannot be done."""
        self.units.check(self, command)

    def write(self, command: MotorCommand) -> None:
        """Set velocity, duty, current or angle."""
        name, value = self.units.setting(command)
        self._mode = ControlMode(command.mode)
        packet, unit = SETTINGS[name]
        self.map.send(packet, round(value / unit))

    def safe(self) -> None:
        """Let no current flow."""
        self.map.send(VescPackets.current, 0)

    def read(self) -> MotorState:
        """Ask for all that is measured."""
        values = self.measure()
        if values.fault:
            text = f"fault {values.fault}: {FAULTS.get(values.fault, 'see VESC Tool')}"
            raise self.fault(FaultKind.REJECTED, text, cure="remove the cause; it clears by itself")
        units = self.units
        current = values.current / 100 * units.sign
        return MotorState(
            position=values.tachometer / units.steps,
            velocity=values.erpm / units.erpm,
            torque=current * units.torque if units.torque else float("nan"),
            current=current,
            voltage=values.voltage / 10,
            temperature=hottest(values.fet / 10, values.motor / 10),
            mode=self._mode if self.armed_ns else ControlMode.IDLE,
            armed=bool(self.armed_ns),
        )

    def measure(self) -> Values:
        """Return the values of the VESC that was asked; those of another are a fault."""
        values = Values(*VescPackets.values.unpack(self.map.ask(VescPackets.values)))
        node = self.config.node
        if node is not None and values.id != node:
            raise self.fault(FaultKind.CORRUPT, f"VESC {values.id} answered instead of {node}")
        return values

    def at_rest(self) -> str:
        """Tell of a motor that does not turn."""
        return self.resting(self.measure().erpm / self.units.erpm)


class VescUartSim(VescTwin, SerialSim[VescUartConfig, VescPackets], twin_of=VescUart):
    """A VESC with firmware 5.2, at the port or behind it."""

    firmware: ClassVar[tuple[int, int]] = (5, 2)

    def answer(self, frame: bytes) -> bytes:
        """Act on a command, if it is for this VESC."""
        data = payload(frame)
        node = self.config.node
        if node is not None:
            if data[:2] != bytes((VescPackets.forward.number, node)):
                return b""
            data = data[2:]
        if not data:
            return b""
        number, data = data[0], data[1:]
        if number == VescPackets.version.number:
            name = b"60\x00" + bytes(range(12)) + b"\x00"  # hardware, serial number, not paired
            return framed(bytes((0, *self.firmware)) + name)
        if number == VescPackets.values.number:
            return framed(bytes((number,)) + self.values())
        if number == VescPackets.alive.number:
            self.core.fed = self.time
        elif number == VescPackets.brake.number and len(data) >= 4:
            self.core.set("brake", VescPackets.brake.unpack(data)[0] * CURRENT, self.time)
        for setting, (packet, unit) in SETTINGS.items():
            if number == packet.number and len(data) >= packet.struct.size:
                self.core.set(setting, packet.unpack(data)[0] * unit, self.time)
        return b""

    def values(self) -> bytes:
        """Return what is measured, as firmware 5.2 lays it out."""
        core, motor = self.core, self.core.motor
        current = round(motor.amperes * 100)
        values = Values(
            fet=round((motor.temperature + self.ambient) / 2 * 10),
            motor=round(motor.temperature * 10),
            current=current,
            current_in=round(motor.supply_amperes * 100),
            direct=0,
            quadrature=current,
            duty=round(core.duty * 1000),
            erpm=round(core.erpm + self.random.gauss(0.0, 0.5)),
            voltage=round(motor.volts * 10),
            charge=0,
            charge_back=0,
            energy=0,
            energy_back=0,
            tachometer=core.tachometer,
            distance=abs(core.tachometer),
            fault=0 if self.voltage >= 8.0 else 2,
            angle=round(motor.position * 57.29578e6) % 360_000_000,
            id=self.config.node or 0,
        )
        return VescPackets.values.pack(*values) + struct.pack(">hhhiiB", 250, 250, 250, 0, 0, 0)
