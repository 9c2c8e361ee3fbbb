"""A driver that loads a bus library as soon as it is imported."""

import smbus2
from horus_drivers.imu.mpu6050 import Mpu6050

assert smbus2


class Heavy(Mpu6050):
    """Works, but whoever imports it needs smbus2."""
