"""TI INA219: voltage of a supply and current through a shunt, on I2C.

Source: INA219 data sheet SBOS448 revision G. A1 and A0 choose the address from 0x40 to 0x4F. With
Vin+ at the battery and Vin- at the load, as the breakouts are labelled, the battery discharges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from horus.hal import (
    Driver,
    DriverConfig,
    FaultKind,
    Register,
    RegisterSim,
    SimConfig,
    Steps,
    Stimulus,
    WordRegisterMap,
    option,
)
from horus.msgs import BatteryState, BatteryStatus

RESET = 0x8000  # bit of the configuration
CONTINUOUS = 7  # mode: shunt and bus voltage, one after the other
SHUNT_RANGES = (0.04, 0.08, 0.16, 0.32)  # V, by PGA code
BUS_RANGES = (16, 32)  # V, by BRNG
CONVERSION = 532e-6  # s, of one sample of 12 bits
SHUNT_STEP, BUS_STEP = 10e-6, 4e-3  # V per count
SCALING = 0.04096  # V: calibration = SCALING / (A per count × shunt)
READY, OVERFLOW, UNUSED = 2, 1, 4  # low bits of the bus voltage register


class Ina219Registers(WordRegisterMap):
    """The registers."""

    config = Register(0x00, ">H", reset=0x399F)
    shunt_voltage = Register(0x01, ">h")
    bus_voltage = Register(0x02, ">H")
    power = Register(0x03, ">H")
    current = Register(0x04, ">h")
    calibration = Register(0x05, ">H")


@dataclass(frozen=True, kw_only=True)
class Ina219Config(DriverConfig):
    """Options of an INA219."""

    address: int = option(0x40, low=0x40, high=0x4F, doc="by the wiring of A1 and A0")
    rate: float = option(10.0, unit="Hz", above=0, high=400, doc="samples a second")
    shunt: float = option(0.1, unit="Ω", low=0.0001, high=10, doc="R100 on a breakout is 0.1")
    max_current: float = option(
        3.2, unit="A", low=0.001, high=1000, doc="times shunt at most 0.32 V; more reads NaN"
    )
    bus_range: Literal[16, 32] = option(32, unit="V", doc="full scale; the chip bears 26 V")
    samples: Literal[1, 2, 4, 8, 16, 32, 64, 128] = option(16, doc="averaged for one measurement")
    reverse: bool = option(False, doc="the shunt is wired the other way round")

    def contradictions(self) -> list[tuple[str, str]]:
        """Find a current that the shunt does not allow, and a rate that the averaging does not."""
        found = []
        drop, takes = self.max_current * self.shunt, self.takes
        if drop > SHUNT_RANGES[-1] * (1 + 1e-9):
            text = f"times shunt is {drop:.3g} V, and the chip measures up to {SHUNT_RANGES[-1]} V"
            found.append(("max_current", text))
        if takes * self.rate > 1.0:
            text = f"is too high: a measurement takes {takes * 1000:.1f} ms (see samples)"
            found.append(("rate", text))
        return found

    @property
    def takes(self) -> float:
        """How long a measurement of shunt and bus voltage takes (s)."""
        return 2 * CONVERSION * self.samples


class Ina219(Driver[Ina219Config, Ina219Registers]):
    """Voltage at Vin- and current of a battery; the current is NaN when it is beyond the range."""

    def probe(self) -> bool:
        """Check bits that are always 0 here; the chip has no identity register."""
        config, bus = self.map.config, self.map.bus_voltage
        calibration = self.map.calibration
        text = f"its configuration reads 0x{config:04X}, its bus voltage 0x{bus:04X}"
        if config & 0x4000 or bus & UNUSED or calibration & 1:
            text = f"{text}, which have bits that must be 0"
        elif not config:
            text = f"{text}, and no program sets it up so"
        elif bus & OVERFLOW or self._multiplies(calibration):
            return True
        else:
            text = f"{text}, its current is not its shunt voltage times 0x{calibration:04X} / 4096"
        raise self.stranger(f"is no INA219: {text}", hint="is it an INA226 or a PCA9685?")

    def _multiplies(self, calibration: int) -> bool:
        """Return whether its current is computed from its shunt voltage, as only this chip does."""
        if not calibration:
            return True  # which is how it comes up: the current is 0
        for _ in range(3):  # it may finish a measurement between two of these
            shunt, current, later = self.map.shunt_voltage, self.map.current, self.map.shunt_voltage
            if any(abs(current - drop * calibration / 4096) < 2 for drop in (shunt, later)):
                return True
        return False

    @property
    def scale(self) -> int:
        """The value of the calibration register; the chip ignores its lowest bit."""
        step = self.config.max_current / 32768
        return min(int(SCALING / (step * self.config.shunt)), 0xFFFE) & ~1

    def settings(self) -> int:
        """Return the value of the configuration register."""
        config = self.config
        drop = config.max_current * config.shunt / (1 + 1e-9)
        gain = next(code for code, limit in enumerate(SHUNT_RANGES) if drop <= limit)
        average = 8 | int(math.log2(config.samples))
        code = BUS_RANGES.index(config.bus_range)
        return code << 13 | gain << 11 | average << 7 | average << 3 | CONTINUOUS

    def configure(self) -> Steps:
        """Reset, set up, and wait for the first measurement."""
        self.wanted = self.settings()
        self.map.config = RESET
        yield 0.001
        self.map.config = self.wanted
        self.map.calibration = self.scale
        yield self.config.takes * 1.1

    def read(self) -> BatteryState | None:
        """Read one measurement; None while there is no new one."""
        self.map.calibration = self.scale  # a sharp load step may clear it
        self.confirm("its configuration", self.map.config, self.wanted)
        bus = self.map.bus_voltage
        if not bus & READY:
            return None
        current = self.amperes(self.map.current, overflow=bool(bus & OVERFLOW))
        _ = self.map.power  # reading it clears READY
        voltage = (bus >> 3) * BUS_STEP
        if voltage >= self.config.bus_range:
            raise self.fault(
                FaultKind.REJECTED,
                f"the voltage is {self.config.bus_range} V or more, the end of its range",
                cure="set bus_range: 32 in horus.yaml, or take another sensor",
            )
        status = BatteryStatus.UNKNOWN
        if current > 0:
            status = BatteryStatus.CHARGING
        elif current < 0:
            status = BatteryStatus.DISCHARGING
        return BatteryState(voltage=voltage, current=current, status=status)

    def amperes(self, raw: int, *, overflow: bool) -> float:
        """Return the current into the battery; NaN beyond the range of shunt or arithmetic."""
        config = self.config
        current = raw * SCALING / (self.scale * config.shunt)
        limit = SHUNT_RANGES[self.wanted >> 11 & 3] - 2 * SHUNT_STEP
        if overflow or abs(current) * config.shunt >= limit:
            return math.nan
        return current if config.reverse else -current


@dataclass(frozen=True, kw_only=True)
class Ina219SimConfig(SimConfig):
    """Options of the simulated INA219."""

    voltage_noise: float = option(0.002, unit="V rms", low=0, high=1)
    shunt_noise: float = option(10e-6, unit="V rms", low=0, high=0.1)


class Ina219Sim(RegisterSim[Ina219Config, Ina219Registers], twin_of=Ina219):
    """The chip: converts on its own clock, saturates at its ranges, computes current and power."""

    options: Ina219SimConfig
    voltage = Stimulus(12.0, unit="V", low=0.0, high=26.0, doc="of the battery")
    current = Stimulus(-0.5, unit="A", low=-1000.0, high=1000.0, doc="into the battery")

    def power_on(self) -> None:
        """Convert at once, uncalibrated."""
        super().power_on()
        self.begun, self.done = self.time, 0

    def on_write(self, address: int, value: int) -> None:
        """Take configuration or calibration; the rest is read-only."""
        if address == 0x00 and value & RESET:
            self.power_on()
        elif address == 0x00:
            super().on_write(address, value & 0x3FFF)
            self.begun, self.done = self.time, 0
            self.map.bus_voltage &= ~READY
        elif address == 0x05:
            super().on_write(address, value & ~1)
            self.compute()

    def on_read(self, address: int) -> int:
        """Return a register; that of the power clears the ready bit."""
        if address == 0x03:
            self.map.bus_voltage &= ~READY
        return super().on_read(address)

    def update(self) -> None:
        """Take the measurements that are finished by now."""
        config = self.map.config
        mode = config & 7
        shunt, bus = bool(mode & 1), bool(mode & 2)
        if mode in (0, 4):
            return
        takes = shunt * conversion(config >> 3 & 15) + bus * conversion(config >> 7 & 15)
        finished = int((self.time - self.begun) / takes)
        if mode < 4:  # triggered: once
            finished = min(finished, 1)
        if finished > self.done:
            self.done = finished
            self.measure(config, shunt, bus)

    def measure(self, config: int, shunt: bool, bus: bool) -> None:
        """Convert shunt and bus voltage."""
        noise = self.options
        samples = 1 << (config >> 3 & 7) if config & 0x40 else 1
        if shunt:
            drop = self.current * self.config.shunt * (1 if self.config.reverse else -1)
            drop += self.random.gauss(0, noise.shunt_noise / math.sqrt(samples))
            limit = round(SHUNT_RANGES[config >> 11 & 3] / SHUNT_STEP)
            self.map.shunt_voltage = min(max(round(drop / SHUNT_STEP), -limit), limit)
        if bus:
            volts = self.voltage + self.random.gauss(0, noise.voltage_noise / math.sqrt(samples))
            limit = round(BUS_RANGES[config >> 13 & 1] / BUS_STEP)
            raw = min(max(round(volts / BUS_STEP), 0), limit)
            self.map.bus_voltage = raw << 3 | self.map.bus_voltage & OVERFLOW
        self.compute()
        self.map.bus_voltage |= READY

    def compute(self) -> None:
        """Multiply by the calibration; a product too large sets the overflow bit."""
        current = int(self.map.shunt_voltage * self.map.calibration / 4096)
        power = abs(current) * (self.map.bus_voltage >> 3) // 5000
        overflow = abs(current) > 32767 or power > 0xFFFF
        self.map.current = min(max(current, -32768), 32767)
        self.map.power = power & 0xFFFF
        self.map.bus_voltage = self.map.bus_voltage & ~OVERFLOW | OVERFLOW * overflow

    def truth(self) -> dict[str, object]:
        """Return what the battery really does."""
        return {"voltage": self.voltage, "current": self.current}


def conversion(code: int) -> float:
    """Return how long (s) a conversion takes by its code: 9 to 12 bits, or 2 to 128 samples."""
    if code & 8:
        return CONVERSION * (1 << (code & 7))
    return (84e-6, 148e-6, 276e-6, CONVERSION)[code & 3]
