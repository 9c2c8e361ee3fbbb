"""Shows what happens, twice a second, in a table."""

import math
import time

import horus
from horus.msgs import MotorCommand, MotorState, Pose3D

HEAD = """\
  time    roll  pitch    yaw |    left wheel    |   right wheel    |  age
     s     deg    deg    deg | told rad/s  does | told rad/s  does |   ms"""
TOPICS = [
    horus.Sub("attitude", Pose3D),
    horus.Sub("left_wheel.command", MotorCommand),
    horus.Sub("left_wheel.state", MotorState),
    horus.Sub("right_wheel.command", MotorCommand),
    horus.Sub("right_wheel.state", MotorState),
]


class Table:
    def __init__(self) -> None:
        self.newest: dict[str, object] = {}
        self.rows = 0

    def tick(self, node: horus.Node) -> None:
        for topic in node.get_subscribers():
            message = node.get_latest(topic)
            if message is not None:
                self.newest[topic] = message
        pose = self.newest.get("attitude")
        if not isinstance(pose, Pose3D):
            return
        if self.rows % 20 == 0:
            print(HEAD)
        self.rows += 1
        x, y, z, w = pose.orientation
        roll = math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
        pitch = math.asin(max(-1.0, min(1.0, 2 * (w * y - z * x))))
        yaw = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
        angles = " ".join(
            f"{round(math.degrees(angle), 1) + 0.0:6.1f}" for angle in (roll, pitch, yaw)
        )
        wheels = " | ".join(
            f"{self.velocity(f'{side}.command')}  {self.velocity(f'{side}.state')}"
            for side in ("left_wheel", "right_wheel")
        )
        age = (time.time() - pose.stamp) * 1000
        mock = "MOCK" if pose.mock else ""
        print(f"{node.info.get_uptime():6.1f}  {angles} | {wheels} | {age:4.0f} {mock}".rstrip())

    def velocity(self, topic: str) -> str:
        message = self.newest.get(topic)
        if not isinstance(message, (MotorCommand, MotorState)):
            return "     --"
        if time.time() - message.stamp > 0.5:
            return "    old"
        return f"{round(message.velocity, 2) + 0.0:7.2f}"


logger = horus.Node(name="logger", subs=TOPICS, tick=Table().tick, rate=2)

if __name__ == "__main__":
    horus.run(logger)
