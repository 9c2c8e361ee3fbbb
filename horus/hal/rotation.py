"""Rotations as quaternions, for attitudes and for how sensors are mounted."""

from __future__ import annotations

from math import cos, hypot, sin

Vector = tuple[float, ...]  # x, y, z
Quaternion = tuple[float, float, float, float]  # x, y, z, w


def product(a: Quaternion, b: Quaternion) -> Quaternion:
    """Return the rotation that is ``b``, then ``a``."""
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
    return product(product(attitude, (vx, vy, vz, 0.0)), (-x, -y, -z, w))[:3]


def turned(attitude: Quaternion, angles: Vector) -> Quaternion:
    """Return an attitude after a turn (rad) about an axis of the body."""
    angle = hypot(*angles)
    if angle == 0.0:
        return attitude
    share = sin(angle / 2) / angle
    turn = (angles[0] * share, angles[1] * share, angles[2] * share, cos(angle / 2))
    x, y, z, w = product(attitude, turn)
    length = hypot(x, y, z, w)
    return (x / length, y / length, z / length, w / length)
