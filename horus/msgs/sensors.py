"""What inertial, magnetic, environmental, ranging and satellite receivers measure."""

from enum import IntEnum
from math import nan
from typing import Annotated

from horus.message import EMPTY, Float32Array, Int64, UInt8, VarArray, message
from horus.msgs._base import Frame, Quaternion, Stamped

__all__ = [
    "Encoder",
    "Environment",
    "FluidPressure",
    "Illuminance",
    "Imu",
    "LaserScan",
    "MagnetState",
    "MagneticField",
    "RangeKind",
    "RangeSensor",
    "Temperature",
]


@message
class Imu(Stamped):
    """Acceleration and rotation rate of a body, and its attitude where the device estimates it."""

    accel_x: float = 0.0
    """m/s²: specific force along x (forward); gravity is included, see ``accel_z``."""

    accel_y: float = 0.0
    """m/s²: specific force along y (left)."""

    accel_z: float = 0.0
    """m/s²: specific force along z (up); a body at rest and level reads +9.81."""

    gyro_x: float = 0.0
    """rad/s: rotation rate about x (roll), right-handed."""

    gyro_y: float = 0.0
    """rad/s: rotation rate about y (pitch), right-handed: nose down is positive."""

    gyro_z: float = 0.0
    """rad/s: rotation rate about z (yaw), right-handed: a turn to the left is positive."""

    orientation: Quaternion = (0.0, 0.0, 0.0, 0.0)
    """No unit: attitude of the body in a z-up world as a quaternion (x, y, z, w).

    All zeros, which is no rotation at all, is a device that does not estimate its attitude.
    """

    temperature: float = nan
    """°C: of the chip; NaN is not measured."""

    frame: Frame = ""
    """No unit: the frame that the axes belong to, such as ``imu_link``."""


@message
class MagneticField(Stamped):
    """The magnetic flux density at a sensor."""

    x: float = 0.0
    """T: along x (forward); the earth's field is about 50e-6 T in all."""

    y: float = 0.0
    """T: along y (left)."""

    z: float = 0.0
    """T: along z (up)."""

    frame: Frame = ""
    """No unit: the frame that the axes belong to."""


class MagnetState(IntEnum):
    """How a magnetic encoder finds its magnet."""

    UNKNOWN = 0
    """The encoder has no magnet, or cannot tell."""
    GOOD = 1
    WEAK = 2
    """Too far away: the position is noisier than it could be."""
    STRONG = 3
    """Too near: the position may be bent."""


@message
class Encoder(Stamped):
    """The angle of a shaft that nobody drives through this device."""

    position: float = 0.0
    """rad: angle from the encoder's zero, with all whole turns since the start."""

    velocity: float = nan
    """rad/s: rate of turn; NaN is not known yet."""

    turns: Int64 = 0
    """No unit: whole turns in ``position``; negative below zero."""

    magnet: UInt8 = MagnetState.UNKNOWN
    """No unit: a `MagnetState`."""

    frame: Frame = ""
    """No unit: the frame whose z axis the shaft turns about, right-handed."""


@message
class Temperature(Stamped):
    """A temperature, in degrees Celsius as thermometers and people read it, not in kelvin."""

    temperature: float = 0.0
    """°C: the measured temperature."""

    variance: float = 0.0
    """°C²: of the measurement; 0 is unknown."""


@message
class FluidPressure(Stamped):
    """The absolute pressure of air or another fluid."""

    pressure: float = 0.0
    """Pa: absolute pressure; the standard atmosphere is 101325 Pa."""

    variance: float = 0.0
    """Pa²: of the measurement; 0 is unknown."""


@message
class Environment(Stamped):
    """The air around a sensor that measures several of its properties at once."""

    temperature: float = nan
    """°C: of the air, or of the sensor if that is warmer; NaN is not measured."""

    pressure: float = nan
    """Pa: absolute; the standard atmosphere is 101325 Pa; NaN is not measured."""

    humidity: float = nan
    """No unit: relative humidity, 0 (dry) to 1 (saturated); NaN is not measured."""

    frame: Frame = ""
    """No unit: the frame of the sensor."""


@message
class Illuminance(Stamped):
    """The light that falls onto a sensor, weighted as the eye does."""

    illuminance: float = 0.0
    """lx: an office is about 500 lx, direct sun 100000 lx."""

    variance: float = 0.0
    """lx²: of the measurement; 0 is unknown."""


class RangeKind(IntEnum):
    """What a range sensor measures with."""

    ULTRASOUND = 0
    INFRARED = 1
    LASER = 2
    RADAR = 3


@message
class RangeSensor(Stamped):
    """One distance, from an ultrasonic, infrared or time-of-flight sensor."""

    range: float = 0.0
    """m: along x of the frame; inf is nothing in reach, -inf is too near, NaN is invalid."""

    min_range: float = 0.0
    """m: the nearest distance that the sensor measures."""

    max_range: float = 0.0
    """m: the farthest distance that the sensor measures."""

    field_of_view: float = 0.0
    """rad: the full angle of the cone in which an object is seen."""

    kind: UInt8 = RangeKind.LASER
    """No unit: a `RangeKind`."""

    frame: Frame = ""
    """No unit: the frame of the sensor, which looks along x."""


@message
class LaserScan(Stamped):
    """One sweep of a planar scanner. ``stamp`` is the time of the first ray."""

    angle_min: float = 0.0
    """rad: direction of the first ray in the x-y plane; 0 is along x, positive to the left."""

    angle_increment: float = 0.0
    """rad: from one ray to the next; negative for a scanner that turns clockwise."""

    time_increment: float = 0.0
    """s: from one ray to the next; 0 for a scanner that does not move."""

    scan_time: float = 0.0
    """s: from one sweep to the next."""

    range_min: float = 0.0
    """m: nearer readings are to be discarded."""

    range_max: float = 0.0
    """m: farther readings are to be discarded."""

    ranges: Annotated[Float32Array, VarArray("f4", 4096)] = EMPTY
    """m: the distance along each ray, up to 4096; inf is nothing in reach, NaN is invalid."""

    intensities: Annotated[Float32Array, VarArray("f4", 4096)] = EMPTY
    """No unit: the echo's strength of each ray as the device gives it; empty is not measured."""

    frame: Frame = ""
    """No unit: the frame of the scanner."""

    @property
    def angle_max(self) -> float:
        """The direction of the last ray in rad."""
        return self.angle_min + self.angle_increment * max(0, len(self.ranges) - 1)
