"""Which numbers of a message are which of the world: what is swept, compared, and believed.

A twin tells its true state in `truth`; here is which field of which message it belongs to, how far
they may differ, and within which bounds a value can be at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from horus.msgs import (
    AnalogIO,
    BatteryState,
    Encoder,
    Environment,
    FluidPressure,
    Illuminance,
    Imu,
    JointState,
    LaserScan,
    MagneticField,
    MotorState,
    NavSatFix,
    RangeSensor,
    Temperature,
)

Message = Any
Truth = Mapping[str, Any]
Numbers = Sequence[float]


@dataclass(frozen=True)
class Quantity:
    """One thing of the world: the numbers of a message that measure it, and those of the truth."""

    name: str
    measured: Callable[[Message], Numbers]
    #: The true numbers, from the twin's truth and the message; None where it does not tell.
    true: Callable[[Truth, Message], Numbers | None]
    unit: str
    #: How far they may differ: so much, and so large a share of the true value.
    off: float
    share: float = 0.02
    #: Least and greatest value that can be.
    low: float = -math.inf
    high: float = math.inf
    #: The period of an angle that comes round; 0 for what does not.
    turn: float = 0.0

    def error(self, measured: Numbers, true: Numbers, moved: Numbers = ()) -> float:
        """Return the largest difference, as a share of what is allowed: up to 1 is right.

        ``moved`` is by how much each number of the truth may have changed meanwhile.
        """
        worst = 0.0
        for number, wanted, more in zip_longest(measured, true, moved):
            if number is None or wanted is None:
                break
            if math.isnan(number):
                continue
            allowed = self.off + self.share * abs(wanted) + (more or 0.0)
            worst = max(worst, abs(self.apart(number, wanted)) / allowed)
        return worst

    def apart(self, one: float, other: float) -> float:
        """Return the difference of two numbers; of an angle that comes round, the short way."""
        difference = one - other
        return (difference + self.turn / 2) % self.turn - self.turn / 2 if self.turn else difference

    def impossible(self, message: Message) -> list[float]:
        """Return the numbers of a message that cannot be."""
        return [n for n in self.measured(message) if n < self.low or n > self.high]


def quantity(
    name: str,
    fields: Sequence[str],
    unit: str,
    off: float,
    share: float = 0.02,
    low: float = -math.inf,
    high: float = math.inf,
    turn: float = 0.0,
) -> Quantity:
    """Return a quantity whose numbers are fields of the message, under one name in the truth."""

    def measured(message: Message) -> Numbers:
        values = [getattr(message, field) for field in fields]
        return [float(n) for v in values for n in (v if hasattr(v, "__len__") else (v,))]

    def true(truth: Truth, message: Message) -> Numbers | None:
        value = truth.get(name)
        if value is None:
            return None
        return [float(n) for n in (value if hasattr(value, "__len__") else (value,))]

    return Quantity(name, measured, true, unit, off, share, low, high, turn)


def _celsius(off: float, low: float = -60.0, high: float = 150.0) -> Quantity:
    return quantity("temperature", ["temperature"], "°C", off, 0.01, low, high)


METRES = math.radians(1.0) * 6_371_000  # in a degree of latitude


def _on_earth(latitude: float, longitude: float, height: float) -> Numbers:
    """Return a position in metres along the meridian, along the parallel, and up."""
    east = longitude * METRES * math.cos(math.radians(latitude))
    return [latitude * METRES, east, height]


def _rays(message: Message) -> list[tuple[float, float]]:
    """Return direction (rad) and distance (m) of the rays that have an echo."""
    angles = (message.angle_min + n * message.angle_increment for n in range(len(message.ranges)))
    return [(a, float(r)) for a, r in zip(angles, message.ranges, strict=True) if math.isfinite(r)]


def _walls(truth: Truth, message: Message) -> Numbers | None:
    """Return how far the walls of a rectangular room are in the directions of a scan."""
    if "room" not in truth or "pose" not in truth:
        return None
    (length, width), (x, y, heading) = truth["room"], truth["pose"]
    found = []
    for angle, _ in _rays(message):
        along_x, along_y = math.cos(heading + angle), math.sin(heading + angle)
        to_x = (math.copysign(length / 2, along_x) - x) / along_x if along_x else math.inf
        to_y = (math.copysign(width / 2, along_y) - y) / along_y if along_y else math.inf
        found.append(min(to_x, to_y))
    return found


#: By message type. A third party's type is compared where its twin's truth has a field's name.
QUANTITIES: Mapping[type, tuple[Quantity, ...]] = {
    Imu: (
        quantity("angular_velocity", ["gyro_x", "gyro_y", "gyro_z"], "rad/s", 0.06, 0.02, -40, 40),
        quantity(
            "linear_acceleration", ["accel_x", "accel_y", "accel_z"], "m/s²", 0.15, 0.02, -320, 320
        ),
        _celsius(1.5),
    ),
    MagneticField: (quantity("magnetic_field", ["x", "y", "z"], "T", 2e-6, 0.05, -0.01, 0.01),),
    Encoder: (
        quantity("position", ["position"], "rad", 0.1, 0.0, turn=2 * math.pi),
        quantity("velocity", ["velocity"], "rad/s", 0.3, 0.05),
    ),
    MotorState: (
        quantity("velocity", ["velocity"], "rad/s", 0.3, 0.03, -2000, 2000),
        quantity("current", ["current"], "A", 0.5, 0.2, -1000, 1000),
        _celsius(2.0),
    ),
    JointState: (quantity("position", ["position"], "rad", 0.05, 0.02, -100, 100),),
    BatteryState: (
        quantity("voltage", ["voltage"], "V", 0.03, 0.005, 0, 1000),
        quantity("current", ["current"], "A", 0.01, 0.01, -1000, 1000),
    ),
    Environment: (
        _celsius(0.3, -45, 90),
        quantity("pressure", ["pressure"], "Pa", 30.0, 0.0005, 30_000, 110_000),
        quantity("humidity", ["humidity"], "", 0.01, 0.01, 0, 1),
    ),
    Temperature: (_celsius(0.5, -100, 400),),
    FluidPressure: (quantity("pressure", ["pressure"], "Pa", 30.0, 0.001, 0, 1e8),),
    Illuminance: (quantity("illuminance", ["illuminance"], "lx", 2.0, 0.02, 0, 200_000),),
    RangeSensor: (quantity("distance", ["range"], "m", 0.03, 0.03),),
    NavSatFix: (
        Quantity(
            "position",
            lambda message: _on_earth(message.latitude, message.longitude, message.altitude),
            lambda truth, message: _on_earth(*truth["position"]),
            "m",
            25.0,
            0.0,
        ),
    ),
    AnalogIO: (quantity("voltages", ["voltages"], "V", 0.005, 0.002, -50, 50),),
    LaserScan: (
        Quantity("ranges", lambda message: [r for _, r in _rays(message)], _walls, "m", 0.15, 0.02),
    ),
}


def quantities(message: Message, truth: Truth | None) -> tuple[Quantity, ...]:
    """Return what can be compared of a message and, on a twin, its truth."""
    known = QUANTITIES.get(type(message))
    if known is not None or truth is None:
        return known or ()
    fields = [field.name for field in type(message).__horus_spec__.fields]
    shared = [n for n in fields if isinstance(truth.get(n), (float, list, tuple))]
    return tuple(quantity(name, [name], "", 1e-3, 0.05) for name in shared)


#: What a stimulus is set to in turn, where it has this name.
SWEEPS: Mapping[str, Sequence[Numbers]] = {
    "rotation": [(1.0, 0.0, 0.0), (0.0, -1.5, 0.0), (0.0, 0.0, 3.0), (0.0, 0.0, 0.0)],
    "acceleration": [(9.80665, 0.0, 0.0), (0.0, -9.80665, 0.0), (0.0, 0.0, -15.0)],
    "magnetic": [(40e-6, 0.0, 0.0), (0.0, 0.0, -50e-6)],
    "temperature": [(0.0,), (60.0,), (-20.0,)],
    "pressure": [(90_000.0,), (108_000.0,)],
    "humidity": [(0.1,), (0.9,)],
    "voltage": [(5.0,), (24.0,), (12.0,)],
    "voltages": [(0.1, 0.2, 0.3, 0.4), (2.0, 1.5, 1.0, 0.5)],
    "current": [(-2.0,), (1.5,), (0.0,)],
    "distance": [(0.3,), (1.0,), (1.6,)],
    "position": [(1.0,), (4.0,)],
    "velocity": [(2.0,), (-6.0,)],
    "light": [(100.0,), (2000.0,)],
    "latitude": [(10.0,), (-40.0,)],
    "longitude": [(100.0,), (-60.0,)],
    "height": [(500.0,)],
    "pose": [(0.0, 0.0, 0.0), (-1.0, 1.0, 1.0)],
    "room": [(6.0, 4.0)],
}
