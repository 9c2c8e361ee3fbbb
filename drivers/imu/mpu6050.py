"""InvenSense MPU-6050: 3-axis accelerometer and gyroscope with a thermometer, on I2C.

Sources: MPU-6000/MPU-6050 product specification PS-MPU-6000A-00 revision 3.4 and register map
RM-MPU-6000A-00 revision 4.2. The GY-521 board pulls AD0 low: address 0x68.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import degrees, radians
from typing import Literal

from horus_drivers.imu.inertial import GRAVITY, BodySim, BodySimConfig, imu_sample

from horus.hal import (
    Bits,
    Burst,
    Driver,
    DriverConfig,
    Register,
    RegisterMap,
    Steps,
    option,
)
from horus.msgs import Imu

IDENTITY = 0x68  # whatever the address
ACCEL_SCALE = {2: 16384.0, 4: 8192.0, 8: 4096.0, 16: 2048.0}  # LSB per g by range in ± g
GYRO_SCALE = {250: 131.0, 500: 65.5, 1000: 32.8, 2000: 16.4}  # LSB per °/s by range in ± °/s
BANDWIDTHS = (260, 184, 94, 44, 21, 10, 5)  # Hz, of the accelerometer, by DLPF_CFG
CLOCK_PLL_X = 1  # clock from the X gyroscope: the one recommended


class Mpu6050Registers(RegisterMap):
    """The registers used here."""

    divider = Register(0x19)
    low_pass = Bits(0x1A, low=0, width=3)
    gyro_range = Bits(0x1B, low=3, width=2)
    accel_range = Bits(0x1C, low=3, width=2)
    announce = Bits(0x38, low=0)  # DATA_RDY_EN
    sample = Burst(0x3A, ">B 3h h 3h")  # status, acceleration, temperature, rotation
    path_reset = Bits(0x68, low=0, width=3)
    clock = Bits(0x6B, low=0, width=3)
    sleep = Bits(0x6B, low=6, reset=1)
    reset = Bits(0x6B, low=7)
    identity = Register(0x75, reset=IDENTITY)


@dataclass(frozen=True, kw_only=True)
class Mpu6050Config(DriverConfig):
    """Options of an MPU-6050."""

    address: Literal[0x68, 0x69] = option(0x68, doc="0x69 with AD0 high")
    rate: float = option(100.0, unit="Hz", above=0, high=1000, doc="samples a second")
    accel_range: Literal[2, 4, 8, 16] = option(2, unit="± g")
    gyro_range: Literal[250, 500, 1000, 2000] = option(250, unit="± °/s")
    bandwidth: Literal[260, 184, 94, 44, 21, 10, 5] = option(
        44, unit="Hz", doc="low-pass filter", live="any"
    )


def internal_rate(bandwidth: int) -> float:
    """Return the rate (Hz) that the sample divider divides."""
    return 8000.0 if bandwidth == BANDWIDTHS[0] else 1000.0


class Mpu6050(Driver[Mpu6050Config, Mpu6050Registers]):
    """Acceleration in m/s² and rotation in rad/s, along the axes printed on the board."""

    def probe(self) -> bool:
        """Check the identity register."""
        return self.expect(self.map.identity, IDENTITY, "an MPU-6050")

    def configure(self) -> Steps:
        """Reset, wake and set up; the chip samples at least twice as often as it is read."""
        config = self.config
        self.map.reset = 1
        yield 0.1
        yield from self.until(lambda: not self.map.reset, 0.1, "reset")
        self.map.path_reset = 0b111
        yield 0.1
        self.map.sleep = 0
        self.map.clock = CLOCK_PLL_X
        self.changed("bandwidth")
        self.map.accel_range = list(ACCEL_SCALE).index(config.accel_range)
        self.map.gyro_range = list(GYRO_SCALE).index(config.gyro_range)
        self.map.announce = 1
        yield 0.03  # start-up of the gyroscope

    def changed(self, option: str) -> None:
        """Set the filter; the rate from which the divider divides depends on it."""
        config = self.config
        if option == "bandwidth":
            self.map.low_pass = BANDWIDTHS.index(config.bandwidth)
            ticks = int(internal_rate(config.bandwidth) / (2 * config.rate))
            self.map.divider = min(max(ticks - 1, 0), 255)

    def read(self) -> Imu | None:
        """Read one sample in one burst; None while the chip has nothing new."""
        status, ax, ay, az, temperature, gx, gy, gz = self.map.sample
        if not status & 1:
            return None
        return imu_sample(
            accel=(ax, ay, az),
            accel_unit=GRAVITY / ACCEL_SCALE[self.config.accel_range],
            gyro=(gx, gy, gz),
            gyro_unit=radians(1.0 / GYRO_SCALE[self.config.gyro_range]),
            temperature=temperature / 340.0 + 36.53,
            frame=self.config.frame,
        )


@dataclass(frozen=True, kw_only=True)
class Mpu6050SimConfig(BodySimConfig):
    """Options of the simulated MPU-6050; noise at 44 Hz of bandwidth."""

    accel_noise: float = option(0.04, unit="m/s² rms", low=0, high=10)


class Mpu6050Sim(BodySim[Mpu6050Config, Mpu6050Registers], twin_of=Mpu6050):
    """The chip: asleep after power-on, samples on its own clock, saturates at its range."""

    options: Mpu6050SimConfig

    def on_write(self, address: int, value: int) -> None:
        """Store a byte; resets happen at once, measurements and identity cannot be written."""
        if 0x3A <= address <= 0x48 or address == Mpu6050Registers.identity.address:
            return
        super().on_write(address, value)
        if address == Mpu6050Registers.path_reset.address:
            super().on_write(address, 0)  # the three bits, wherever a client believes them to be
        if self.map.reset:
            self.power_on()

    def on_read(self, address: int) -> int:
        """Return a byte; reading the status clears it."""
        value = super().on_read(address)
        if address == Mpu6050Registers.sample.address:
            super().on_write(address, 0)
        return value

    def update(self) -> None:
        """Take a sample when the next is due; none while asleep."""
        super().update()
        rate = internal_rate(BANDWIDTHS[min(self.map.low_pass, 6)]) / (1 + self.map.divider)
        if self.map.sleep or not self.due(rate):
            return
        accel = list(ACCEL_SCALE.values())[self.map.accel_range] / GRAVITY
        gyro = degrees(list(GYRO_SCALE.values())[self.map.gyro_range])
        self.map.sample = (
            self.map.announce,
            *self.accel_counts(accel),
            self.count(self.temperature - 36.53, 0.1, 340.0),
            *self.gyro_counts(gyro),
        )

    def truth(self) -> dict[str, object]:
        """Return what the chip really undergoes."""
        return {"asleep": bool(self.map.sleep), **super().truth()}
