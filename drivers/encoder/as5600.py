"""ams AS5600: contactless 12-bit angle of a magnet on a shaft, on I2C.

Source: AS5600 datasheet v1-06. The address is fixed at 0x36; an AS5600L comes at 0x40. Nothing here
writes the chip's permanent memory, which can be written once.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, floor, isnan, nan, pi, sin, tau
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
    Stimulus,
    option,
)
from horus.msgs import Encoder, MagnetState

COUNTS = 4096  # a turn
FILTERS = (16, 8, 4, 2)  # × averaging of the slow filter, by code
SETTLING = (2.2e-3, 1.1e-3, 0.55e-3, 0.286e-3)  # s, of the slow filter
NOISE = (0.015, 0.021, 0.030, 0.043)  # ° rms at its output
DETECTED, WEAK, STRONG = 0x20, 0x10, 0x08  # bits of STATUS


class As5600Registers(RegisterMap):
    """The registers used here; words are big-endian with 12 bits in use."""

    burned = Register(0x00)  # ZMCO: how often the permanent memory was written
    start = Register(0x01, ">H")
    stop = Register(0x03, ">H")
    span = Register(0x05, ">H")
    settings = Register(0x07, ">H")
    slow_filter = Bits(0x07, low=0, width=2)
    # Settings, status and raw angle. It ends there: beyond, the chip's pointer goes back.
    sample = Burst(0x07, ">H2xBH")
    status = Register(0x0B)
    raw_angle = Register(0x0C, ">H")
    angle = Register(0x0E, ">H")
    gain = Register(0x1A)
    magnitude = Register(0x1B, ">H")


@dataclass(frozen=True, kw_only=True)
class As5600Config(DriverConfig):
    """Options of an AS5600."""

    address: Literal[0x36, 0x40] = option(0x36, doc="0x40 is an AS5600L")
    rate: float = option(
        100.0, unit="Hz", above=0, high=2000, doc="samples a second; two or more a turn"
    )
    zero: float = option(0.0, unit="rad", low=-tau, high=tau, doc="reading of the chip at 0")
    reverse: bool = option(False, doc="count the other way round")
    slow_filter: Literal[16, 8, 4, 2] = option(16, doc="× averaging: less noise, more delay")
    hysteresis: Literal[0, 1, 2, 3] = option(0, unit="LSB")
    velocity_filter: float = option(
        0.02, unit="s", low=0, high=10, doc="time constant of the velocity's low-pass filter"
    )


class As5600(Driver[As5600Config, As5600Registers]):
    """Angle in rad with its turns, and its rate in rad/s.

    Turns are counted from the start on, and anew after a fault: the shaft may have turned unseen.
    """

    _position: float | None = None
    _velocity = nan
    _stamp_ns = 0

    def probe(self) -> bool:
        """Check bits that are always 0: the chip has no identity register."""
        settings, status, raw = self.map.sample
        if settings & 0xC000 or status & 0xC7 or raw & 0xF000:
            raise self.stranger(
                f"is no AS5600: CONF reads 0x{settings:04X}, STATUS 0x{status:02X}, "
                f"RAW ANGLE 0x{raw:04X}, which have bits that must be 0"
            )
        return True

    @property
    def _settings(self) -> int:
        config = self.config
        return FILTERS.index(config.slow_filter) << 8 | config.hysteresis << 2

    def configure(self) -> None:
        """Set filter and hysteresis, in the memory that a power cut clears."""
        self.map.settings = self._settings

    def read(self) -> Encoder:
        """Read the angle; without a magnet there is none, which is a fault."""
        settings, status, raw = self.map.sample
        if raw >= COUNTS or status & 0xC7:
            raise self.fault(FaultKind.CORRUPT, f"it reads 0x{raw:04X} where 12 bits are")
        self.confirm("CONF", settings, self._settings)
        if not status & DETECTED:
            raise self.fault(
                FaultKind.OTHER,
                "it finds no magnet",
                cure="put one of 6 mm, magnetised across, 0.5 to 3 mm above the middle of the chip",
            )
        angle = raw * tau / COUNTS - self.config.zero
        position = self._follow(-angle if self.config.reverse else angle)
        magnet = MagnetState.GOOD
        if status & (WEAK | STRONG):
            magnet = MagnetState.WEAK if status & WEAK else MagnetState.STRONG
        return Encoder(
            position=position,
            velocity=self._velocity,
            turns=floor(position / tau),
            magnet=magnet,
            frame=self.config.frame,
        )

    def _follow(self, angle: float) -> float:
        """Return the angle with its turns: those nearest to where the shaft was heading."""
        stamp_ns = self.link.stamp_ns
        last, passed = self._position, (stamp_ns - self._stamp_ns) / 1e9
        self._stamp_ns = stamp_ns
        if last is None:
            self._position = _wrapped(angle)
            return self._position
        known = not isnan(self._velocity)
        expected = last + (self._velocity * passed if known else 0.0)
        self._position = expected + _wrapped(angle - expected)
        if passed > 0:
            velocity = (self._position - last) / passed
            time = self.config.velocity_filter
            share = 1 - exp(-passed / time) if known and time else 1.0
            self._velocity = velocity * share + (self._velocity * (1 - share) if known else 0.0)
        return self._position


def _wrapped(angle: float) -> float:
    """Return an angle from -π to below π."""
    return (angle + pi) % tau - pi


@dataclass(frozen=True, kw_only=True)
class As5600SimConfig(SimConfig):
    """Options of the simulated AS5600."""

    nonlinearity: float = option(0.3, unit="°", low=0, high=5, doc="of a magnet off the middle")


class As5600Sim(RegisterSim[As5600Config, As5600Registers], twin_of=As5600):
    """The chip: measures from power-on, ever; shows what its magnet is like."""

    options: As5600SimConfig

    velocity = Stimulus(0.0, unit="rad/s", low=-1000.0, high=1000.0, doc="of the shaft")
    position = Stimulus(0.0, unit="rad", doc="of the shaft; goes on from where it is set")
    magnet = Stimulus(60.0, unit="mT", low=0.0, high=500.0, doc="field; 30 to 90 is good")

    def on_write(self, address: int, value: int) -> None:
        """Store a setting; results cannot be written, the permanent memory is not."""
        if 0x01 <= address <= 0x08:
            super().on_write(address, value & 0x0F if address in (1, 3, 5) else value)

    def following(self, pointer: int) -> int:
        """Return where the pointer goes: after a result back to its first byte."""
        return {0x0D: 0x0C, 0x0F: 0x0E, 0x1C: 0x1B}.get(pointer) or super().following(pointer)

    def update(self) -> None:
        """Turn on and measure."""
        self.position += self.velocity * self.dt
        code = self.map.slow_filter
        seen = self.position - self.velocity * SETTLING[code] / 2
        bent = self.options.nonlinearity * sin(seen)
        noise = self.random.gauss(0, NOISE[code])
        raw = floor(seen / tau * COUNTS + (bent + noise) / 360 * COUNTS) % COUNTS
        self.map.status = self._status()
        if not self.map.status & DETECTED:
            return
        self.map.raw_angle = raw
        self.map.angle = self._scaled(raw)
        self.map.gain = min(max(round(128 - (self.magnet - 30) * 2), 0), 255)
        self.map.magnitude = min(round(self.magnet * 40), 0x0FFF)

    def _status(self) -> int:
        """Return how the magnet is: the gain has a range of its own."""
        if self.magnet < 10:
            return WEAK
        return DETECTED | (WEAK if self.magnet < 30 else 0) | (STRONG if self.magnet > 90 else 0)

    def _scaled(self, raw: int) -> int:
        """Return the angle from the start position on, spread over the range that was set."""
        stop = self.map.stop or (self.map.start + self.map.span)
        span = (stop - self.map.start) % COUNTS or COUNTS
        return min((raw - self.map.start) % COUNTS * COUNTS // span, COUNTS - 1)

    def truth(self) -> dict[str, object]:
        """Return what the shaft really does."""
        return {"position": self.position, "velocity": self.velocity}
