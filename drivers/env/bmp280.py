"""Bosch BMP280: temperature and air pressure, on I2C.

The BME280 shares all but its humidity with it: `horus_drivers.env.bme280` builds on this file.
Source: BMP280 data sheet BST-BMP280-DS001 revision 1.19; the compensation is its formula in
floating point (appendix 8.1). SDO low is address 0x76, SDO high 0x77.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar
from zlib import crc32

from horus_drivers.env._compensation import (
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
    identity = Register(0xD0, reset=0x58)
    reset = Register(0xE0)
    status = Register(0xF3)
    control = Register(0xF4)  # oversampling of temperature and pressure, mode
    config = Register(0xF5)  # standby, filter
    sample = Burst(0xF2, ">x 3B x 6B")  # status, control, config, then as `data`
    data = Burst(0xF7, ">6B")  # pressure and temperature, 20 bits each, left-aligned in 3 bytes


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


ConfigT = TypeVar("ConfigT", bound=Bmp280Config)
MapT = TypeVar("MapT", bound=Bmp280Registers)


class BoschEnvironment(Driver[ConfigT, MapT]):
    """What both chips have in common: continuous measurement, calibration, plausibility."""

    name: ClassVar[str]
    #: The chip's own identity, and those of early samples of it.
    own: ClassVar[int]
    early: ClassVar[tuple[int, ...]] = ()
    #: Asked when another identity answers.
    hint: ClassVar[str]
    humid: ClassVar[bool]

    def probe(self) -> bool:
        """Check the identity register."""
        found = self.map.identity
        return found in self.early or self.expect(found, self.own, f"a {self.name}", self.hint)

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

    def add_humidity(self, found: Environment, fine: float, *raw: int) -> None:
        """Complete a sample by the humidity, of a chip that measures it."""

    def read(self) -> Environment | None:
        """Read one measurement in one burst; None before the first is there."""
        _, control, config, *raw = self.map.sample
        self.confirm("its control and configuration", (control, config), self.wanted)
        pressure, temperature = (raw[i] << 12 | raw[i + 1] << 4 | raw[i + 2] >> 4 for i in (0, 3))
        if NONE_YET in (pressure, temperature):
            return None
        fine = compensate_temperature(temperature, self.trim[:3])
        found = Environment(
            temperature=fine / 5120.0,
            pressure=compensate_pressure(pressure, fine, self.trim[3:12]),
            frame=self.config.frame,
        )
        self.add_humidity(found, fine, *raw[6:])
        warm = TEMPERATURES[0] <= found.temperature <= TEMPERATURES[1]
        if not (warm and PRESSURES[0] <= found.pressure <= PRESSURES[1]):
            text = f"{found.temperature:.1f} °C and {found.pressure:.0f} Pa cannot be"
            raise self.fault(FaultKind.CORRUPT, text)
        return found


class Bmp280(BoschEnvironment[Bmp280Config, Bmp280Registers]):
    """Temperature in °C and air pressure in Pa."""

    name = "BMP280"
    own = 0x58
    early = (0x56, 0x57)
    hint = "is it a BME280 (0x60)?"
    humid = False


@dataclass(frozen=True, kw_only=True)
class Bmp280SimConfig(SimConfig):
    """Options of the simulated chip."""

    temperature_noise: float = option(0.005, unit="°C rms", low=0, high=5)
    pressure_noise: float = option(1.3, unit="Pa rms", low=0, high=1000)
    lag: float = option(1.0, unit="s", low=0, high=100, doc="time constant of its housing")


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
