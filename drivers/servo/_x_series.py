"""The control table of Dynamixel's X series, and the packets of Protocol 2.0.

Sources: ROBOTIS e-Manual, "Protocol 2.0" and the control tables of the X series; DynamixelSDK 4.1.
"""

from __future__ import annotations

import struct

from horus_drivers.servo._packets import Packet, ServoMap

from horus.hal import Burst, Checksum, HeaderFraming, Register, RegisterMap
from horus.hal.checksums import crc16_umts

HEADER = b"\xff\xff\xfd\x00"
STATUS = 0x55
ALERT = 0x80
MARK, STUFFED = b"\xff\xff\xfd", b"\xff\xff\xfd\xfd"
VELOCITY_MODE, POSITION_MODE = 1, 3
MODELS = {
    1000: "XH430-W350",
    1010: "XH430-W210",
    1020: "XM430-W350",
    1030: "XM430-W210",
    1040: "XH430-V350",
    1050: "XH430-V210",
    1060: "XL430-W250",
    1070: "XC430-W150",
    1080: "XC430-W240",
    1090: "2XL430-W250",
    1100: "XH540-W270",
    1110: "XH540-W150",
    1120: "XM540-W270",
    1130: "XM540-W150",
    1140: "XH540-V270",
    1150: "XH540-V150",
    1160: "2XC430-W250",
    1170: "XW540-T260",
    1180: "XW540-T140",
    1190: "XL330-M077",
    1200: "XL330-M288",
    1210: "XC330-T181",
    1220: "XC330-T288",
    1230: "XC330-M181",
    1240: "XC330-M288",
    1270: "XW430-T333",
    1280: "XW430-T200",
    1310: "XW540-H260",
}
REFUSALS = {
    1: "it could not carry the instruction out",
    2: "unknown instruction",
    4: "a value is out of range",
    5: "too few bytes",
    6: "a value is over a limit that is set in the servo",
    7: "read-only, or locked while torque is on",
}
CRC_ERROR = 3  # the request came damaged: as good as not heard


class XTable(RegisterMap):
    """The part of the X series' control table that is used here; below 64 it outlives power."""

    model_number = Register(0, "<H", reset=1060)
    firmware = Register(6, "B", reset=45)
    id = Register(7, "B", reset=1)
    settings = Burst(9, "<5B")  # return delay, drive mode, operating mode, second id, protocol
    drive_mode = Register(10, "B")
    operating_mode = Register(11, "B", reset=POSITION_MODE)
    protocol = Register(13, "B", reset=2)
    homing_offset = Register(20, "<i")
    hottest = Register(31, "B", reset=72)  # °C
    most_voltage = Register(32, "<H", reset=160)  # 0.1 V
    least_voltage = Register(34, "<H", reset=60)
    limits = Burst(44, "<Iii")  # velocity, highest and lowest position
    velocity_limit = Register(44, "<I", reset=265)
    highest = Register(48, "<i", reset=4095)
    lowest = Register(52, "<i", reset=0)
    torque = Register(64, "B")
    health = Burst(64, "<B3xBxB27xB")  # torque, status return level, hardware error, watchdog
    return_level = Register(68, "B", reset=2)
    hardware_error = Register(70, "B")
    watchdog = Register(98, "B")
    goal_velocity = Register(104, "<i")
    profile = Burst(108, "<II")  # acceleration, velocity
    goal_position = Register(116, "<i")
    moving = Register(122, "B")
    present = Burst(126, "<hii")  # current or load, velocity, position
    present_velocity = Register(128, "<i")
    present_position = Register(132, "<i", reset=2048)
    supply = Register(144, "<H")  # 0.1 V
    temperature = Register(146, "B")  # °C


class DynamixelMap(ServoMap[XTable]):
    """Protocol 2.0: header, id, length, instruction, parameters, CRC; little-endian.

    The header's first bytes never stand inside of a packet: another FD is stuffed behind them.
    """

    framing = HeaderFraming(
        HEADER, length=(5, "<H", 7), checksum=Checksum(crc16_umts, "<H"), largest=1024
    )
    table = XTable
    place_format = struct.Struct("<HH")
    overhead = 11
    ping_size = 3

    @classmethod
    def encode(cls, id: int, code: int, data: bytes = b"") -> bytes:
        """Return the frame of an instruction, or of a status whose data begins with its error."""
        body = bytes((code,)) + data.replace(MARK, STUFFED)
        frame = HEADER + struct.pack("<BH", id, len(body) + 2) + body
        return frame + struct.pack("<H", crc16_umts(frame))

    @classmethod
    def decode(cls, frame: bytes) -> Packet | None:
        """Return an instruction or status with its parameters; None for what is too short."""
        if len(frame) < 10:
            return None
        return Packet(frame[4], frame[7], frame[8:-2].replace(STUFFED, MARK))

    @classmethod
    def status(cls, frame: bytes) -> Packet | None:
        """Return the status in a frame; None for an instruction, or one that came damaged."""
        packet = cls.decode(frame)
        if packet is None or packet.code != STATUS or not packet.data:
            return None
        error = packet.data[0]
        if error & ~ALERT == CRC_ERROR:
            return None
        return Packet(packet.id, error, packet.data[1:])

    @classmethod
    def refusal(cls, error: int) -> str:
        """Return the error number in words."""
        number = error & ~ALERT
        return REFUSALS.get(number, f"error {number}") if number else ""

    @classmethod
    def alert(cls, error: int) -> int:
        """Return whether there is a hardware error to ask for."""
        return error & ALERT
