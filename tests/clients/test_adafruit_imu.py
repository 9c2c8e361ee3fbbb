"""Adafruit's drivers of inertial sensors and of a magnetic encoder, on our twins."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from horus_drivers.encoder.as5600 import As5600, As5600Config, As5600Sim, As5600SimConfig
from horus_drivers.imu.bno055 import Bno055Config, Bno055Sim
from horus_drivers.imu.icm20948 import Icm20948Config, Icm20948Sim
from horus_drivers.imu.lsm6dsox import Lsm6dsoxConfig, Lsm6dsoxSim
from horus_drivers.imu.mpu6050 import Mpu6050Config, Mpu6050Sim

from horus.hal import I2cLink
from horus.hal.rotation import rotated

FORCE = (1.5, -2.5, 9.0)
TURN = (0.4, -0.8, 1.2)


def quiet(sim: Any, config: Any) -> Any:
    """Return a twin without noise or bias."""
    options = sim.options_type()
    names = [name for name in options.__dataclass_fields__ if name.endswith(("noise", "bias"))]
    return sim(config, options(**dict.fromkeys(names, 0.0)))


def shake(clock: Any, twin: Any, device: Any) -> None:
    """Put a force and then a turn on a twin, and compare what the client reads."""
    twin.stimulate("acceleration", FORCE)
    clock.advance(0.05)
    assert device.acceleration == pytest.approx(FORCE, abs=0.01)
    twin.stimulate("rotation", TURN)
    clock.advance(0.05)
    assert device.gyro == pytest.approx(TURN, abs=0.002)


def test_mpu6050(client: Any, put_on_bus: Callable[..., Any], clock: Any) -> None:
    module = client("adafruit_mpu6050")
    twin = quiet(Mpu6050Sim, Mpu6050Config())
    device = module.MPU6050(put_on_bus(twin))
    for accel in (3, 0, 1, 2):
        for gyro in range(4):
            device.accelerometer_range = accel
            device.gyro_range = gyro
            twin.stimulate("rotation", (0.0, 0.0, 0.0))
            shake(clock, twin, device)
    twin.stimulate("temperature", [31.0])
    clock.advance(0.05)
    assert device.temperature == pytest.approx(31.0, abs=0.5)


def test_lsm6dsox(client: Any, put_on_bus: Callable[..., Any], clock: Any) -> None:
    client("adafruit_lsm6ds")
    module = client("adafruit_lsm6ds.lsm6dsox")
    ranges = client("adafruit_lsm6ds")
    ranges.sleep = clock.sleep
    twin = quiet(Lsm6dsoxSim, Lsm6dsoxConfig())
    device = module.LSM6DSOX(put_on_bus(twin))
    settings = [put_on_bus(twin).bus.transfer(0x6A, bytes((r,)), 1)[0] for r in (0x10, 0x11, 0x12)]
    assert settings == [0x48, 0x40, 0x44]
    for accel in (ranges.AccelRange.RANGE_2G, ranges.AccelRange.RANGE_8G):
        for gyro in (125, 0, 1, 2, 3):
            device.accelerometer_range = accel
            device.gyro_range = gyro
            twin.stimulate("rotation", (0.0, 0.0, 0.0))
            shake(clock, twin, device)
    twin.stimulate("temperature", [-5.0])
    clock.advance(0.05)
    assert device.temperature == pytest.approx(-5.0, abs=0.3)


def test_icm20948(client: Any, put_on_bus: Callable[..., Any], clock: Any) -> None:
    module = client("adafruit_icm20x")
    twin = quiet(Icm20948Sim, Icm20948Config())
    device = module.ICM20948(put_on_bus(twin))
    assert device._mag_id() == 0x09
    device._setup_mag_readout()
    for accel in range(4):
        for gyro in range(4):
            device.accelerometer_range = accel
            device.gyro_range = gyro
            twin.stimulate("rotation", (0.0, 0.0, 0.0))
            shake(clock, twin, device)
    twin.stimulate("rotation", (0.0, 0.0, 0.0))
    twin.stimulate("magnetic", twin_axes(twin, (30e-6, -10e-6, 44e-6)))
    clock.advance(0.1)
    x, y, z = device.magnetic  # µT, along the magnetometer's own axes
    assert (x, -y, -z) == pytest.approx((30, -10, 44), abs=0.2)


def twin_axes(twin: Any, vector: tuple[float, ...]) -> tuple[float, ...]:
    """Return a vector along the body's axes of this moment in those of the world."""
    return rotated(vector, twin.attitude)


def test_bno055(client: Any, put_on_bus: Callable[..., Any], clock: Any) -> None:
    module = client("adafruit_bno055")
    twin = Bno055Sim(Bno055Config())
    device = module.BNO055_I2C(put_on_bus(twin))
    clock.advance(0.05)
    assert device.mode == module.NDOF_MODE
    assert device.acceleration == pytest.approx((0, 0, 9.81), abs=0.2)
    assert device.quaternion == pytest.approx((1, 0, 0, 0), abs=0.01)
    assert device.gravity == pytest.approx((0, 0, 9.81), abs=0.05)
    assert device.linear_acceleration == pytest.approx((0, 0, 0), abs=0.05)
    assert device.magnetic == pytest.approx((20, 0, -43), abs=3)
    assert device.temperature == 25
    assert not device.calibrated
    clock.advance(5.0)
    device.acceleration  # noqa: B018 - lets the twin know of the time
    assert device.calibrated
    twin.stimulate("rotation", (0.0, 0.0, math.pi / 4))
    clock.advance(2.0)
    assert device.gyro == pytest.approx((0, 0, math.pi / 4), abs=0.03)
    w, x, y, z = device.quaternion
    assert (w, x, y, z) == pytest.approx(
        (math.cos(math.pi / 4), 0, 0, math.sin(math.pi / 4)), abs=0.03
    )
    assert device.euler[0] == pytest.approx(270.0, abs=3)
    offsets = device.offsets_accelerometer
    assert offsets == twin.own[0:3]
    device.offsets_magnetometer = (11, -12, 13)
    assert device.offsets_magnetometer == (11, -12, 13)
    device.mode = module.CONFIG_MODE
    device.accel_range = module.ACCEL_16G
    assert device.accel_range == module.ACCEL_16G
    device.mode = module.AMG_MODE
    twin.stimulate("rotation", (0.0, 0.0, 0.0))
    clock.advance(0.05)
    assert device.quaternion == (None,) * 4
    assert device.acceleration == pytest.approx((0, 0, 9.81), abs=0.2)


def test_as5600(client: Any, put_on_bus: Callable[..., Any], clock: Any) -> None:
    module = client("adafruit_as5600")
    twin = As5600Sim(As5600Config(), As5600SimConfig(nonlinearity=0.0))
    bus = put_on_bus(twin)
    device = module.AS5600(bus)
    assert (device.z_position, device.m_position, device.max_angle) == (0, 4095, 4095)
    for turn in (0.1, 0.5, 0.9):
        twin.position = turn * math.tau
        clock.advance(0.01)
        assert device.raw_angle == pytest.approx(turn * 4096, abs=2)
        assert device.angle == pytest.approx(turn * 4096, abs=3)
    assert device.magnet_detected
    assert not device.min_gain_overflow
    twin.magnet = 5.0
    clock.advance(0.01)
    assert not device.magnet_detected
    twin.magnet = 60.0
    device.hysteresis = 2  # as another program may have left it
    ours = As5600(As5600Config(slow_filter=4), I2cLink(bus.bus, 0x36, "e", clock.monotonic_ns))
    ours.configure()
    assert (device.hysteresis, device.slow_filter) == (0, module.SLOW_FILTER_4X)
    clock.advance(0.01)
    assert ours.read().position == pytest.approx(-0.1 * math.tau, abs=0.01)
