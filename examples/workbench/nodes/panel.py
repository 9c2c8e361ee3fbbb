"""Shows the newest of every device, once a second."""

import math

import horus
from horus.msgs import (
    AnalogIO,
    BatteryState,
    Encoder,
    Environment,
    Imu,
    JointState,
    LaserScan,
    MotorState,
    NavSatFix,
    RangeSensor,
)

WHEELS = ("left_wheel", "right_wheel", "brush")
TOPICS = {
    "imu": Imu,
    "battery": BatteryState,
    "air": Environment,
    "analog": AnalogIO,
    "dial": Encoder,
    "front": RangeSensor,
    "rear": RangeSensor,
    "lidar": LaserScan,
    "gps": NavSatFix,
    "arm.state": JointState,
    **{f"{motor}.state": MotorState for motor in WHEELS},
}


def words(newest: dict) -> str:
    parts = []
    if imu := newest.get("imu"):
        parts.append(f"turn {math.degrees(imu.gyro_z):+5.1f} °/s")
    if battery := newest.get("battery"):
        parts.append(f"{battery.voltage:5.2f} V")
    if air := newest.get("air"):
        parts.append(f"{air.temperature:4.1f} °C")
    if scan := newest.get("lidar"):
        parts.append(f"{len(scan.ranges)} rays")
    states = {motor: newest.get(f"{motor}.state") for motor in WHEELS}
    parts += [f"{motor} {state.velocity:+5.1f} rad/s" for motor, state in states.items() if state]
    if arm := newest.get("arm.state"):
        parts.append("arm " + " ".join(f"{angle:+4.2f}" for angle in arm.position))
    if gps := newest.get("gps"):
        parts.append(f"{gps.latitude:.5f} {gps.longitude:.5f}")
    return " | ".join(parts)


class Panel:
    def __init__(self) -> None:
        self.newest: dict[str, object] = {}

    def tick(self, node: horus.Node) -> None:
        for topic in TOPICS:
            message = node.get_latest(topic)
            if message is not None:
                self.newest[topic] = message
        mock = any(getattr(message, "mock", False) for message in self.newest.values())
        print(f"{node.info.get_uptime():5.1f} s  {words(self.newest)}{'  MOCK' if mock else ''}")


panel = horus.Node(
    name="panel",
    subs=[horus.Sub(topic, kind) for topic, kind in TOPICS.items()],
    tick=Panel().tick,
    rate=1,
)

if __name__ == "__main__":
    horus.run(panel)
