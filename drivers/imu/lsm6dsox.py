"""ST LSM6DSOX and LSM6DSO: 3-axis accelerometer and gyroscope with a thermometer, on I2C.

Source: LSM6DSOX datasheet DS12814 revision 4. The two chips are alike in all that is used here and
have the same identity. SDO/SA0 low is address 0x6A, high is 0x6B.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import radians
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

IDENTITY = 0x6C
#: Code and sensitivity (g per LSB) by range in ± g; the codes do not rise with the range.
ACCEL = {2: (0, 0.061e-3), 4: (2, 0.122e-3), 8: (3, 0.244e-3), 16: (1, 0.488e-3)}
#: Code and sensitivity (°/s per LSB) by range in ± °/s; ± 125 °/s is a bit of its own.
GYRO = {
    125: (0, 4.375e-3),
    250: (0, 8.75e-3),
    500: (1, 17.5e-3),
    1000: (2, 35e-3),
    2000: (3, 70e-3),
}
#: Output rates (Hz) by code, from 1.
RATES = (12.5, 26.0, 52.0, 104.0, 208.0, 416.0, 833.0, 1666.0, 3332.0, 6664.0)
ACCEL_READY, GYRO_READY, TEMPERATURE_READY = 1, 2, 4  # bits of STATUS_REG
#: The register that ends each result, and the bit which reading it clears.
LAST_BYTES = {0x21: TEMPERATURE_READY, 0x27: GYRO_READY, 0x2D: ACCEL_READY}


class Lsm6dsoxRegisters(RegisterMap):
    """The registers used here."""

    identity = Register(0x0F, reset=IDENTITY)
    accel_range = Bits(0x10, low=2, width=2)
    accel_rate = Bits(0x10, low=4, width=4)
    gyro_125 = Bits(0x11, low=1)
    gyro_range = Bits(0x11, low=2, width=2)
    gyro_rate = Bits(0x11, low=4, width=4)
    reset = Bits(0x12, low=0)
    increment = Bits(0x12, low=2, reset=1)  # IF_INC: bursts go on to the next register
    whole = Bits(0x12, low=6)  # BDU: no sample made of two halves
    status = Register(0x1E)
    sample = Burst(0x1E, "<Bx h 3h 3h")  # status, temperature, rotation, acceleration


@dataclass(frozen=True, kw_only=True)
class Lsm6dsoxConfig(DriverConfig):
    """Options of an LSM6DSOX or LSM6DSO."""

    address: Literal[0x6A, 0x6B] = option(0x6A, doc="0x6B with SDO/SA0 high")
    rate: float = option(100.0, unit="Hz", above=0, high=1000, doc="samples a second")
    accel_range: Literal[2, 4, 8, 16] = option(4, unit="± g")
    gyro_range: Literal[125, 250, 500, 1000, 2000] = option(250, unit="± °/s")


class Lsm6dsox(Driver[Lsm6dsoxConfig, Lsm6dsoxRegisters]):
    """Acceleration in m/s² and rotation in rad/s, along the axes printed on the board."""

    def probe(self) -> bool:
        """Check the identity register."""
        return self.expect(self.map.identity, IDENTITY, "an LSM6DSOX")

    def configure(self) -> Steps:
        """Reset and set up; the chip samples at least twice as often as it is read."""
        config = self.config
        self.map.reset = 1
        yield 0.01
        yield from self.until(lambda: not self.map.reset, 0.1, "reset")
        self.map.whole = 1
        self.map.accel_range = ACCEL[config.accel_range][0]
        self.map.gyro_range = GYRO[config.gyro_range][0]
        self.map.gyro_125 = int(config.gyro_range == 125)
        code = next(n for n, rate in enumerate(RATES, 1) if rate >= 2 * config.rate)
        self.map.accel_rate = code
        self.map.gyro_rate = code
        yield 0.1  # start-up of the gyroscope

    def read(self) -> Imu | None:
        """Read one sample in one burst; None while either sensor has nothing new."""
        status, temperature, gx, gy, gz, ax, ay, az = self.map.sample
        if not (status & ACCEL_READY and status & GYRO_READY):
            return None
        return imu_sample(
            accel=(ax, ay, az),
            accel_unit=GRAVITY * ACCEL[self.config.accel_range][1],
            gyro=(gx, gy, gz),
            gyro_unit=radians(GYRO[self.config.gyro_range][1]),
            temperature=temperature / 256.0 + 25.0,
            frame=self.config.frame,
        )


@dataclass(frozen=True, kw_only=True)
class Lsm6dsoxSimConfig(BodySimConfig):
    """Options of the simulated LSM6DSOX; noise at an output rate of 208 Hz."""

    accel_noise: float = option(0.007, unit="m/s² rms", low=0, high=10)
    gyro_noise: float = option(0.0007, unit="rad/s rms", low=0, high=0.2)


class Lsm6dsoxSim(BodySim[Lsm6dsoxConfig, Lsm6dsoxRegisters], twin_of=Lsm6dsox):
    """The chip: off after power-on, each sensor on its own clock, saturates at its range."""

    options: Lsm6dsoxSimConfig

    def power_on(self) -> None:
        """Come up with both sensors off."""
        super().power_on()
        self.increments = bool(self.map.increment)

    def on_write(self, address: int, value: int) -> None:
        """Store a byte; a reset happens at once, results and identity cannot be written."""
        if address == Lsm6dsoxRegisters.identity.address or 0x1A <= address <= 0x2D:
            return
        super().on_write(address, value)
        if self.map.reset:
            self.power_on()
        self.increments = bool(self.map.increment)

    def on_read(self, address: int) -> int:
        """Return a byte; reading the last byte of a result clears its bit in the status."""
        if address in LAST_BYTES:
            self.map.status &= ~LAST_BYTES[address]
        return super().on_read(address)

    def following(self, pointer: int) -> int:
        """Return where the pointer goes: it stays unless IF_INC is set."""
        return super().following(pointer) if self.increments else pointer

    def update(self) -> None:
        """Take the samples that are due."""
        super().update()
        status, temperature, *results = self.map.sample
        if (rate := rate_of(self.map.gyro_rate)) and self.due(rate, "gyro"):
            code = self.map.gyro_range
            scale = 125 if self.map.gyro_125 else (250, 500, 1000, 2000)[code]
            results[0:3] = self.gyro_counts(1 / radians(GYRO[scale][1]))
            status |= GYRO_READY
        if (rate := rate_of(self.map.accel_rate)) and self.due(rate, "accel"):
            code = self.map.accel_range
            sensitivity = next(lsb for at, lsb in ACCEL.values() if at == code)
            results[3:6] = self.accel_counts(1 / (sensitivity * GRAVITY))
            temperature = self.count(self.temperature - 25.0, 0.05, 256.0)
            status |= ACCEL_READY | TEMPERATURE_READY
        self.map.sample = (status, temperature, *results)


def rate_of(code: int) -> float:
    """Return the output rate (Hz) of a code; 0 is off."""
    return RATES[code - 1] if 1 <= code <= len(RATES) else 0.0
