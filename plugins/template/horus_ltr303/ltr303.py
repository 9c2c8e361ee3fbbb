"""Lite-On LTR-303ALS-01: ambient light sensor, on I2C.

Source: LTR-303ALS-01 data sheet, version 1.1, and its appendix A for the illuminance. The LTR-329
has the same registers, without interrupts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from horus.hal import (
    Bits,
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
from horus.msgs import Illuminance

PART = 0xA  # upper half of PART_ID; the lower is the revision
MANUFACTURER = 0x05
GAINS = {1: 0, 2: 1, 4: 2, 8: 3, 48: 6, 96: 7}  # ALS_CONTR bits 4..2
INTEGRATIONS = {50: 1, 100: 0, 200: 2, 400: 3}  # ms: ALS_MEAS_RATE bits 5..3
REPEATS = {50: 0, 100: 1, 200: 2, 500: 3}  # ms: ALS_MEAS_RATE bits 2..0
FULL = 0xFFFF  # counts: saturated
#: Up to this share of channel 1 (infrared) in both: factors of channel 0 and 1, appendix A.
FACTORS = ((0.45, 1.7743, 1.1059), (0.64, 4.2785, -1.9548), (0.85, 0.5926, 0.1185))


class Ltr303Registers(RegisterMap):
    """The registers used here."""

    active = Bits(0x80, low=0)
    reset = Bits(0x80, low=1)
    gain = Bits(0x80, low=2, width=3)
    repeat = Bits(0x85, low=0, width=3, reset=REPEATS[500])
    integration = Bits(0x85, low=3, width=3)
    revision = Bits(0x86, low=0, width=4)
    part = Bits(0x86, low=4, width=4, reset=PART)
    manufacturer = Register(0x87, reset=MANUFACTURER)
    counts = Burst(0x88, "<HH")  # channel 1 (infrared), channel 0 (visible and infrared)
    fresh = Bits(0x8C, low=2)
    invalid = Bits(0x8C, low=7)
    status = Register(0x8C)


FRESH, INVALID = 0x04, 0x80  # of the status


@dataclass(frozen=True, kw_only=True)
class Ltr303Config(DriverConfig):
    """Options of an LTR-303ALS."""

    address: Literal[0x29] = option(0x29, doc="fixed")
    rate: float = option(5.0, unit="Hz", above=0, high=10, doc="samples a second")
    stale_after: float = option(
        2.0, unit="s", above=0, high=3600, doc="no new sample for this long is a fault"
    )
    gain: Literal[1, 2, 4, 8, 48, 96] = option(1, unit="×", doc="1 up to 64000 lx, 96 up to 600 lx")
    integration: Literal[50, 100, 200, 400] = option(
        100, unit="ms", doc="longer is finer; there is one sample in this time at most"
    )


def illuminance(visible: float, infrared: float, gain: float, integration: float) -> float:
    """Return the illuminance (lx) of counts of both channels; integration time in ms."""
    total = visible + infrared
    for limit, first, second in FACTORS:
        if total and infrared / total < limit:
            return (first * visible + second * infrared) / gain / (integration / 100.0)
    return 0.0


class Ltr303(Driver[Ltr303Config, Ltr303Registers]):
    """The illuminance in lx."""

    def probe(self) -> bool:
        """Check part and manufacturer."""
        found = self.map.part, self.map.manufacturer
        return self.expect(found, (PART, MANUFACTURER), "an LTR-303")

    def configure(self) -> Steps:
        """Reset, set up, switch on."""
        config = self.config
        self.map.reset = 1
        yield 0.01
        yield from self.until(lambda: not self.map.reset, 0.1, "reset")
        self.map.integration = INTEGRATIONS[config.integration]
        self.map.repeat = REPEATS[min(ms for ms in REPEATS if ms >= config.integration)]
        self.map.gain = GAINS[config.gain]
        self.map.active = 1
        yield 0.01  # wake-up

    def read(self) -> Illuminance | None:
        """Read both channels when they are new."""
        status = self.map.status
        if not status & FRESH or status & INVALID:
            return None
        infrared, visible = self.map.counts  # reading channel 0 clears what was new
        if FULL in (infrared, visible):
            raise self.fault(
                FaultKind.OTHER,
                f"too bright for gain {self.config.gain}",
                cure="choose a smaller gain: or a shorter integration:",
            )
        config = self.config
        return Illuminance(
            illuminance=illuminance(visible, infrared, config.gain, config.integration)
        )


@dataclass(frozen=True, kw_only=True)
class Ltr303SimConfig(SimConfig):
    """Options of the simulated LTR-303ALS."""

    noise: float = option(0.5, unit="counts rms", low=0, high=1000)


class Ltr303Sim(RegisterSim[Ltr303Config, Ltr303Registers], twin_of=Ltr303):
    """The chip: in standby after power-on, one measurement at a time, saturates at 16 bits."""

    options: Ltr303SimConfig

    light = Stimulus(500.0, unit="lx", low=0.0, high=200_000.0, doc="illuminance at the sensor")
    infrared = Stimulus(0.2, low=0.0, high=0.44, doc="channel 1's share of the counts: LEDs 0.1")

    def power_on(self) -> None:
        """Come up in standby."""
        super().power_on()
        self.due = 0.0

    def on_write(self, address: int, value: int) -> None:
        """Store a byte; what was measured and who it is cannot be written."""
        if 0x86 <= address <= 0x8C:
            return
        was_active = self.map.active
        super().on_write(address, value)
        if self.map.reset:
            self.power_on()
        elif self.map.active and not was_active:
            self.due = self.time + self.period()

    def on_read(self, address: int) -> int:
        """Return a byte; the last byte of channel 0 clears what was new."""
        value = super().on_read(address)
        if address == 0x8B:
            self.map.fresh = 0
        return value

    def update(self) -> None:
        """Finish a measurement when it is due."""
        if not self.map.active or self.time < self.due:
            return
        self.due = max(self.due + self.period(), self.time)
        gain = {code: gain for gain, code in GAINS.items()}.get(self.map.gain, 1)
        _, first, second = FACTORS[0]
        share = self.infrared
        per_lux = gain * self.integration_time() / 100.0 / (first * (1 - share) + second * share)
        total = self.light * per_lux
        self.map.counts = (self.count(total * share), self.count(total * (1 - share)))
        self.map.fresh = 1

    def count(self, value: float) -> int:
        """Return a channel's count: noisy, whole, at most full scale."""
        return min(max(round(value + self.random.gauss(0.0, self.options.noise)), 0), FULL)

    def integration_time(self) -> float:
        """Return the integration time (ms)."""
        return {code: ms for ms, code in INTEGRATIONS.items()}.get(self.map.integration, 100)

    def period(self) -> float:
        """Return the time (s) from one measurement to the next."""
        repeat = {code: ms for ms, code in REPEATS.items()}.get(self.map.repeat, 2000)
        return max(repeat, self.integration_time()) / 1000.0

    def truth(self) -> dict[str, object]:
        """Return the light that falls onto the sensor."""
        return {"illuminance": self.light, "active": bool(self.map.active)}
