"""Drivers of Pimoroni, SparkFun and others, on our twins: each goes about it in its own way."""

import math
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
from horus_drivers.imu.icm20948 import Icm20948Config, Icm20948Sim, Icm20948SimConfig
from horus_drivers.imu.mpu6050 import Mpu6050Config, Mpu6050Sim, Mpu6050SimConfig

G = 9.80665


class SmBus:
    """A simulated bus as `smbus2.SMBus`, and as SparkFun's own layer over it."""

    def __init__(self, bus: Any) -> None:
        self.bus = bus

    def write_byte_data(self, address: int, register: int, value: int) -> None:
        self.bus.transfer(address, bytes((register, value)))

    def read_byte_data(self, address: int, register: int) -> int:
        return self.bus.transfer(address, bytes((register,)), 1)[0]

    def read_i2c_block_data(self, address: int, register: int, count: int) -> list[int]:
        return list(self.bus.transfer(address, bytes((register,)), count))

    writeByte = write_byte_data
    readByte = read_byte_data
    readBlock = read_i2c_block_data


@pytest.fixture
def twin() -> Icm20948Sim:
    return Icm20948Sim(
        Icm20948Config(address=0x68),
        Icm20948SimConfig(gyro_bias=0, gyro_noise=0, accel_noise=0, magnetic_noise=0),
    )


def test_pimoroni_icm20948(
    client: Any, put_on_bus: Callable[..., Any], clock: Any, twin: Icm20948Sim
) -> None:
    module = client("icm20948")
    device = module.ICM20948(0x68, SmBus(put_on_bus(twin).bus))
    twin.stimulate("acceleration", (0.5 * G, -0.25 * G, 2 * G))
    clock.advance(0.05)
    found = device.read_accelerometer_gyro_data()
    assert found == pytest.approx((0.5, -0.25, 2.0, 0, 0, 0), abs=1e-3)
    for field in ((30e-6, -10e-6, 44e-6), (-15e-6, 3e-6, 0.0)):
        twin.stimulate("magnetic", field)
        x, y, z = device.read_magnetometer_data()
        assert (x, -y, -z) == pytest.approx([1e6 * part for part in field], abs=0.2)
    twin.stimulate("temperature", [40.0])
    clock.advance(0.05)
    assert device.read_temperature() == pytest.approx(40.0, abs=1.0)


def test_sparkfun_qwiic_icm20948(
    client: Any, put_on_bus: Callable[..., Any], clock: Any, twin: Icm20948Sim
) -> None:
    module = client("qwiic_icm20948")
    device = module.QwiicIcm20948(0x68, SmBus(put_on_bus(twin).bus))
    assert device.begin()
    twin.stimulate("rotation", (0.0, 0.0, 1.0))
    clock.advance(0.05)
    assert device.dataReady()
    assert device.getAgmt()
    assert device.azRaw == pytest.approx(16384, abs=2)
    assert device.gzRaw == pytest.approx(57.2958 * 131, abs=2)
    assert device.mzRaw == pytest.approx(43 / 0.15, abs=1)
    assert device.tmpRaw == pytest.approx(4 * 333.87, abs=150)
    clock.advance(0.05)
    before = device.myRaw
    assert device.getAgmt()
    assert abs(device.myRaw - before) >= 4  # it is copied by itself, with every sample


def test_mpu6050_raspberrypi(
    client: Any, put_on_bus: Callable[..., Any], clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = Mpu6050Sim(Mpu6050Config(), Mpu6050SimConfig(gyro_bias=0, gyro_noise=0, accel_noise=0))
    bus = SmBus(put_on_bus(twin).bus)
    smbus = types.ModuleType("smbus")
    smbus.SMBus = lambda number: bus  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "smbus", smbus)
    module = client("mpu6050")
    device = module.mpu6050(0x68)
    twin.stimulate("acceleration", (1.0, -2.0, 12.0))
    clock.advance(0.01)
    found = device.get_accel_data()
    assert (found["x"], found["y"], found["z"]) == pytest.approx((1.0, -2.0, 12.0), abs=0.01)
    twin.stimulate("rotation", (0.0, 0.0, math.radians(-90)))
    clock.advance(0.01)
    assert device.get_gyro_data()["z"] == pytest.approx(-90, abs=0.1)  # °/s
    assert device.get_temp() == pytest.approx(25.0, abs=1.0)
