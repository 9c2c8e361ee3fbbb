"""Bosch BME280: temperature, air pressure and humidity, on I2C.

Source: BME280 data sheet BST-BME280-DS002 revision 1.6. All but the humidity is as in a BMP280: see
there. SDO low is address 0x76, SDO high 0x77.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from horus_drivers.env._compensation import compensate_humidity, solve
from horus_drivers.env.bmp280 import (
    OVERSAMPLING,
    Bmp280Config,
    Bmp280Registers,
    Bmp280Sim,
    Bmp280SimConfig,
    BoschEnvironment,
    BoschEnvironmentSim,
    Oversampling,
)

from horus.hal import Burst, Register, Stimulus, option
from horus.msgs import Environment


class Bme280Registers(Bmp280Registers):
    """What a BME280 has more."""

    first_humidity = Register(0xA1)  # H1
    more_humidity = Burst(0xE1, "<h B bBb b")  # H2, H3, H4 and H5 (12 bits each), H6
    identity = Register(0xD0, reset=0x60)
    humidity_control = Register(0xF2)
    sample = Burst(0xF2, ">x 3B x 6B H")
    data = Burst(0xF7, ">6B H")


@dataclass(frozen=True, kw_only=True)
class Bme280Config(Bmp280Config):
    """Options of a BME280."""

    humidity_samples: Oversampling = option(1, doc="taken for one measurement")

    def samples(self) -> tuple[int, ...]:
        """Return the samples taken for one measurement of each quantity."""
        return *super().samples(), self.humidity_samples


class Bme280(BoschEnvironment[Bme280Config, Bme280Registers]):
    """Temperature in °C, air pressure in Pa and relative humidity from 0 to 1."""

    name = "BME280"
    own = 0x60
    hint = "is it a BMP280 (0x58)?"
    humid = True

    def humidity_trimming(self) -> tuple[int, ...]:
        """Return H1..H6."""
        h2, h3, high4, shared, high5, h6 = self.map.more_humidity
        h4, h5 = high4 << 4 | shared & 15, high5 << 4 | shared >> 4
        return self.map.first_humidity, h2, h3, h4, h5, h6

    def set_humidity(self) -> None:
        """Set up humidity, which `control` puts into force."""
        self.map.humidity_control = OVERSAMPLING[self.config.humidity_samples]

    def add_humidity(self, found: Environment, fine: float, *raw: int) -> None:
        """Complete a sample by the humidity."""
        found.humidity = compensate_humidity(raw[0], fine, self.trim[12:])


@dataclass(frozen=True, kw_only=True)
class Bme280SimConfig(Bmp280SimConfig):
    """Options of the simulated BME280."""

    humidity_noise: float = option(0.0002, unit="rms", low=0, high=0.2, doc="of 0..1")


class Bme280Sim(BoschEnvironmentSim[Bme280Config, Bme280Registers], twin_of=Bme280):
    """A BME280: the same with humidity."""

    options: Bme280SimConfig
    humid = True
    calibration = Bmp280Sim.calibration
    humidity_calibration = 75, 355, 0, 333, 50, 30  # H1..H6: a common set of values
    humidity = Stimulus(0.45, low=0.0, high=1.0, doc="of the air, relative")

    def setup(self) -> None:
        """Be as damp as the air."""
        super().setup()
        self.damp = self.humidity

    def power_on(self) -> None:
        """Sleep, with the calibration of the works."""
        self.taken = 0  # oversampling of humidity in force
        super().power_on()
        h1, h2, h3, h4, h5, h6 = self.humidity_calibration
        self.map.first_humidity = h1
        self.map.more_humidity = h2, h3, h4 >> 4, (h5 & 15) << 4 | h4 & 15, h5 >> 4, h6

    def on_write(self, address: int, value: int) -> None:
        """Take a setting; that of humidity comes into force with the next one of control."""
        super().on_write(address, value)
        if address == 0xF4:
            self.taken = self.map.humidity_control & 7

    def no_humidity(self) -> tuple[int, ...]:
        """Return what the humidity register holds before a measurement."""
        return (0x8000,)

    def humidity_samples(self) -> int:
        """Return how many samples of humidity are taken."""
        return 2 ** (min(self.taken, 5) - 1) if self.taken else 0

    def feel(self, lag: float) -> None:
        """Approach the air around."""
        super().feel(lag)
        self.damp += (self.humidity - self.damp) * lag

    def measure_humidity(self, fine: float) -> tuple[int, ...]:
        """Return the converter's value for the humidity."""
        if not self.taken:
            return (0x8000,)
        noise = self.options.humidity_noise / math.sqrt(self.humidity_samples())
        wanted = min(max(self.damp + self.random.gauss(0, noise), 0.0), 1.0)
        h = self.humidity_calibration
        return (solve(lambda raw: compensate_humidity(raw, fine, h), wanted, 16),)

    def truth(self) -> dict[str, object]:
        """Return what is around the chip."""
        return {**super().truth(), "humidity": self.humidity}
