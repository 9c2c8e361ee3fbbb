"""Bosch BME280 (temperature, pressure, humidity) and BMP280 (without humidity), on I2C.

Sources: BME280 data sheet BST-BME280-DS002 revision 1.6 and BMP280 data sheet BST-BMP280-DS001
revision 1.19; the compensation is their formula in floating point (appendix 8.1 in both).
SDO low is address 0x76, SDO high 0x77.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar
from zlib import crc32

from horus_drivers.env._compensation import (
    compensate_humidity,
    compensate_pressure,
    compensate_temperature,
    duration,
    solve,
    standby,
)

from horus.hal import (
    Burst,
    Driver,
    DriverConfig,
    FaultKind,
    Register,
    RegisterMap,
    RegisterSim,
    SimConfig,
    Steps,
    Stimulus,
    option,
)
from horus.msgs import Environment

RESET = 0xB6
SLEEP, FORCED, NORMAL = 0, 1, 3  # modes; 2 is forced too
MEASURING, COPYING = 0x08, 0x01  # status bits; COPYING: calibration is being loaded
NONE_YET = 0x80000  # what temperature and pressure read before the first measurement
OVERSAMPLING = {1: 1, 2: 2, 4: 3, 8: 4, 16: 5}  # samples: code
FILTER = {0: 0, 2: 1, 4: 2, 8: 3, 16: 4}  # coefficient: code
TEMPERATURES = -45.0, 90.0  # °C: what the chip can measure, and a little more
PRESSURES = 25_000.0, 115_000.0  # Pa
Oversampling = Literal[1, 2, 4, 8, 16]


class Bmp280Registers(RegisterMap):
    """The registers of a BMP280."""

    calibration = Burst(0x88, "<Hhh Hhhhhhhhh")  # T1..T3, P1..P9
    identity = Register(0xD0, "B", reset=0x58)
    reset = Register(0xE0, "B")
    status = Register(0xF3, "B")
    control = Register(0xF4, "B")  # oversampling of temperature and pressure, mode
    config = Register(0xF5, "B")  # standby, filter
    sample = Burst(0xF2, ">x 3B x 6B")  # status, control, config, then as `data`
    data = Burst(0xF7, ">6B")  # pressure and temperature, 20 bits each, left-aligned in 3 bytes


class Bme280Registers(Bmp280Registers):
    """What a BME280 has more."""

    first_humidity = Register(0xA1, "B")  # H1
    more_humidity = Burst(0xE1, "<h B bBb b")  # H2, H3, H4 and H5 (12 bits each), H6
    identity = Register(0xD0, "B", reset=0x60)
    humidity_control = Register(0xF2, "B")
    sample = Burst(0xF2, ">x 3B x 6B H")
    data = Burst(0xF7, ">6B H")


@dataclass(frozen=True, kw_only=True)
class Bmp280Config(DriverConfig):
    """Options of a BMP280."""

    address: Literal[0x76, 0x77] = option(0x76, doc="0x77 with SDO high")
    rate: float = option(10.0, unit="Hz", above=0, high=150, doc="samples a second")
    temperature_samples: Oversampling = option(2, doc="taken for one measurement")
    pressure_samples: Oversampling = option(4, doc="taken for one measurement")
    filter: Literal[0, 2, 4, 8, 16] = option(0, doc="coefficient of the IIR filter; 0 is off")

    def samples(self) -> tuple[int, ...]:
        """Return the samples taken for one measurement of each quantity."""
        return self.temperature_samples, self.pressure_samples

    def contradictions(self) -> list[tuple[str, str]]:
        """Find a rate for which a measurement takes too long."""
        takes = duration(self.samples(), worst=True)
        if (takes + 0.0005) * self.rate <= 1.0:
            return []
        text = f"is too high: a measurement takes up to {takes * 1000:.1f} ms (see *_samples)"
        return [("rate", text)]


@dataclass(frozen=True, kw_only=True)
class Bme280Config(Bmp280Config):
    """Options of a BME280."""

    humidity_samples: Oversampling = option(1, doc="taken for one measurement")

    def samples(self) -> tuple[int, ...]:
        """Return the samples taken for one measurement of each quantity."""
        return *super().samples(), self.humidity_samples


ConfigT = TypeVar("ConfigT", bound=Bmp280Config)
MapT = TypeVar("MapT", bound=Bmp280Registers)


class BoschEnvironment(Driver[ConfigT, MapT]):
    """What both chips have in common: continuous measurement, calibration, plausibility."""

    name: ClassVar[str]
    identities: ClassVar[tuple[int, ...]]
    humid: ClassVar[bool]

    def probe(self) -> bool:
        """Check the identity register."""
        found = self.map.identity
        if found not in self.identities:
            raise self.fault(
                FaultKind.REJECTED,
                f"the device that answers has identity 0x{found:02X}; "
                f"a {self.name} has 0x{self.identities[0]:02X}",
                cure="correct use: (bme280 is 0x60, bmp280 is 0x58) or address: in horus.yaml",
            )
        return True

    def identity(self) -> str:
        """Return the checksum of the chip's own calibration: no two chips share theirs."""
        return f"{crc32(repr(self.trimming()).encode()):08x}"

    def trimming(self) -> tuple[int, ...]:
        """Read the calibration twice: a wrong bit in it would falsify every sample."""
        found = self.map.calibration, self.humidity_trimming()
        if found != (self.map.calibration, self.humidity_trimming()):
            raise self.fault(FaultKind.CORRUPT, "its calibration read twice differs")
        return found[0] + found[1]

    def humidity_trimming(self) -> tuple[int, ...]:
        """Return H1..H6, of a chip that has them."""
        return ()

    def settings(self) -> tuple[int, int]:
        """Return the bytes of control and configuration."""
        config = self.config
        longest = duration(config.samples(), worst=True)
        pauses = [(standby(code, self.humid), code) for code in range(8)]
        fitting = [pause for pause in pauses if longest + pause[0] <= 1 / (2 * config.rate)]
        code = max(fitting)[1] if fitting else 0
        codes = OVERSAMPLING[config.temperature_samples], OVERSAMPLING[config.pressure_samples]
        return codes[0] << 5 | codes[1] << 2 | NORMAL, code << 5 | FILTER[config.filter] << 2

    def configure(self) -> Steps:
        """Reset, read the calibration, and measure at least as often as samples are wanted."""
        self.map.reset = RESET
        yield 0.003
        yield from self.until(lambda: not self.map.status & COPYING, 0.1, "reset")
        self.trim = self.trimming()
        self.wanted = control, config = self.settings()
        self.map.config = config  # while the chip sleeps: in normal mode it may be ignored
        self.set_humidity()
        self.map.control = control
        yield duration(self.config.samples(), worst=True)

    def set_humidity(self) -> None:
        """Set up humidity, which `control` puts into force."""

    def read(self) -> Environment | None:
        """Read one measurement in one burst; None before the first is there."""
        _, control, config, *raw = self.map.sample
        if (control, config) != self.wanted:
            raise self.fault(
                FaultKind.CORRUPT,
                f"its settings are 0x{control:02X} 0x{config:02X} and not as configured",
                cure="was it restarted? It is set up again",
            )
        pressure, temperature = (raw[i] << 12 | raw[i + 1] << 4 | raw[i + 2] >> 4 for i in (0, 3))
        if NONE_YET in (pressure, temperature):
            return None
        fine = compensate_temperature(temperature, self.trim[:3])
        found = Environment(
            temperature=fine / 5120.0,
            pressure=compensate_pressure(pressure, fine, self.trim[3:12]),
            frame=self.config.frame,
        )
        if self.humid:
            found.humidity = compensate_humidity(raw[6], fine, self.trim[12:])
        warm = TEMPERATURES[0] <= found.temperature <= TEMPERATURES[1]
        if not (warm and PRESSURES[0] <= found.pressure <= PRESSURES[1]):
            text = f"{found.temperature:.1f} °C and {found.pressure:.0f} Pa cannot be"
            raise self.fault(FaultKind.CORRUPT, text)
        return found


class Bmp280(BoschEnvironment[Bmp280Config, Bmp280Registers]):
    """Temperature in °C and air pressure in Pa."""

    name = "BMP280"
    identities = (0x58, 0x56, 0x57)  # the last two are early samples
    humid = False


class Bme280(BoschEnvironment[Bme280Config, Bme280Registers]):
    """Temperature in °C, air pressure in Pa and relative humidity from 0 to 1."""

    name = "BME280"
    identities = (0x60,)
    humid = True

    def humidity_trimming(self) -> tuple[int, ...]:
        """Return H1..H6."""
        h2, h3, high4, shared, high5, h6 = self.map.more_humidity
        h4, h5 = high4 << 4 | shared & 15, high5 << 4 | shared >> 4
        return self.map.first_humidity, h2, h3, h4, h5, h6

    def set_humidity(self) -> None:
        """Set up humidity, which `control` puts into force."""
        self.map.humidity_control = OVERSAMPLING[self.config.humidity_samples]


@dataclass(frozen=True, kw_only=True)
class Bmp280SimConfig(SimConfig):
    """Options of the simulated chip."""

    temperature_noise: float = option(0.005, unit="°C rms", low=0, high=5)
    pressure_noise: float = option(1.3, unit="Pa rms", low=0, high=1000)
    lag: float = option(1.0, unit="s", low=0, high=100, doc="time constant of its housing")


@dataclass(frozen=True, kw_only=True)
class Bme280SimConfig(Bmp280SimConfig):
    """Options of the simulated BME280."""

    humidity_noise: float = option(0.0002, unit="rms", low=0, high=0.2, doc="of 0..1")


class BoschEnvironmentSim(RegisterSim[ConfigT, MapT]):
    """The chip: three modes, measuring times, oversampling, filter, and a housing that lags."""

    options: Bmp280SimConfig
    humid: ClassVar[bool]
    calibration: ClassVar[tuple[int, ...]]
    temperature = Stimulus(25.0, unit="°C", low=-40.0, high=85.0, doc="of the air")
    pressure = Stimulus(101_325.0, unit="Pa", low=30_000.0, high=110_000.0, doc="of the air")

    def setup(self) -> None:
        """Have the temperature of the air."""
        self.felt = self.temperature

    def power_on(self) -> None:
        """Sleep, with the calibration of the works."""
        super().power_on()
        self.map.calibration = self.calibration
        self.map.data = (0x80, 0, 0, 0x80, 0, 0, *self.no_humidity())
        self.begun, self.done = self.time, 0
        self.ready = self.time + 0.002
        self.filtered: tuple[float, float] | None = None

    def no_humidity(self) -> tuple[int, ...]:
        """Return what the humidity register holds before a measurement."""
        return ()

    def measure_humidity(self, fine: float) -> tuple[int, ...]:
        """Return the converter's value for the humidity."""
        return ()

    def humidity_samples(self) -> int:
        """Return how many samples of humidity are taken."""
        return 0

    def transfer(self, write: bytes, read: int) -> bytes:
        """Do one transaction; unlike reads, writes are pairs of register and value."""
        for at in range(2, len(write) - 1, 2):
            super().transfer(write[at - 2 : at], 0)
        last = write[-2:] if len(write) % 2 == 0 else write[-1:]
        return super().transfer(last, read)

    def on_write(self, address: int, value: int) -> None:
        """Take a setting; results and calibration cannot be written."""
        if address == 0xE0 and value == RESET:
            self.power_on()
        elif address == 0xF4:
            super().on_write(address, value)
            self.begun, self.done = self.time, 0
        elif (address == 0xF5 and self.mode() != NORMAL) or (address == 0xF2 and self.humid):
            super().on_write(address, value)

    def mode(self) -> int:
        """Return the mode: sleep, forced or normal."""
        return (SLEEP, FORCED, FORCED, NORMAL)[self.map.control & 3]

    def samples(self) -> list[int]:
        """Return the samples for one measurement, by the codes in the registers; 0 is none."""
        codes = self.map.control >> 5, self.map.control >> 2 & 7
        return [2 ** (min(code, 5) - 1) if code else 0 for code in codes]

    def update(self) -> None:
        """Take the measurements that are finished by now."""
        lag = 1.0 - math.exp(-self.dt / self.options.lag) if self.options.lag else 1.0
        self.feel(lag)
        takes = duration([*self.samples(), self.humidity_samples()], worst=False)
        since = self.time - self.begun
        mode = self.mode()
        cycle = takes + standby(self.map.config >> 5, self.humid)
        busy = mode != SLEEP and since % cycle < takes
        finished = int((since + cycle - takes) / cycle) if mode == NORMAL else since >= takes
        if mode != SLEEP and finished > self.done:
            self.measure(int(finished) - self.done)
            self.done = int(finished)
        if mode == FORCED and finished:
            self.map.control &= ~3
            busy = False
        self.map.status = MEASURING * busy | COPYING * (self.time < self.ready)

    def feel(self, lag: float) -> None:
        """Approach the air around."""
        self.felt += (self.temperature - self.felt) * lag

    def measure(self, times: int) -> None:
        """Convert what the chip feels; the filter has seen it as many times as given."""
        taken = [max(number, 1) for number in self.samples()]
        noise = self.options.temperature_noise, self.options.pressure_noise
        warmth = self.felt + self.random.gauss(0, noise[0] / math.sqrt(taken[0]))
        force = self.pressure + self.random.gauss(0, noise[1] / math.sqrt(taken[1]))
        t, p = self.calibration[:3], self.calibration[3:]
        raw_t = solve(lambda raw: compensate_temperature(raw, t) / 5120.0, warmth, 20)
        fine = compensate_temperature(raw_t, t)
        raw_p = solve(lambda raw: -compensate_pressure(raw, fine, p), -force, 20)
        size = 2 ** min(self.map.config >> 2 & 7, 4)
        old = self.filtered or (raw_t, raw_p)
        weight = 1.0 - (1.0 - 1.0 / size) ** times
        self.filtered = old[0] + (raw_t - old[0]) * weight, old[1] + (raw_p - old[1]) * weight
        data = []
        for value, number in zip(self.filtered[::-1], self.samples()[::-1], strict=True):
            raw = round(value) if number else NONE_YET
            data += [raw >> 12, raw >> 4 & 0xFF, raw << 4 & 0xF0]
        self.map.data = (*data, *self.measure_humidity(fine))

    def truth(self) -> dict[str, object]:
        """Return what is around the chip."""
        return {"mode": self.mode(), "temperature": self.temperature, "pressure": self.pressure}


class Bmp280Sim(BoschEnvironmentSim[Bmp280Config, Bmp280Registers], twin_of=Bmp280):
    """A BMP280 with the calibration of the data sheet's worked example."""

    humid = False
    calibration = 27504, 26435, -1000, *(36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)


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
