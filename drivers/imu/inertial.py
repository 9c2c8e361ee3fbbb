"""What inertial sensors share: standard gravity, and twins that turn in a world with gravity."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, hypot, radians, sin
from pathlib import Path
from typing import TypeVar

from horus.hal import DriverConfig, Recording, RegisterMap, RegisterSim, SimConfig, Stimulus, option

GRAVITY = 9.80665  # m/s², standard gravity (CGPM 1901)

Vector = tuple[float, ...]  # x, y, z
Quaternion = tuple[float, float, float, float]  # x, y, z, w

ConfigT = TypeVar("ConfigT", bound=DriverConfig)
RegistersT = TypeVar("RegistersT", bound=RegisterMap)


@dataclass(frozen=True, kw_only=True)
class BodySimConfig(SimConfig):
    """Options of a simulated inertial sensor."""

    play: Path | None = option(
        None, doc="recording: time, 3 × rotation (°/s), 3 × acceleration (g)"
    )
    accel_noise: float = option(0.02, unit="m/s² rms", low=0, high=10)
    gyro_noise: float = option(0.001, unit="rad/s rms", low=0, high=0.2)
    gyro_bias: float = option(0.01, unit="rad/s rms", low=0, high=0.4, doc="differs by axis")


class BodySim(RegisterSim[ConfigT, RegistersT]):
    """A sensor on a body: it lies level, turns as it is told, and feels where down is.

    A recording given as ``play`` moves it instead, until something is set from outside.
    """

    options: BodySimConfig

    rotation = Stimulus((0.0, 0.0, 0.0), unit="rad/s", doc="about the sensor's axes")
    acceleration = Stimulus(
        (0.0, 0.0, GRAVITY),
        unit="m/s²",
        doc="specific force, gravity included, along the axes as they are when it is set; "
        "gravity stays where it is as the body turns on",
    )
    temperature = Stimulus(25.0, unit="°C", low=-40.0, high=125.0, doc="of the chip")

    def setup(self) -> None:
        """Lie still and level, or move as somebody once did."""
        #: How the body has turned since the beginning.
        self.attitude: Quaternion = (0.0, 0.0, 0.0, 1.0)
        self._told: Vector = (0.0, 0.0, GRAVITY)  # the acceleration, and the same in the world
        self._world: Vector = self._told
        #: What the body undergoes at this moment, along its own axes: rad/s and m/s².
        self.turning: Vector = (0.0, 0.0, 0.0)
        self.force: Vector = (0.0, 0.0, GRAVITY)
        self.recording = Recording(self.options.play) if self.options.play else None
        spread = 0.0 if self.recording else self.options.gyro_bias  # recordings have their own
        self.bias = [self.random.gauss(0, spread) for _ in range(3)]
        self.sampled: dict[str, int] = {}

    def power_on(self) -> None:
        """Come up with every register at its reset value and nothing measured yet."""
        super().power_on()
        self.sampled = {}

    def stimulated(self, name: str) -> None:
        """End a recording; the same acceleration may be along other axes by now."""
        self.recording = None
        if name == "acceleration":
            self._told = ()

    def update(self) -> None:
        """Turn on; the sensor itself samples in the subclass."""
        if self.recording:
            gx, gy, gz, ax, ay, az = self.recording.at(self.time)[:6]
            self.turning = (radians(gx), radians(gy), radians(gz))
            self.force = (ax * GRAVITY, ay * GRAVITY, az * GRAVITY)
            return
        self.turning = x, y, z = self.rotation
        self.attitude = turned(self.attitude, (x * self.dt, y * self.dt, z * self.dt))
        if self.acceleration != self._told:
            self._told = self.acceleration
            self._world = rotated(self.acceleration, self.attitude)
        self.force = self.seen(self._world)

    def due(self, rate: float, what: str = "") -> bool:
        """Return whether what happens this often (Hz) has happened again since it was asked for."""
        number = int(self.time * rate)
        fresh = number != self.sampled.get(what)
        self.sampled[what] = number
        return fresh

    def seen(self, vector: Vector) -> Vector:
        """Return a vector of the world along the axes of the body."""
        x, y, z, w = self.attitude
        return rotated(vector, (-x, -y, -z, w))

    def accel_counts(self, scale: float) -> list[int]:
        """Return the acceleration as the chip measures it, in counts per m/s²."""
        noise = self.options.accel_noise
        return [self.count(value, noise, scale) for value in self.force]

    def gyro_counts(self, scale: float) -> list[int]:
        """Return the rotation as the chip measures it, in counts per rad/s."""
        noise = self.options.gyro_noise
        both = zip(self.turning, self.bias, strict=True)
        return [self.count(value + bias, noise, scale) for value, bias in both]

    def count(self, value: float, noise: float, scale: float) -> int:
        """Return a quantity as the chip does: noisy, in whole counts, at most full scale."""
        if not self.recording:
            value += self.random.gauss(0, noise)
        return min(max(round(value * scale), -32768), 32767)

    def truth(self) -> dict[str, object]:
        """Return what the chip really undergoes."""
        return {
            "angular_velocity": list(self.turning),
            "linear_acceleration": list(self.force),
            "orientation": list(self.attitude),
            "temperature": self.temperature,
        }


def multiply(a: Quaternion, b: Quaternion) -> Quaternion:
    """Return the product of two quaternions."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def rotated(vector: Vector, attitude: Quaternion) -> Vector:
    """Return a vector of the body, in this attitude, along the axes of the world."""
    x, y, z, w = attitude
    vx, vy, vz = vector
    return multiply(multiply(attitude, (vx, vy, vz, 0.0)), (-x, -y, -z, w))[:3]


def turned(attitude: Quaternion, angles: Vector) -> Quaternion:
    """Return an attitude after a turn (rad) about an axis of the body."""
    angle = hypot(*angles)
    if angle == 0.0:
        return attitude
    share = sin(angle / 2) / angle
    turn = (angles[0] * share, angles[1] * share, angles[2] * share, cos(angle / 2))
    x, y, z, w = multiply(attitude, turn)
    length = hypot(x, y, z, w)
    return (x / length, y / length, z / length, w / length)
