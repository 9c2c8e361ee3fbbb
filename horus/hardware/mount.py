"""How a sensor is mounted: which of its axes point along those of its frame on the robot."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from horus.hal.config import signed_axes
from horus.hal.driver import Driver
from horus.hal.rotation import Quaternion, product
from horus.hardware import topics
from horus.msgs import Imu, MagneticField

Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]

#: Fields that are vectors in the sensor's axes, by message type.
VECTORS: dict[type, tuple[tuple[str, str, str], ...]] = {
    Imu: (("accel_x", "accel_y", "accel_z"), ("gyro_x", "gyro_y", "gyro_z")),
    MagneticField: (("x", "y", "z"),),
}


@dataclass(frozen=True)
class Mount:
    """A rotation by right angles: ``"+y -x +z"`` is a sensor whose y axis points forward."""

    matrix: Matrix

    @classmethod
    def parse(cls, text: str) -> Mount:
        """Return the mount that three signed axes describe.

        They say which axis of the sensor points along x, y and z of the frame (REP-103: forward,
        left, up). Anything else, and a mirror image, is a `ValueError`.
        """
        first, second, third = signed_axes(text)
        return cls((first, second, third))

    def turn(self, vector: Vector) -> Vector:
        """Return a vector of the sensor in the axes of its frame."""
        x, y, z = vector
        a, b, c = (row[0] * x + row[1] * y + row[2] * z for row in self.matrix)
        return a, b, c

    def apply(self, message: Any) -> None:
        """Turn all vectors of a message, and its orientation if it has one."""
        for names in VECTORS.get(type(message), ()):
            turned = self.turn(
                (getattr(message, names[0]), getattr(message, names[1]), getattr(message, names[2]))
            )
            for name, value in zip(names, turned, strict=True):
                setattr(message, name, value)
        if isinstance(message, Imu) and any(message.orientation):
            message.orientation = product(message.orientation, self._quaternion())

    def _quaternion(self) -> Quaternion:
        """Return the rotation from the frame's axes to the sensor's, as (x, y, z, w)."""
        (a, b, c), (d, e, f), (g, h, i) = zip(*self.matrix, strict=True)  # its transpose
        # Of the four equal forms the one with the largest divisor (Shepperd's method).
        squares = (1 + a - e - i, 1 - a + e - i, 1 - a - e + i, 1 + a + e + i)
        largest = squares.index(max(squares))
        forms = (
            (squares[0], b + d, c + g, h - f),
            (b + d, squares[1], f + h, c - g),
            (c + g, f + h, squares[2], d - b),
            (h - f, c - g, d - b, squares[3]),
        )
        scale = 0.5 / math.sqrt(squares[largest])
        x, y, z, w = (value * scale for value in forms[largest])
        return x, y, z, w


def mountable(driver: type[Driver[Any, Any]]) -> bool:
    """Return whether any message of a driver has vectors that a mount turns."""
    types = [topics.data_type(driver), *topics.output_types(driver).values()]
    return any(kind in VECTORS for kind in types)
