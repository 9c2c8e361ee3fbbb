"""What the receivers of satellite positions share: NMEA sentences, and the sky of their twins."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from horus.hal import DriverConfig, Framing, PacketMap, SerialSim, SimConfig, Stimulus, option
from horus.hal.checksums import xor8

LONGEST = 256  # bytes of a sentence; the standard has 82, makers' own sentences are longer
EARTH = 6_378_137.0  # m, equatorial radius of WGS 84
GEOID = 47.0  # m, height of the sea above the ellipsoid in the twins' world
KNOT = 1852.0 / 3600.0  # m/s
NEEDED = 4  # satellites for a fix
DRIFT = 60.0  # s, in which the error of a position wanders off
NMEA_EPOCH = re.compile(rb"\$..(?:RMC|GGA|GNS|GST|ZDA),(\d{6}(?:\.\d+)?),")

ConfigT = TypeVar("ConfigT", bound=DriverConfig)
PacketsT = TypeVar("PacketsT", bound=PacketMap)


class NmeaFraming(Framing):
    """Sentences from ``$`` to the end of the line; only those with a right checksum count."""

    def measure(self, data: bytes) -> int:
        """Return the size of the sentence at the start of the data."""
        if data[:1] != b"$":
            return -1
        end = data.find(b"\n", 0, LONGEST)
        body = data[1:end] if end >= 0 else data[1:LONGEST]
        if b"$" in body or not body.rstrip(b"\r").isascii() or len(body) + 1 == LONGEST:
            return -1
        return end + 1

    def valid(self, frame: bytes) -> bool:
        """Return whether the sentence has a checksum and it is right."""
        body, star, digits = frame[1:].rstrip(b"\r\n").rpartition(b"*")
        if not star or len(digits) != 2:
            return False
        try:
            return int(digits, 16) == xor8(body)
        except ValueError:
            return False


def sentence(body: str) -> bytes:
    """Return a sentence with its checksum: ``sentence("GPGGA,...")``."""
    data = body.encode("ascii")
    return b"$%s*%02X\r\n" % (data, xor8(data))


def epochs(path: Path, mark: re.Pattern[bytes]) -> list[bytes]:
    """Return a recorded stream in pieces, each beginning where the group of ``mark`` changes."""
    data = path.read_bytes()
    cuts: list[int] = []
    last = b""
    for found in mark.finditer(data):
        if found[1] != last:
            last = found[1]
            cuts.append(found.start())
    if len(cuts) < 2:
        raise ValueError(f"{path}: a receiver's recording needs two moments in time or more")
    cuts[0] = 0
    return [data[a:b] for a, b in zip(cuts, [*cuts[1:], len(data)], strict=True)]


@dataclass(frozen=True, kw_only=True)
class ReceiverSimConfig(SimConfig):
    """Options of a simulated receiver."""

    play: Path | None = option(None, doc="what a real receiver sent, to be sent again")
    first_fix: float = option(1.0, unit="s", low=0, high=3600, doc="from power-on to a fix")
    error: float = option(1.2, unit="m rms", low=0, high=100, doc="of the position, each axis")


class Fix(NamedTuple):
    """What a receiver has worked out."""

    time: float  # s, since the midnight before
    good: bool
    satellites: int
    latitude: float  # deg
    longitude: float  # deg
    height: float  # m above the ellipsoid
    velocity: tuple[float, float, float]  # m/s to the east, north and up
    hdop: float

    @property
    def course(self) -> float:
        """Direction over ground in degrees, clockwise from north."""
        return math.degrees(math.atan2(self.velocity[0], self.velocity[1])) % 360.0

    @property
    def speed(self) -> float:
        """Speed over ground in m/s."""
        return math.hypot(self.velocity[0], self.velocity[1])


class ReceiverSim(SerialSim[ConfigT, PacketsT]):
    """A receiver that is carried around in a circle, counter-clockwise."""

    options: ReceiverSimConfig
    latitude = Stimulus(51.4779, unit="deg", low=-89.0, high=89.0, doc="of the circle's centre")
    longitude = Stimulus(-0.0015, unit="deg", low=-180.0, high=180.0)
    height = Stimulus(93.0, unit="m", low=-500.0, high=20_000.0, doc="above the ellipsoid")
    radius = Stimulus(50.0, unit="m", low=0.0, high=10_000.0, doc="of the circle; 0 stands still")
    speed = Stimulus(1.5, unit="m/s", low=0.0, high=300.0)
    satellites = Stimulus(11.0, low=0.0, high=40.0, doc="in view; below 4 there is no fix")

    #: What divides a recording into epochs.
    mark = NMEA_EPOCH

    def setup(self) -> None:
        """Start at the easternmost point, or with the recording's first epoch."""
        self.angle = 0.0
        self.wander = [0.0, 0.0, 0.0]
        self.recording = epochs(self.options.play, self.mark) if self.options.play else None

    def power_on(self) -> None:
        """Know nothing yet."""
        self.switched_on = self.time
        self.counted_from, self.number = self.time, -1  # of the epochs

    def epoch_rate(self) -> float:
        """Return how many positions a second it works out."""
        return self.config.rate

    def stimulated(self, name: str) -> None:
        """End the recording: from now on the simulated world counts."""
        self.recording = None

    def update(self) -> None:
        """Move on the circle; the error of the position wanders slowly."""
        if self.radius > 0:
            self.angle += self.speed / self.radius * self.dt
        keep = math.exp(-self.dt / DRIFT)
        fresh = self.options.error * math.sqrt(1.0 - keep * keep)
        self.wander = [keep * error + self.random.gauss(0.0, fresh) for error in self.wander]

    def due_epochs(self) -> Iterator[Fix]:
        """Return the positions that were worked out since the last call."""
        number = int((self.time - self.counted_from) * self.epoch_rate() + 1e-9)
        if number > self.number:
            self.number = number
            yield self.fix(self.counted_from + number / self.epoch_rate())

    def place(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Return the true position (deg, deg, m) and velocity (m/s to the east, north, up)."""
        east, north = self.radius * math.cos(self.angle), self.radius * math.sin(self.angle)
        speed = self.speed if self.radius > 0 else 0.0
        velocity = (-speed * math.sin(self.angle), speed * math.cos(self.angle), 0.0)
        return self.moved(east, north, 0.0), velocity

    def moved(self, east: float, north: float, up: float) -> tuple[float, float, float]:
        """Return the position that is some metres away from the circle's centre."""
        latitude = self.latitude + math.degrees(north / EARTH)
        shrunk = EARTH * math.cos(math.radians(self.latitude))
        return latitude, self.longitude + math.degrees(east / shrunk), self.height + up

    def fix(self, time: float) -> Fix:
        """Return what the receiver works out now: noisy, or nothing with too few satellites."""
        (latitude, longitude, height), velocity = self.place()
        east, north, up = self.wander
        shrunk = EARTH * math.cos(math.radians(self.latitude))
        noisy = tuple(v + self.random.gauss(0.0, 0.03) for v in velocity)
        seen = int(self.satellites)
        return Fix(
            time=time % 86_400.0,
            good=seen >= NEEDED and self.time - self.switched_on >= self.options.first_fix,
            satellites=seen,
            latitude=latitude + math.degrees(north / EARTH),
            longitude=longitude + math.degrees(east / shrunk),
            height=height + up * 2.0,  # satellites are above only: the height is the worst
            velocity=(noisy[0], noisy[1], noisy[2]),
            hdop=max(0.6, 10.0 / max(seen, 1)),
        )

    def sentences(self, fix: Fix) -> list[bytes]:
        """Return the sentences of one epoch: RMC, GGA and GSA."""
        minutes, seconds = divmod(fix.time, 60.0)
        clock = f"{int(minutes // 60):02d}{int(minutes % 60):02d}{seconds:05.2f}"
        if not fix.good:
            return [
                sentence(f"GNRMC,{clock},V,,,,,,,010126,,,N,V"),
                sentence(f"GNGGA,{clock},,,,,0,{min(fix.satellites, 3):02d},99.99,,,,,,"),
                sentence("GNGSA,A,1,,,,,,,,,,,,,99.99,99.99,99.99,1"),
            ]
        place = f"{_angle(fix.latitude, 2, 'NS')},{_angle(fix.longitude, 3, 'EW')}"
        course = f"{fix.course:.2f}" if fix.speed > 0.1 else ""
        used = ",".join(f"{n:02d}" if n <= fix.satellites else "" for n in range(1, 13))
        dops = f"{fix.hdop * 1.9:.2f},{fix.hdop:.2f},{fix.hdop * 1.6:.2f}"
        sea = f"{fix.height - GEOID:.1f},M,{GEOID:.1f},M"
        return [
            sentence(f"GNRMC,{clock},A,{place},{fix.speed / KNOT:.3f},{course},010126,,,A,V"),
            sentence(f"GNGGA,{clock},{place},1,{fix.satellites:02d},{fix.hdop:.2f},{sea},,"),
            sentence(f"GNGSA,A,3,{used},{dops},1"),
        ]

    def truth(self) -> dict[str, Any]:
        """Return where the receiver really is."""
        position, velocity = self.place()
        return {"position": list(position), "velocity": list(velocity)}


def _angle(degrees: float, digits: int, letters: str) -> str:
    """Return an angle as NMEA does: degrees and minutes to five places, and a letter."""
    ticks = round(abs(degrees) * 60 * 100_000)  # whole, so that there are never 60 minutes
    whole, rest = divmod(ticks, 6_000_000)
    minutes = f"{rest // 100_000:02d}.{rest % 100_000:05d}"
    return f"{whole:0{digits}d}{minutes},{letters[degrees < 0]}"
