"""What planar scanners share: a sweep of rays to be filled, and the room their twins stand in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from horus.hal import DriverConfig, PacketMap, SerialSim, SimConfig, Stimulus, option
from horus.msgs import LaserScan

ConfigT = TypeVar("ConfigT", bound=DriverConfig)
PacketsT = TypeVar("PacketsT", bound=PacketMap)

TURN = 2 * math.pi  # rad
BACKWARD, FORWARD = -3.0, 20.0  # deg: how far the next ray can be from the one before
LEAST = 0.5  # share of a turn that a scan must cover
MOST_SAMPLES = 4000  # that a twin which was not looked after makes up for


@dataclass(frozen=True, kw_only=True)
class ScannerConfig(DriverConfig):
    """Options of every planar scanner."""

    rate: float = option(10.0, unit="Hz", low=0.5, high=20, doc="turns a second")
    rays: int = option(360, low=36, high=4096, doc="directions in which a scan tells the distance")
    range_max: float = option(12.0, unit="m", low=0.1, high=100, doc="farther echoes are left out")
    clockwise: bool = option(True, doc="as it turns seen from above; false when mounted head down")


class Sweep:
    """One turn of a scanner on its way to a `LaserScan`: each ray has the nearest echo around it.

    Device angles are in degrees and rise as the scanner turns; 0 is along x.
    """

    def __init__(self, config: ScannerConfig, range_min: float) -> None:
        self.config = config
        self.range_min = range_min
        #: When the first ray of the scan returned last was measured (monotonic ns).
        self.stamp_ns = 0
        #: Rays whose angle cannot be.
        self.astray = 0
        self._begun_ns = 0  # the present turn; 0 before the first one
        self._last = 0.0
        self._lost = True  # the next angle may be any
        self._clear()

    def _clear(self) -> None:
        self._ranges = [math.nan] * self.config.rays
        self._strengths = [0.0] * self.config.rays
        self._covered = 0.0

    def add(self, angle: float, metres: float, strength: float, stamp_ns: int) -> LaserScan | None:
        """Add an echo (0 m: none); return the turn before, if this is the first ray of a new one.

        An angle that does not go on from the one before is left out, with its echo.
        """
        step = (angle - self._last + 180.0) % 360.0 - 180.0
        if not self._lost and not BACKWARD <= step <= FORWARD:
            self.astray += 1
            self._lost = True
            return None
        finished = self._begin(stamp_ns) if angle < self._last - 180.0 else None
        self._last = angle
        if self._lost:
            self._lost = False
            return finished
        self._covered += step
        if self.range_min <= metres <= self.config.range_max:
            ray = int(angle * self.config.rays / 360.0) % self.config.rays
            if not metres >= self._ranges[ray]:
                self._ranges[ray] = metres
                self._strengths[ray] = strength
        return finished

    def _begin(self, stamp_ns: int) -> LaserScan | None:
        """Start a new turn; return the one that has ended, if it was a whole one."""
        scan = None
        if self._begun_ns and self._covered >= LEAST * 360.0:
            scan = self._scan(stamp_ns)
            self.stamp_ns = self._begun_ns
        self._begun_ns = stamp_ns
        self._clear()
        return scan

    def _scan(self, end_ns: int) -> LaserScan:
        seconds = (end_ns - self._begun_ns) / 1e9
        rays = self.config.rays
        step = (-TURN if self.config.clockwise else TURN) / rays
        return LaserScan(
            angle_min=step / 2,  # the middle of what the first ray stands for
            angle_increment=step,
            time_increment=seconds / rays,
            scan_time=seconds,
            range_min=self.range_min,
            range_max=self.config.range_max,
            ranges=self._ranges,
            intensities=self._strengths,
            frame=self.config.frame,
        )


def wall(size: tuple[float, ...], pose: tuple[float, ...], angle: float) -> float:
    """Return how far a rectangular room's wall is from a pose (m, m, rad) in a direction (rad).

    The room's middle is the origin. 0.0 outside of it.
    """
    x, y, heading = pose
    half_x, half_y = size[0] / 2, size[1] / 2
    if abs(x) >= half_x or abs(y) >= half_y:
        return 0.0
    along_x, along_y = math.cos(heading + angle), math.sin(heading + angle)
    far = math.inf
    if abs(along_x) > 1e-9:
        far = (math.copysign(half_x, along_x) - x) / along_x
    if abs(along_y) > 1e-9:
        far = min(far, (math.copysign(half_y, along_y) - y) / along_y)
    return far


@dataclass(frozen=True, kw_only=True)
class ScannerSimConfig(SimConfig):
    """Options of a simulated scanner."""

    noise: float = option(0.01, unit="m rms", low=0, high=1, doc="of a distance")
    missing: float = option(0.005, low=0, high=1, doc="share of rays without an echo")


class Ray(NamedTuple):
    """What a scanner measures in one direction."""

    angle: float  # deg, in the sense it turns
    metres: float  # 0 without an echo
    first: bool  # of a turn


class ScannerSim(SerialSim[ConfigT, PacketsT]):
    """A scanner in an empty rectangular room, with a rotor that has inertia."""

    options: ScannerSimConfig
    room = Stimulus((8.0, 5.0), unit="m", low=0.2, high=200.0, doc="size along x and y")
    pose = Stimulus((0.5, -0.3, 0.2), unit="m, m, rad", low=-100.0, high=100.0)

    samples = 4000.0  # a second
    reach = 12.0  # m
    spin_up = 0.3  # s, time constant of the rotor

    def setup(self) -> None:
        """Stand still."""
        self.turns = 0.0  # since the twin was made
        self.speed = 0.0  # turns a second
        self._measured = 0.0  # the turns up to which rays were given out
        self._owed = 0.0

    def wanted_speed(self) -> float:
        """Return the turns a second that the motor is told to make."""
        return 0.0

    def measuring(self) -> bool:
        """Return whether the laser is on."""
        return True

    def update(self) -> None:
        """Turn the rotor."""
        self.speed += (self.wanted_speed() - self.speed) * (1 - math.exp(-self.dt / self.spin_up))
        self.turns += self.speed * self.dt
        self._owed = min(self._owed + self.dt * self.samples, MOST_SAMPLES)

    def rays(self) -> Iterator[Ray]:
        """Return what was measured since the last call."""
        count = int(self._owed)
        self._owed -= count
        if not self.measuring() or self.speed < 0.2:
            self._measured = self.turns
        if self._measured == self.turns or not count:
            return
        begun, self._measured = self._measured, self.turns
        before = begun
        sense = -1.0 if getattr(self.config, "clockwise", True) else 1.0
        for number in range(1, count + 1):
            turns = begun + (self._measured - begun) * number / count
            angle = turns % 1.0
            metres = wall(self.room, self.pose, sense * angle * TURN)
            metres += self.random.gauss(0.0, self.options.noise)
            if metres > self.reach or metres <= 0.0 or self.chance(self.options.missing):
                metres = 0.0
            yield Ray(angle * 360.0, metres, int(turns) > int(before))
            before = turns

    def truth(self) -> dict[str, Any]:
        """Return where it stands and how fast it turns."""
        return {"pose": list(self.pose), "room": list(self.room), "turns_a_second": self.speed}
