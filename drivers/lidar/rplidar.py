"""Slamtec RPLidar A1, A2, A3 and S1: a planar scanner on a serial port.

Source: Slamtec "RPLIDAR interface protocol and application notes" LR001 revision 2.2, the standard
scan. 115200 baud (A3, S1: 256000). The motor of an A1 hangs on the port's DTR line: give the port
``dtr: false``; that of the others follows `rate`. The standard scan has no checksum: what can be
told from its check bits, and from the order of the angles, is; a flipped bit in a distance is not.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from horus_drivers.lidar.planar import BACKWARD, FORWARD, Ray, ScannerConfig, ScannerSim, Sweep

from horus.hal import (
    Driver,
    FaultKind,
    Framing,
    Link,
    Packet,
    PacketMap,
    Steps,
    Stimulus,
    option,
)
from horus.hal.checksums import xor8
from horus.msgs import LaserScan

RANGE_MIN = 0.15  # m
PWM_PER_TURN = 66.0  # of 1023, for one turn a second: 660 is 10 Hz
NODE = struct.Struct("<BHH")  # quality << 2 | !S << 1 | S; angle (1/64 deg) << 1 | 1; 1/4 mm
FOLLOWED_BY = 2  # nodes that must come after one before it is believed
HALF_TURN = 180 * 64
START = 30 * 64  # what is marked as the first of a turn is within this of 0
FULL_TURN = 361 * 64  # a little more than a turn is sent now and then
ANSWER = b"\xa5\x5a"
SPIN_UP = 1.0  # s
HEALTH = {0: "good", 1: "warning", 2: "error"}


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
    request_framing = RequestFraming()
    info = Packet(0x04, "<4B16s")  # model, firmware minor and major, hardware, serial number
    health = Packet(0x06, "<BH")  # status, error code
    nodes = Packet(0x81)

    stop = b"\xa5\x25"
    reset = b"\xa5\x40"
    scan = b"\xa5\x20"
    force_scan = b"\xa5\x21"
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


@dataclass(frozen=True, kw_only=True)
class RplidarConfig(ScannerConfig):
    """Options of an RPLidar."""

    rate: float = option(
        10.0, unit="Hz", low=0.5, high=15, doc="turns a second; an A1 makes about 5.5 whatever"
    )


class Rplidar(Driver[RplidarConfig, RplidarPackets]):
    """One scan a turn, in the order the rays are measured."""

    poll_rate = 200.0

    def __init__(self, config: RplidarConfig, link: Link) -> None:
        super().__init__(config, link)
        self.sweep = Sweep(config, RANGE_MIN)
        self._stopped = False
        self._serial_number = ""

    def probe(self) -> bool:
        """Return whether the scanner has told about itself; ask it in turns with stopping it.

        A program that died may have left it scanning, and then it does not listen to questions.
        """
        for frame in self.map.frames():
            info = self.map.payload(frame, RplidarPackets.info)
            if info is not None:
                *_, serial = self.map.info.unpack(info)
                self._serial_number = serial.hex()
                return True
        self._stopped = not self._stopped
        self.map.link.write(self.map.stop if self._stopped else self.map.get_info)
        return False

    def identity(self) -> str:
        """Return the serial number."""
        return self._serial_number

    def configure(self) -> Steps:
        """Check its health, start the motor, and let it scan."""
        self.map.link.write(self.map.stop)
        yield 0.01
        status, code = self._health()
        if status == 2:  # as the manufacturer advises: an error may be gone after a reset
            self.map.link.write(self.map.reset)
            yield 1.0
            status, code = self._health()
        if status not in (0, 1):
            text = f"it reports {HEALTH.get(status, 'an unknown state')} (code 0x{code:04X})"
            cure = "let its motor turn freely, power-cycle it"
            raise self.fault(FaultKind.REJECTED, text, cure)
        pwm = min(round(self.config.rate * PWM_PER_TURN), 1023)
        self.map.link.write(self.map.set_motor(pwm))
        yield SPIN_UP
        self.map.link.write(self.map.scan)

    def _health(self) -> tuple[int, int]:
        def accept(frame: bytes) -> tuple[int, int] | None:
            payload = self.map.payload(frame, RplidarPackets.health)
            if payload is None:
                return None
            status, code = self.map.health.unpack(payload)
            return status, code

        return self.map.link.ask(self.map.get_health, self.map.framing, accept, timeout=0.2)

    def read(self) -> LaserScan | None:
        """Return a turn once the next one has begun."""
        scan = None
        for frame in self.map.frames():
            if frame[:2] == ANSWER:
                continue
            before = self.sweep.astray
            for head, angle, distance in NODE.iter_unpack(frame):
                degrees = (angle >> 1) / 64.0 % 360.0
                found = self.sweep.add(degrees, distance / 4e3, head >> 2, self.link.stamp_ns)
                scan = found or scan
            self.link.errors += self.sweep.astray - before
        if scan is not None:
            self.link.stamp_ns = self.sweep.stamp_ns
        return scan


class RplidarSim(ScannerSim[RplidarConfig, RplidarPackets], twin_of=Rplidar):
    """A scanner of the A2 kind: its motor follows the PWM, its range is 12 m."""

    health = Stimulus(0.0, low=0.0, high=2.0, doc="0 good, 1 warning, 2 error")

    def power_on(self) -> None:
        """Come up with the motor off, listening."""
        self.pwm = 0
        self.scanning = False

    def wanted_speed(self) -> float:
        """Return the turns a second that the PWM gives; below a sixteenth it stands."""
        return self.pwm / PWM_PER_TURN if self.pwm >= 64 else 0.0

    def measuring(self) -> bool:
        """Return whether it was told to scan."""
        return self.scanning

    def answer(self, frame: bytes) -> bytes:
        """Act on a request."""
        if frame[1] == 0xF0 and len(frame) == 6:
            self.pwm = min(int.from_bytes(frame[3:5], "little"), 1023)
        elif frame in (RplidarPackets.stop, RplidarPackets.reset):
            self.scanning = False
        elif frame in (RplidarPackets.scan, RplidarPackets.force_scan):
            if self.health < 2:
                self.scanning = True
                return bytes.fromhex("A55A0500004081")
        elif self.scanning:
            return b""  # it listens to nothing else then
        elif frame == RplidarPackets.get_info:
            serial = self.options.seed.to_bytes(16, "big", signed=False)
            about = RplidarPackets.info.struct.pack(0x28, 0x18, 0x01, 0x04, serial)
            return bytes.fromhex("A55A1400000004") + about
        elif frame == RplidarPackets.get_health:
            code = 0x8001 if self.health >= 1 else 0
            state = RplidarPackets.health.struct.pack(int(self.health), code)
            return bytes.fromhex("A55A0300000006") + state
        return b""

    def emit(self) -> list[bytes]:
        """Return the nodes that were measured since the last call, in one piece."""
        return [b"".join(self.node(ray) for ray in self.rays())]

    @staticmethod
    def node(ray: Ray) -> bytes:
        """Return one measurement as it is sent."""
        quality = 47 if ray.metres else 0
        angle = int(ray.angle * 64.0) << 1 | 1
        return NODE.pack(quality << 2 | (1 if ray.first else 2), angle, round(ray.metres * 4e3))
