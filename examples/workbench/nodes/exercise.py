"""Moves everything that can move, gently and for ever; when it ends, every device stops."""

import math

import horus
from horus.msgs import JointCommand, MotorCommand

PERIOD = 4.0  # s
MOTORS = {"left_wheel": 6.0, "right_wheel": 6.0, "brush": 10.0}  # rad/s at most
JOINTS = {"servos": ("pan", "tilt"), "arm": ("base", "elbow", "wrist")}
SWING = 0.5  # rad


def tick(node: horus.Node) -> None:
    phase = 2 * math.pi * node.info.get_uptime() / PERIOD
    for motor, most in MOTORS.items():
        node.send(f"{motor}.command", MotorCommand(velocity=most * math.sin(phase)))
    for device, names in JOINTS.items():
        angles = [SWING * math.sin(phase + place) for place in range(len(names))]
        node.send(f"{device}.command", JointCommand(",".join(names), position=angles))


exercise = horus.Node(
    name="exercise",
    pubs=[
        *(horus.Pub(f"{motor}.command", MotorCommand) for motor in MOTORS),
        *(horus.Pub(f"{device}.command", JointCommand) for device in JOINTS),
    ],
    tick=tick,
    rate=50,
)

if __name__ == "__main__":
    horus.run(exercise)
