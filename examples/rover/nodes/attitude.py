"""Estimates which way is up: the gyroscope is fast, the accelerometer keeps it from drifting."""

import math

import horus
from horus.msgs import Imu, Pose3D

TRUST = 0.02  # how much of each sample's tilt comes from the accelerometer


class Attitude:
    def __init__(self) -> None:
        self.roll = self.pitch = self.yaw = 0.0
        self.last = 0.0

    def tick(self, node: horus.Node) -> None:
        for imu in node.get_all("imu"):
            self.update(imu)
            pose = Pose3D(orientation=self.quaternion(), frame="world")
            pose.stamp, pose.mock = imu.stamp, imu.mock
            node.send("attitude", pose)

    def update(self, imu: Imu) -> None:
        seconds = min(max(imu.stamp - self.last, 0.0), 0.1)
        self.last = imu.stamp
        self.roll += imu.gyro_x * seconds
        self.pitch += imu.gyro_y * seconds
        self.yaw += imu.gyro_z * seconds
        level = math.hypot(imu.accel_y, imu.accel_z)
        self.roll += TRUST * (math.atan2(imu.accel_y, imu.accel_z) - self.roll)
        self.pitch += TRUST * (math.atan2(-imu.accel_x, level) - self.pitch)

    def quaternion(self) -> tuple[float, float, float, float]:
        cr, cp, cy = (math.cos(angle / 2) for angle in (self.roll, self.pitch, self.yaw))
        sr, sp, sy = (math.sin(angle / 2) for angle in (self.roll, self.pitch, self.yaw))
        return (
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
            cr * cp * cy + sr * sp * sy,
        )


attitude = horus.Node(
    name="attitude",
    subs=horus.Sub("imu", Imu),
    pubs=horus.Pub("attitude", Pose3D),
    tick=Attitude().tick,
    rate=100,
)

if __name__ == "__main__":
    horus.run(attitude)
