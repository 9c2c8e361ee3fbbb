"""What inertial sensors share: the sample, and twins that turn in a world with gravity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import radians
from pathlib import Path
from typing import TypeVar

from horus.hal import DriverConfig, Recording, RegisterMap, RegisterSim, SimConfig, Stimulus, option
from horus.hal.rotation import Quaternion, Vector, rotated, turned
from horus.msgs import Imu

GRAVITY = 9.80665  # m/s², standard gravity (CGPM 1901)

_COLUMNS = 7  # of a recording: time, and three each of rotation and acceleration

ConfigT = TypeVar("ConfigT", bound=DriverConfig)
RegistersT = TypeVar("RegistersT", bound=RegisterMap)


def imu_sample(
    *,
    accel: Sequence[int],
    accel_unit: float,
    gyro: Sequence[int],
    gyro_unit: float,
    temperature: float,
    frame: str,
) -> Imu:
    """Return a sample from counts along x, y and z; a unit is one count in m/s² or rad/s."""
    ax, ay, az = (count * accel_unit for count in accel)
    gx, gy, gz = (count * gyro_unit for count in gyro)
    return Imu(
        accel_x=ax,
        accel_y=ay,
        accel_z=az,
        gyro_x=gx,
        gyro_y=gy,
        gyro_z=gz,
        temperature=temperature,
        frame=frame,
    )


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
        play = self.options.play
        self.recording = Recording(play, _COLUMNS) if play else None
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


class CompassBodySim(BodySim[ConfigT, RegistersT]):
    """A sensor on a body that also feels where north is."""

    magnetic = Stimulus((20e-6, 0.0, -43e-6), unit="T", doc="of the world, at first along x and z")

    def field(self) -> Vector:
        """Return the magnetic field (T) along the axes of the body."""
        return self.seen(self.magnetic)

    def truth(self) -> dict[str, object]:
        """Return what the chip really undergoes."""
        return {"magnetic_field": list(self.field()), **super().truth()}
