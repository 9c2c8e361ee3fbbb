"""Slamtec's protocol: requests, answers with a descriptor, and the packets of two kinds of scan.

Source: Slamtec "RPLIDAR interface protocol and application notes" LR001 revision 2.2.
"""

from __future__ import annotations

import struct

from horus_drivers.lidar.planar import BACKWARD, FORWARD

from horus.hal import Framing, Packet, PacketMap
from horus.hal.checksums import xor8

NODE = struct.Struct("<BHH")  # quality << 2 | !S << 1 | S; angle (1/64 deg) << 1 | 1; 1/4 mm
FOLLOWED_BY = 2  # nodes that must come after one before it is believed
HALF_TURN = 180 * 64
START = 30 * 64  # what is marked as the first of a turn is within this of 0
FULL_TURN = 361 * 64  # a little more than a turn is sent now and then
ANSWER = b"\xa5\x5a"
CABINS = 16  # in an express packet, of two rays each


def _angle(node: tuple[int, int, int]) -> int:
    """Return the angle (1/64 deg) of what may be a node; -1 if it is none."""
    head, angle, _ = node
    if not angle & 1 or head & 3 not in (1, 2) or angle >> 1 >= FULL_TURN:
        return -1
    angle >>= 1
    begins = angle < START or angle > FULL_TURN - START
    return angle if begins or head & 1 == 0 else -1


class RplidarFraming(Framing):
    """Answers with a descriptor of seven bytes, and runs of the nodes of a scan, which have none.

    A node cannot look like a descriptor: its check bit would be 0.
    """

    def measure(self, data: bytes) -> int:
        """Return the size of the answer or of the run of nodes at the start of the data."""
        if ANSWER.startswith(data[:2]):
            return self._answer(data)
        run, broken, last = 0, False, -1
        for node in NODE.iter_unpack(data[: len(data) // NODE.size * NODE.size]):
            angle = _angle(node)
            step = (angle - last + HALF_TURN) % (2 * HALF_TURN) - HALF_TURN
            follows = last < 0 or BACKWARD * 64 <= step <= FORWARD * 64
            if angle < 0 or not follows:
                broken = True
                break
            run, last = run + 1, angle
        if run > FOLLOWED_BY:
            return (run - FOLLOWED_BY) * NODE.size
        return -1 if broken else 0

    def _answer(self, data: bytes) -> int:
        if len(data) < 7:
            return 0
        word = int.from_bytes(data[2:6], "little")
        once, size = not word >> 30, word & 0x3FFFFFFF
        if size > 256:
            return -1
        return 7 + size if once else 7


class ExpressFraming(Framing):
    """Packets of an express scan: 84 bytes whose first two carry the checksum of the others."""

    def measure(self, data: bytes) -> int:
        """Return the size of the packet at the start of the data."""
        if data[0] >> 4 != 0xA or (len(data) > 1 and data[1] >> 4 != 0x5):
            return -1
        return 84 if len(data) > 1 else 0

    def valid(self, frame: bytes) -> bool:
        """Return whether the checksum is right."""
        return xor8(frame[2:]) == (frame[0] & 0xF | (frame[1] & 0xF) << 4)


class RequestFraming(Framing):
    """Requests: with bit 7 of the command set they carry a length, a payload and a checksum."""

    def measure(self, data: bytes) -> int:
        """Return the size of the request at the start of the data."""
        if data[:1] != b"\xa5":
            return -1
        if len(data) < 2 or data[1] < 0x80:
            return 2 if len(data) >= 2 else 0
        return 4 + data[2] if len(data) > 2 else 0

    def valid(self, frame: bytes) -> bool:
        """Return whether the checksum is right, where there is one."""
        return len(frame) == 2 or xor8(frame) == 0


class RplidarPackets(PacketMap):
    """Requests, by command, and the answers to them, by type."""

    framing = RplidarFraming()
    express_framing = ExpressFraming()
    request_framing = RequestFraming()
    info = Packet(0x04, "<4B16s")  # model, firmware minor and major, hardware, serial number
    health = Packet(0x06, "<BH")  # status, error code
    nodes = Packet(0x81)
    express = Packet(0x82, "<2x H" + CABINS * "HHB")  # start angle (1/64 deg), then the cabins

    stop = b"\xa5\x25"
    reset = b"\xa5\x40"
    scan = b"\xa5\x20"
    force_scan = b"\xa5\x21"
    express_scan = bytes.fromhex("A582050000000000 22")
    get_info = b"\xa5\x50"
    get_health = b"\xa5\x52"

    @staticmethod
    def set_motor(pwm: int) -> bytes:
        """Return the request that gives the motor a duty of 0 to 1023."""
        request = b"\xa5\xf0\x02" + struct.pack("<H", pwm)
        return request + bytes((xor8(request),))

    @staticmethod
    def payload(frame: bytes, packet: Packet) -> bytes | None:
        """Return what an answer of this type carries; None for other frames."""
        return frame[7:] if frame[:2] == ANSWER and frame[6] == packet.number else None
