"""LDROBOT LD06, LD19 and STL-19P: a planar scanner that sends by itself at 230400 baud.

Sources: LDROBOT "LD06 development manual" V1.0 and "LD19 development manual" V2.3. The speed of its
motor is set by a PWM on a pin of its own; with the pin at ground it regulates itself to 10 Hz.
"""

from __future__ import annotations

from dataclasses import dataclass

from horus_drivers.lidar.planar import Ray, ScannerConfig, ScannerSim, Sweep

from horus.hal import Checksum, Driver, HeaderFraming, Link, Packet, PacketMap, option
from horus.hal.checksums import crc8
from horus.msgs import LaserScan

RANGE_MIN = 0.02  # m
POINTS = 12  # in a packet
SAMPLES = 4500.0  # points a second
TURN = 36_000  # in 0.01 deg
CHECKSUM = Checksum(crc8(0x4D))
WIDEST = 30.0  # deg: more between the first and the last point of a packet cannot be


class Ld06Packets(PacketMap):
    """Its one packet: 47 bytes, little-endian."""

    baudrate = 230_400  # cannot be changed
    framing = HeaderFraming(b"\x54\x2c", size=47, checksum=CHECKSUM)
    #: Speed (deg/s), first angle (0.01 deg), 12 × (mm, strength), last angle, clock (ms).
    points = Packet(0x2C, "<2x HH" + POINTS * "HB" + "HH x")


@dataclass(frozen=True, kw_only=True)
class Ld06Config(ScannerConfig):
    """Options of an LD06."""

    rate: float = option(
        10.0, unit="Hz", low=0.5, high=20, doc="turns a second, as its PWM pin makes it turn"
    )


class Ld06(Driver[Ld06Config, Ld06Packets]):
    """One scan a turn, in the order the rays are measured."""

    poll_rate = 200.0

    def __init__(self, config: Ld06Config, link: Link) -> None:
        super().__init__(config, link)
        self.sweep = Sweep(config, RANGE_MIN)

    def probe(self) -> bool:
        """Return whether whole packets arrive."""
        return bool(self.map.frames())

    def read(self) -> LaserScan | None:
        """Return a turn once the next one has begun."""
        scan = None
        for frame in self.map.frames():
            scan = self._take(frame, self.link.stamp_ns) or scan
        if scan is not None:
            self.link.stamp_ns = self.sweep.stamp_ns
        return scan

    def _take(self, frame: bytes, stamp_ns: int) -> LaserScan | None:
        _, first, *points, last, _ = self.map.points.unpack(frame)
        span = (last - first) % TURN / 100.0
        if first > TURN or last > TURN or span > WIDEST:
            self.link.errors += 1
            return None
        scan = None
        for number in range(POINTS):
            angle = (first / 100.0 + span * number / (POINTS - 1)) % 360.0
            metres, strength = points[2 * number] / 1e3, points[2 * number + 1]
            scan = self.sweep.add(angle, metres, strength, stamp_ns) or scan
        return scan


class Ld06Sim(ScannerSim[Ld06Config, Ld06Packets], twin_of=Ld06):
    """A scanner that turns and sends as long as it has power; its range is 12 m."""

    samples = SAMPLES

    def power_on(self) -> None:
        """Begin a packet."""
        self.begun: list[Ray] = []

    def wanted_speed(self) -> float:
        """Return the turns a second that its PWM pin asks for."""
        return self.config.rate

    def emit(self) -> list[bytes]:
        """Return the packets that are full."""
        frames = []
        for ray in self.rays():
            self.begun.append(ray)
            if len(self.begun) == POINTS:
                frames.append(self.packet(self.begun))
                self.begun = []
        return frames

    def packet(self, rays: list[Ray]) -> bytes:
        """Return twelve rays as they are sent."""
        points = [n for ray in rays for n in (round(ray.metres * 1e3), 200 if ray.metres else 0)]
        body = (
            b"\x54\x2c"
            + Ld06Packets.points.struct.pack(
                round(self.speed * 360.0),
                round(rays[0].angle * 100.0) % TURN,
                *points,
                round(rays[-1].angle * 100.0) % TURN,
                round(self.time * 1e3) % 30_000,
            )[2:-1]
        )
        return body + CHECKSUM.of(body)
