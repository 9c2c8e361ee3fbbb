"""Drives as the IMU is tilted: nose down is forward, leaning to the right turns right.

When the attitude is old nothing is sent, and the wheels' drivers stop them by themselves.
"""

import math

import horus
from horus.msgs import MotorCommand, Pose3D

#: Try it while it drives: horus param set drive.gain 4
GAIN = horus.Param(8.0, low=0, high=20, unit="1/s", doc="rad/s of the wheels per rad of tilt")
LIMIT = 12.0  # rad/s: max_velocity of the wheels in horus.yaml, above which they refuse a command
DEAD = 0.05  # rad of tilt that mean nothing


def lean(angle: float) -> float:
    return 0.0 if abs(angle) < DEAD else angle


def wheel(velocity: float, stamp: float) -> MotorCommand:
    return MotorCommand(velocity=max(-LIMIT, min(LIMIT, velocity)), stamp=stamp)


def tick(node: horus.Node) -> None:
    if node.is_stale("attitude", max_age=0.1):
        return
    pose = node.get_latest("attitude")
    if pose is None:
        return
    x, y, z, w = pose.orientation
    roll = math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
    pitch = math.asin(max(-1.0, min(1.0, 2 * (w * y - z * x))))
    gain = node.param("gain")
    forward, turn = gain * lean(pitch), gain / 2 * lean(roll)
    node.send("left_wheel.command", wheel(forward + turn, pose.stamp))
    node.send("right_wheel.command", wheel(forward - turn, pose.stamp))


drive = horus.Node(
    name="drive",
    subs=horus.Sub("attitude", Pose3D),
    pubs=[
        horus.Pub("left_wheel.command", MotorCommand),
        horus.Pub("right_wheel.command", MotorCommand),
    ],
    tick=tick,
    rate=50,
    params={"gain": GAIN},
)

if __name__ == "__main__":
    horus.run(drive)
