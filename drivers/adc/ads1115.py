"""TI ADS1115: four analogue inputs of 16 bits, one converter, on I2C.

Source: ADS1113/4/5 data sheet SBAS444 revision D. ADDR at GND, VDD, SDA or SCL is address 0x48 to
0x4B. Inputs must not leave GND - 0.3 V to VDD + 0.3 V, whatever the range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from horus.hal import (
    Driver,
    DriverConfig,
    Register,
    RegisterSim,
    SimConfig,
    Steps,
    Stimulus,
    WordRegisterMap,
    option,
)
from horus.msgs import AnalogIO

START = 0x8000  # OS: written, start; read, no conversion is running
SINGLE_SHOT = 0x0100  # MODE
COMPARATOR_OFF = 0x0003  # COMP_QUE
RANGES = (6144, 4096, 2048, 1024, 512, 256)  # ± mV, by PGA code
DATA_RATES = (8, 16, 32, 64, 128, 250, 475, 860)  # conversions a second, by DR code
PAIRS = ((0, 1), (0, 3), (1, 3), (2, 3))  # differential inputs, by MUX code
MARGIN = 0.9  # the oscillator may be 10 % slow


class Ads1115Registers(WordRegisterMap):
    """The registers."""

    conversion = Register(0x00, ">h")
    config = Register(0x01, ">H", reset=0x8583)
    low_threshold = Register(0x02, ">h", reset=-0x8000)
    high_threshold = Register(0x03, ">h", reset=0x7FFF)


@dataclass(frozen=True, kw_only=True)
class Ads1115Config(DriverConfig):
    """Options of an ADS1115."""

    address: Literal[0x48, 0x49, 0x4A, 0x4B] = option(0x48, doc="by the wiring of ADDR")
    rate: float = option(10.0, unit="Hz", above=0, high=500, doc="samples of all channels a second")
    channels: tuple[int, ...] = option((0, 1, 2, 3), low=0, high=3, doc="which are measured")
    differential: bool = option(False, doc="channels 0 to 3 are then A0-A1, A0-A3, A1-A3, A2-A3")
    range: Literal[6144, 4096, 2048, 1024, 512, 256] = option(4096, unit="± mV")
    data_rate: Literal[8, 16, 32, 64, 128, 250, 475, 860] = option(
        128, unit="Hz", doc="conversions a second; slower ones have less noise"
    )

    def contradictions(self) -> list[tuple[str, str]]:
        """Find a rate for which there are too few conversions."""
        count = len(self.channels)
        if count * self.rate <= self.data_rate * MARGIN:
            return []
        text = f"is too high for {count} channels with data_rate: {self.data_rate}"
        return [("rate", text)]


class Ads1115(Driver[Ads1115Config, Ads1115Registers]):
    """Voltages of the channels; NaN for one that is not measured or beyond the range.

    The channels are converted one after the other, each started by one call of `read` and fetched
    by the next, so `read` is called several times for each sample.
    """

    @classmethod
    def calls(cls, config: Ads1115Config) -> float:
        """Return as many calls as are needed, up to four times that to be done with all sooner."""
        least = len(config.channels) * config.rate
        return max(least, min(config.data_rate * MARGIN, 4 * least))

    def probe(self) -> bool:
        """Check that the thresholds can be thresholds; the chip has no identity register."""
        low, high = self.map.low_threshold, self.map.high_threshold
        ready_pin = high < 0 <= low  # ALERT/RDY as the ready signal
        if low >= high and not ready_pin:
            raise self.stranger(f"is no ADS1115: its thresholds read {low} and {high}")
        return True

    def configure(self) -> Steps:
        """See that settings are kept, and start with the first channel."""
        config = self.config
        self.asked = self.setting(config.channels[0])
        self.map.config = self.asked
        yield 1 / (config.data_rate * MARGIN)  # the end of a conversion that may be running
        self.compare(self.map.config)
        self.due()
        self.start()

    def setting(self, channel: int) -> int:
        """Return the configuration for one conversion of a channel, without its start."""
        config = self.config
        source = channel if config.differential else channel + 4
        gain, rate = RANGES.index(config.range), DATA_RATES.index(config.data_rate)
        return source << 12 | gain << 9 | SINGLE_SHOT | rate << 5 | COMPARATOR_OFF

    def compare(self, found: int) -> None:
        """Refuse a configuration that is not the one written last."""
        self.confirm("its configuration", found & ~START, self.asked)

    def start(self) -> None:
        """Begin a sample with its first channel."""
        self.values: list[float] = []
        self.convert()

    def convert(self) -> None:
        """Start the conversion of the next channel."""
        self.running = False
        self.asked = self.setting(self.config.channels[len(self.values)])
        self.map.config = self.asked | START
        self.running = True
        if not self.values:
            self.begun_ns = self.link.stamp_ns

    def read(self) -> AnalogIO | None:
        """Fetch one conversion; return the voltages when it was the last of a sample."""
        channels = self.config.channels
        found = None
        if len(self.values) < len(channels):
            if not self.running:  # the start was lost
                self.convert()
                return None
            config = self.map.config
            self.compare(config)
            if not config & START:
                return None
            self.values.append(self.volts(self.map.conversion))
            if len(self.values) < len(channels):
                self.convert()
                return None
            found = self.sample()
        begun_ns = self.begun_ns
        if self.due():
            self.start()
        self.link.stamp_ns = begun_ns  # of the sample's first conversion, not of the next one's
        return found

    def volts(self, raw: int) -> float:
        """Return a voltage; NaN at the ends of the range, beyond which it may be anything."""
        return raw * self.config.range / 32_768_000 if -0x8000 < raw < 0x7FFF else math.nan

    def sample(self) -> AnalogIO:
        """Return the voltages by channel."""
        voltages = [math.nan] * (max(self.config.channels) + 1)
        for channel, value in zip(self.config.channels, self.values, strict=True):
            voltages[channel] = value
        return AnalogIO(voltages=voltages)


@dataclass(frozen=True, kw_only=True)
class Ads1115SimConfig(SimConfig):
    """Options of the simulated ADS1115."""

    noise: float = option(60e-6, unit="V rms", low=0, high=1)
    slowness: float = option(0.03, low=-0.1, high=0.1, doc="of its oscillator, as a share")


class Ads1115Sim(RegisterSim[Ads1115Config, Ads1115Registers], twin_of=Ads1115):
    """The chip: one converter behind a multiplexer, single-shot or continuous, saturating."""

    options: Ads1115SimConfig
    voltages = Stimulus((0.5, 1.0, 1.5, 2.0), unit="V", low=-0.3, high=5.8, doc="at A0 to A3")

    def power_on(self) -> None:
        """Come up idle."""
        super().power_on()
        self.begun: float | None = None

    def on_write(self, address: int, value: int) -> None:
        """Take settings, and start when told to; results cannot be written."""
        if address in (0x02, 0x03):
            super().on_write(address, value)
        elif address == 0x01:
            busy = self.begun is not None and value & SINGLE_SHOT and not value & START
            super().on_write(address, value & ~START)
            if not busy:
                started = value & START or not value & SINGLE_SHOT
                self.begun = self.time if started else None

    def on_read(self, address: int) -> int:
        """Return a register; the configuration tells whether a conversion is running."""
        idle = address == 0x01 and self.begun is None
        return super().on_read(address & 3) & ~(START * (address == 0x01)) | START * idle

    def update(self) -> None:
        """Finish the conversions that are due."""
        if self.begun is None:
            return
        rate = DATA_RATES[self.map.config >> 5 & 7] * (1 - self.options.slowness)
        finished = int((self.time - self.begun) * rate + 1e-9)
        if not finished:
            return
        self.map.conversion = self.convert()
        self.begun = None if self.map.config & SINGLE_SHOT else self.begun + finished / rate

    def convert(self) -> int:
        """Return the value for the selected inputs and range."""
        source = self.map.config >> 12 & 7
        plus, minus = PAIRS[source] if source < 4 else (source - 4, None)
        volts = self.voltages[plus] - (self.voltages[minus] if minus is not None else 0.0)
        volts += self.random.gauss(0, self.options.noise)
        scale = RANGES[min(self.map.config >> 9 & 7, 5)] / 1000
        return min(max(round(volts / scale * 32768), -32768), 32767)

    def truth(self) -> dict[str, object]:
        """Return the voltages at the pins."""
        return {"voltages": list(self.voltages)}
