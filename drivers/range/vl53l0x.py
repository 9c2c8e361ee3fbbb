"""ST VL53L0X: distance up to 2 m by time of flight, on I2C.

Sources: VL53L0X data sheet DS11555 revision 6 (identity, performance); for the start-up, which ST
describes in code only, ST's API (see `_vl53l0x_api`). All chips start at address 0x29: several
need a multiplexer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from horus_drivers.range import _vl53l0x_api as api

from horus.hal import (
    BankSelect,
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
from horus.msgs import RangeKind, RangeSensor

IDENTITY = (0xEE, 0xAA, 0x10)
FIELD_OF_VIEW = math.radians(25)
MIN_RANGE, MAX_RANGE = 0.03, 2.0  # m, of a white target indoors
NOTHING_MM = 8190  # and more is what it says when there is no target
VALID, NO_TARGET, TOO_NEAR = 11, (4, 6, 9), (8, 10)  # codes in the range status
BROKEN = {1: "no VCSEL continuity", 2: "VCSEL watchdog", 3: "no reference voltage"}
SPADS = 48  # reference SPADs, of which the second quarter on is behind apertures
APERTURE = 12  # the first one


class Vl53l0xRegisters(RegisterMap):
    """The registers that are used by name, all on page 0 except the last three."""

    start = Register(0x00)  # 1 single shot, or stop; 2 back to back
    sequence = Register(0x01, reset=0xFF)  # steps of a measurement, a bit each
    interrupt = Register(0x0A)  # 4: a new sample is ready
    clear = Register(0x0B)
    ready = Register(0x13)
    result = Burst(0x14, ">BxHHHHH")  # status, SPADs, -, signal, ambient, range in mm
    signal_limit = Register(0x44, ">H")  # million counts a second × 128
    checks = Register(0x60)
    final_timeout = Register(0x71, ">H")
    polarity = Register(0x84, reset=0x11)
    supply = Register(0x89)
    spads = Burst(0xB0, "6B")
    identity = Burst(0xC0, "3B")
    strobe = Register(0x83)  # on pages 6 and 7
    stop_variable = Register(0x91)  # on page 1
    spad_info = Register(0x92)  # on page 7


@dataclass(frozen=True, kw_only=True)
class Vl53l0xConfig(DriverConfig):
    """Options of a VL53L0X."""

    address: Literal[0x29] = option(0x29, doc="fixed after power-on")
    rate: float = option(30.0, unit="Hz", above=0, high=45, doc="samples a second")
    signal_limit: float = option(
        0.25, unit="MCPS", low=0.01, high=100, doc="less light than that is no target"
    )
    io_2v8: bool = option(True, doc="the board runs its I2C at 2.8 V, as breakouts do, not at 1.8")


class Vl53l0x(Driver[Vl53l0xConfig, Vl53l0xRegisters]):
    """Distance to the nearest thing in a cone of 25°; inf when there is none within reach.

    The chip measures all the time; at a low rate it is emptied in between, so that what is
    delivered is not old.
    """

    @classmethod
    def calls(cls, config: Vl53l0xConfig) -> float:
        """Return at least ten calls a second."""
        return max(config.rate, 1 / api.LONGEST)

    def probe(self) -> bool:
        """Check the model identity."""
        found = self.map.identity
        if found != IDENTITY:  # a start-up that was cut short leaves another page selected
            self.put("FF00")  # a register that other devices at this address do not have
            found = self.map.identity
        return self.expect(found, IDENTITY, "a VL53L0X", hint="is it a VL53L1X or VL6180X?")

    def put(self, pairs: str) -> None:
        """Write pairs of register and value."""
        for pair in pairs.split():
            self.map.memory.write(int(pair[:2], 16), bytes.fromhex(pair[2:]))

    def configure(self) -> Steps:
        """Bring the chip from any state to continuous ranging, as ST's API does."""
        self.put(api.STOP)
        yield api.LONGEST * 1.2  # the end of a measurement that may be running
        if self.config.io_2v8:
            self.map.supply |= 0x01
        self.put("8800")
        self.put(api.UNLOCK)
        stop = self.map.stop_variable
        self.put(api.LOCK)
        self.map.checks |= 0x12  # no limits in MSRC and pre-range
        self.map.signal_limit = round(self.config.signal_limit * 128)
        self.map.sequence = 0xFF
        yield from self.enable_spads()
        for line in api.TUNING.splitlines():
            self.put(line)
            yield 0.0  # other devices on the bus are not kept waiting for all of it
        self.map.interrupt = 0x04
        self.map.polarity &= ~0x10  # active low
        self.map.clear = 1
        self.map.sequence = 0xE8  # DSS, pre-range and final range
        self.map.final_timeout = api.final_timeout(api.budget(self.config.rate))
        yield from self.calibrate(sequence=0x01, start=0x41)  # reference voltage
        yield from self.calibrate(sequence=0x02, start=0x01)  # phase
        self.map.sequence = 0xE8
        self.put(f"{api.UNLOCK} 91{stop:02X} {api.LOCK}")
        self.map.start = 2
        yield api.budget(self.config.rate)

    def enable_spads(self) -> Steps:
        """Enable as many of the good reference SPADs as the chip was tested with."""
        self.put(f"{api.UNLOCK} FF06")
        self.map.strobe |= 0x04
        self.put(api.ASK_SPADS)
        yield from self.until(lambda: self.map.strobe != 0, 0.1, "reading its reference SPADs")
        self.map.strobe = 0x01
        info = self.map.spad_info
        self.put("8100 FF06")
        self.map.strobe &= ~0x04
        self.put("FF01 0001 FF00 8000")
        count, first = info & 0x7F, APERTURE if info & 0x80 else 0
        good = int.from_bytes(bytes(self.map.spads), "little")
        chosen = [n for n in range(first, SPADS) if good >> n & 1][:count]
        self.put(api.SPAD_WINDOW)
        wanted = sum(1 << n for n in chosen)
        self.map.spads = tuple(wanted.to_bytes(6, "little"))

    def calibrate(self, sequence: int, start: int) -> Steps:
        """Do one calibration of the reference."""
        self.map.sequence = sequence
        self.map.start = start
        yield from self.until(lambda: self.map.ready & 7 != 0, 0.2, "reference calibration")
        self.map.clear = 1
        self.map.start = 0

    def read(self) -> RangeSensor | None:
        """Return one measurement; None while there is no new one, or it is not its turn."""
        if not self.map.ready & 7:
            return None
        status, _, _, _, _, millimetres = self.map.result
        self.map.clear = 1
        if not self.due():
            return None
        return RangeSensor(
            range=self.metres(status >> 3 & 15, millimetres),
            min_range=MIN_RANGE,
            max_range=MAX_RANGE,
            field_of_view=FIELD_OF_VIEW,
            kind=RangeKind.LASER,
            frame=self.config.frame,
        )

    def metres(self, code: int, millimetres: int) -> float:
        """Return a distance, or what its status says instead."""
        if code in BROKEN:
            raise self.fault(FaultKind.OTHER, f"it reports a failure: {BROKEN[code]}")
        if code in NO_TARGET or (code == VALID and millimetres >= NOTHING_MM):
            return math.inf
        if code in TOO_NEAR:
            return -math.inf
        return millimetres / 1000 if code == VALID else math.nan


class _PagedRegisters(Vl53l0xRegisters):
    """The registers as the chip keeps them: in pages."""

    page = BankSelect(0xFF, low=0, width=3)
    stop_variable = Register(0x91, bank=1, reset=0x3C)
    strobe = Register(0x83, bank=7)
    spad_key = Register(0x94, bank=7)
    spad_info = Register(0x92, bank=7)
    msrc_timeout = Register(0x46)
    pre_vcsel = Register(0x50)
    pre_timeout = Register(0x51, ">H")
    final_vcsel = Register(0x70)


@dataclass(frozen=True, kw_only=True)
class Vl53l0xSimConfig(SimConfig):
    """Options of the simulated VL53L0X."""

    noise: float = option(0.002, unit="m rms", low=0, high=1, doc="at 1 m, in 33 ms")
    spad_info: int = option(0x85, low=0, high=255, doc="reference SPADs: number, bit 7 aperture")


class Vl53l0xSim(RegisterSim[Vl53l0xConfig, _PagedRegisters], twin_of=Vl53l0x):
    """The chip: pages, SPAD memory, calibration, ranging in its timing budget, fading light."""

    options: Vl53l0xSimConfig
    distance = Stimulus(0.5, unit="m", low=0.0, high=100.0, doc="to the nearest thing")
    reflectance = Stimulus(0.88, low=0.0, high=1.0, doc="of that thing; 0.88 is white paper")

    def power_on(self) -> None:
        """Idle, with identity and the map of good SPADs."""
        super().power_on()
        self.map.identity = IDENTITY
        self.map.spads = (0xFF, 0xFF, 0xFB, 0xFF, 0x3F, 0x00)
        self.mode, self.begun = 0, self.time
        self.asked: float | None = None

    def on_write(self, address: int, value: int) -> None:
        """Take a register; some of them start something. Results are read-only."""
        if address in range(0x13, 0x20) or address in range(0xC0, 0xC3):
            return
        super().on_write(address, value)
        if address == 0x00:
            self.begin(value)
        elif address == 0x0B and value & 1:
            self.map.ready = 0
        elif address == 0x783 and value == 0 and self.map.spad_key == 0x6B:
            self.asked = self.time

    def begin(self, value: int) -> None:
        """Start or stop ranging; a start in single shot while it ranges is a stop."""
        running, self.mode = self.mode, value & 0x0F
        self.begun = self.time
        if (running > 1 and self.mode == 1) or not self.mode:
            self.mode, self.map.start = 0, 0

    def update(self) -> None:
        """Finish what is due: fetching SPAD data, a calibration, a measurement."""
        if self.asked is not None and self.time - self.asked > 0.001:
            self.asked = None
            self.map.strobe, self.map.spad_info = 0x10, self.options.spad_info
        since = self.time - self.begun
        if self.mode == 1 and since > 0.0005:
            self.map.start = 0  # the start bit clears itself
        takes = self.cycle()
        if self.mode and since >= takes:
            self.measure(takes)
            self.begun += int(since / takes) * takes
            if self.mode == 1:
                self.mode = 0

    def cycle(self) -> float:
        """Return how long (s) a measurement takes with the present settings."""
        steps = self.map.sequence
        if not steps & 0xC0:
            return 0.003  # a calibration
        pre, final = (
            (vcsel + 1) * 2 * 2304 * 1.655e-9
            for vcsel in (self.map.pre_vcsel, self.map.final_vcsel)
        )
        first = api.decode_timeout(self.map.pre_timeout)
        takes = 1.91e-3 + 0.96e-3
        takes += 2 * ((self.map.msrc_timeout + 1) * pre + 0.69e-3) if steps & 0x08 else 0.0
        takes += first * pre + 0.66e-3 if steps & 0x40 else 0.0
        last = api.decode_timeout(self.map.final_timeout) - first
        return takes + (max(last, 0) * final + 0.55e-3 if steps & 0x80 else 0.0)

    def measure(self, takes: float) -> None:
        """Store a measurement, or the end of a calibration."""
        if self.map.sequence & 0xC0:
            light = 1.136 * self.reflectance / max(self.distance, 0.05) ** 2  # MCPS
            noise = self.options.noise * max(self.distance, 0.1) * math.sqrt(0.033 / takes)
            code, found = VALID, round((self.distance + self.random.gauss(0, noise)) * 1000)
            if light * 128 < self.map.signal_limit:
                code, found = NO_TARGET[0], NOTHING_MM + 1
            elif self.distance < 0.01:
                code, found = TOO_NEAR[1], 0
            counts = min(round(light * 128), 0xFFFF)
            self.map.result = (code << 3, 0x0500, 0, counts, 3, max(found, 0))
        self.map.ready = self.map.interrupt & 7 or 4

    def truth(self) -> dict[str, object]:
        """Return the true distance."""
        return {"distance": self.distance, "ranging": self.mode > 1}
