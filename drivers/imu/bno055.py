"""Bosch BNO055: accelerometer, gyroscope and magnetometer that fuse into an attitude, on I2C.

Source: BNO055 datasheet BST-BNO055-DS000-14 revision 1.4. COM3 low is address 0x28, high is 0x29.
The chip stretches the clock, which the I2C hardware of a Raspberry Pi before the 4 does not stand:
use a software bus there (``dtoverlay=i2c-gpio``). In a fusion mode the ranges are fixed: ± 4 g,
± 2000 °/s. The chip has no mark for a new sample; two in a row are never alike, by their noise.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from math import asin, atan2, degrees, hypot, radians
from typing import Literal, TypeVar

from horus_drivers.imu.inertial import GRAVITY, BodySimConfig, CompassBodySim, imu_sample

from horus.hal import (
    BankSelect,
    Bits,
    Burst,
    Config,
    DeviceFault,
    Driver,
    DriverConfig,
    FaultKind,
    Register,
    RegisterMap,
    Steps,
    command,
    option,
    output,
)
from horus.hal.rotation import turned
from horus.msgs import Imu, MagneticField

IDENTITY = 0xA0
ACCEL = 0.01  # m/s² per LSB
GYRO = radians(1 / 16)  # rad/s per LSB
TESLA = 1e-6 / 16  # T per LSB
UNITY = 1 << 14  # of the quaternion
UNITS = 0x80  # m/s², °/s, °, °C: the reset value of UNIT_SEL

CONFIG_MODE = 0x00
MODES = {"imu": 0x08, "ndof_fmc_off": 0x0B, "ndof": 0x0C}
#: What measures in the modes that do not fuse: accelerometer, magnetometer, gyroscope.
SENSORS = {1: "a", 2: "m", 3: "g", 4: "am", 5: "ag", 6: "mg", 7: "amg", 8: "ag"}
TO_CONFIG, FROM_CONFIG = 0.02, 0.01  # s a change of mode takes: 19 ms and 7 ms, table 3-6
START_TIME = 0.4  # s from power-on until it answers
RESET_TIME = 0.7  # s, of 650 ms typically, in which it does not answer
SYSTEM_ERROR, FUSION_RUNNING = 1, 5  # values of SYS_STATUS

T = TypeVar("T")


class Bno055Registers(RegisterMap):
    """The registers used here, on both pages."""

    page = BankSelect(0x07, low=0)

    identity = Register(0x00, reset=IDENTITY)
    versions = Burst(0x01, "<3BHB")  # of the three sensors, the software and the boot loader
    # Acceleration, magnetic field, rotation, Euler angles, quaternion (w first), linear
    # acceleration, gravity; temperature, calibration, self-test, interrupts, clock, status, error,
    # units, mode.
    everything = Burst(0x08, "<3h 3h 3h 3h 4h 3h 3h b 7B x B")
    calibration = Register(0x35)
    status = Register(0x39)
    units = Register(0x3B, reset=UNITS)
    mode = Register(0x3D)
    power = Register(0x3E)
    reset = Bits(0x3F, low=5)
    trigger = Register(0x3F)
    axis_map = Register(0x41, reset=0x24)
    offsets = Burst(0x55, "<11h")  # accelerometer, magnetometer, gyroscope, two radii

    accel_config = Register(0x08, reset=0x0D, bank=1)
    magnetometer_config = Register(0x09, reset=0x6D, bank=1)
    gyro_config = Register(0x0A, reset=0x38, bank=1)
    unique = Burst(0x50, "16B", bank=1)


@dataclass(frozen=True, kw_only=True)
class Bno055Config(DriverConfig):
    """Options of a BNO055."""

    address: Literal[0x28, 0x29] = option(0x28, doc="0x29 with COM3 high")
    rate: float = option(50.0, unit="Hz", above=0, high=100, doc="samples a second")
    mode: Literal["ndof", "ndof_fmc_off", "imu"] = option(
        "ndof", doc="imu leaves the magnetometer out: no drift near iron, but no north"
    )
    crystal: bool = option(False, doc="whether the board has an external 32 kHz crystal")


def _offset() -> int:
    made: int = option(0, unit="LSB", low=-32768, high=32767)
    return made


@dataclass(frozen=True, kw_only=True)
class Bno055Calibration(Config):
    """Offsets that one very chip found out about itself; all 0 until they were saved."""

    accel_x: int = _offset()
    accel_y: int = _offset()
    accel_z: int = _offset()
    magnetic_x: int = _offset()
    magnetic_y: int = _offset()
    magnetic_z: int = _offset()
    gyro_x: int = _offset()
    gyro_y: int = _offset()
    gyro_z: int = _offset()
    accel_radius: int = _offset()
    magnetic_radius: int = _offset()


class Bno055(Driver[Bno055Config, Bno055Registers]):
    """Acceleration in m/s², rotation in rad/s, attitude and magnetic field, as the chip fuses them.

    Without saved offsets the chip calibrates itself anew after each power-on: see
    `calibration_status`; once all four are 3, `save_offsets` spares that the next time.
    """

    calibration_type = Bno055Calibration

    _last: tuple[int, ...] = ()
    _field: MagneticField | None = None
    _busy = False  # in the hands of a command

    def probe(self) -> bool:
        """Check the identity register."""
        return self.expect(self.map.identity, IDENTITY, "a BNO055")

    def identity(self) -> str:
        """Return the number that this chip alone has."""
        return bytes(self.map.unique).hex()

    def configure(self) -> Steps:
        """Reset, give back the saved offsets, and start the fusion."""
        yield from self._change(CONFIG_MODE)
        try:
            self.map.trigger = 0x20
        except DeviceFault as fault:  # it may reset before it acknowledges
            if fault.kind is not FaultKind.NO_ACK:
                raise
        yield RESET_TIME
        self.map.power = 0
        self.map.trigger = 0x80 if self.config.crystal else 0
        self.map.units = UNITS
        yield 0.01
        if self.calibration != Bno055Calibration():
            self._give(self.calibration)
        yield from self._change(MODES[self.config.mode])

    def _change(self, mode: int) -> Steps:
        self.map.mode = mode
        yield TO_CONFIG if mode == CONFIG_MODE else FROM_CONFIG

    def _give(self, offsets: Bno055Calibration) -> None:
        self.map.offsets = tuple(asdict(offsets).values())

    def read(self) -> Imu | None:
        """Read all in one burst; None while there is nothing new or the fusion is not running."""
        if self._busy:
            return None
        values = self.map.everything
        mx, my, mz = values[3:6]
        w, x, y, z = values[12:16]
        temperature, *_, status, error, units, mode = values[22:]
        if status == SYSTEM_ERROR:
            raise self.fault(FaultKind.OTHER, f"the chip reports system error {error}")
        self.confirm("its mode and units", (mode, units), (MODES[self.config.mode], UNITS))
        whole = abs(hypot(w, x, y, z) / UNITY - 1) < 0.02  # not before the first attitude
        if status != FUSION_RUNNING or not whole or values[:22] == self._last:
            return None
        self._last = values[:22]
        frame = self.config.frame
        if self.config.mode != "imu":
            self._field = MagneticField(x=mx * TESLA, y=my * TESLA, z=mz * TESLA, frame=frame)
        found = imu_sample(
            accel=values[0:3],
            accel_unit=ACCEL,
            gyro=values[6:9],
            gyro_unit=GYRO,
            temperature=float(temperature),
            frame=frame,
        )
        found.orientation = (x / UNITY, y / UNITY, z / UNITY, w / UNITY)
        return found

    @output
    def magnetic(self) -> MagneticField | None:
        """Return the magnetic field of the newest sample; None in a mode without magnetometer."""
        field, self._field = self._field, None
        return field

    @command
    def calibration_status(self) -> dict[str, int]:
        """Return how well each part is calibrated, from 0 (not) to 3 (fully)."""
        found = self.map.calibration
        parts = ("magnetometer", "accelerometer", "gyroscope", "system")
        return {part: found >> shift & 3 for part, shift in zip(parts, (0, 2, 4, 6), strict=True)}

    @command
    def save_offsets(self) -> Generator[float, None, dict[str, int]]:
        """Take over what the chip has found out about itself; it measures on after 30 ms."""
        found = yield from self._between(lambda: self.map.offsets)
        self.calibration = Bno055Calibration(**dict(zip(_NAMES, found, strict=True)))
        return asdict(self.calibration)

    @command
    def restore_offsets(self) -> Generator[float, None, dict[str, int]]:
        """Give the chip the saved offsets again; it measures on after 30 ms."""
        yield from self._between(lambda: self._give(self.calibration))
        return asdict(self.calibration)

    def _between(self, work: Callable[[], T]) -> Generator[float, None, T]:
        """Do something for which the chip must not measure, and let it measure again."""
        self._busy = True
        try:
            yield from self._change(CONFIG_MODE)
            done = work()
            yield from self._change(MODES[self.config.mode])
        finally:
            self._busy = False
        return done


_NAMES = tuple(asdict(Bno055Calibration()))


@dataclass(frozen=True, kw_only=True)
class Bno055SimConfig(BodySimConfig):
    """Options of the simulated BNO055; it always has some noise."""

    accel_noise: float = option(0.03, unit="m/s² rms", low=0.01, high=10)
    gyro_noise: float = option(0.002, unit="rad/s rms", low=0.0005, high=0.2)
    magnetic_noise: float = option(0.4e-6, unit="T rms", low=0, high=1e-4)
    calibrating: float = option(4.0, unit="s", low=0, high=3600, doc="time to full calibration")


class Bno055Sim(CompassBodySim[Bno055Config, Bno055Registers], twin_of=Bno055):
    """The chip: two pages, modes that must be left by way of CONFIG, fusion at 100 Hz.

    Registers with settings can be written in CONFIG mode alone, in which nothing is measured.
    """

    options: Bno055SimConfig

    def setup(self) -> None:
        """Give the chip a number and offsets of its own."""
        super().setup()
        self.number = self.random.randbytes(16)
        self.own = (*(self.random.randrange(-40, 40) for _ in range(9)), 1000, 600)

    def power_on(self) -> None:
        """Come up in CONFIG mode, deaf for a while."""
        super().power_on()
        self.deaf_until = self.time + START_TIME if self.time else 0.0
        self.map.versions = (0xFB, 0x32, 0x0F, 0x0311, 0x15)
        self.map.unique = tuple(self.number)
        self.running_from = 0.0  # when the present mode began to work
        self.given = False  # offsets, by the host

    def on_write(self, address: int, value: int) -> None:
        """Store a byte where that is possible now; a reset happens at once."""
        page, register = divmod(address, 256)
        settings = address in (0x3B, 0x41, 0x42) or 0x55 <= address <= 0x6A
        free = address in (0x07, 0x3D, 0x3E, 0x3F)
        if page == 1 and 0x08 <= register <= 0x1F:
            settings = True
        if address == Bno055Registers.mode.address:
            self._change(value & 0x0F)
        elif free or (settings and self.map.mode == CONFIG_MODE):
            super().on_write(address, value)
            self.given |= 0x55 <= address <= 0x6A
        if self.map.reset:
            self.power_on()
            self.deaf_until = self.time + RESET_TIME - 0.05

    def _change(self, mode: int) -> None:
        """Enter a mode; from one that measures to another the way is by CONFIG."""
        if mode != CONFIG_MODE and self.map.mode != CONFIG_MODE:
            return
        self.map.mode = mode
        self.running_from = self.time + (0.019 if mode == CONFIG_MODE else 0.007)
        if mode == CONFIG_MODE:
            self.map.everything = (*(0,) * 23, 0, 0x0F, 0, 0, 0, 0, self.map.units, 0)

    def update(self) -> None:
        """Fuse and show a new sample 100 times a second."""
        super().update()
        mode = self.map.mode
        if mode == CONFIG_MODE or self.time < self.running_from or not self.due(100.0):
            return
        fusion, uses = mode >= MODES["imu"], SENSORS.get(mode, "amg")
        noise = self.options.magnetic_noise / TESLA
        field = [self.count(v / TESLA, noise, 1.0) for v in self.field()]
        sure = self._sure() if fusion else 0
        bias = self.bias
        if sure >> 4 & 3 == 3:
            self.bias = [0.0, 0.0, 0.0]  # it has found out
        rotation = self.gyro_counts(1 / GYRO)
        self.bias = bias
        limit = round((2 << (self.map.accel_config & 3)) * GRAVITY / ACCEL)
        force = [min(max(count, -limit), limit) for count in self.accel_counts(1 / ACCEL)]
        if sure == 0xFF and not self.given:
            self.map.offsets = self.own
        self.map.everything = (
            *(force if "a" in uses else (0, 0, 0)),
            *(field if "m" in uses else (0, 0, 0)),
            *(rotation if "g" in uses else (0, 0, 0)),
            *(self._fused() if fusion else (0,) * 13),
            round(self.temperature),
            sure,
            0x0F,
            0,
            0,
            FUSION_RUNNING if fusion else 6,
            0,
            self.map.units,
            mode,
        )

    def _sure(self) -> int:
        """Return the calibration status: the parts one after the other, or all from offsets."""
        part = self.options.calibrating / 4
        ran = self.time - self.running_from
        found = 0
        for number, shift in enumerate((4, 2, 0, 6), 1):  # gyroscope first, system last
            full = self.given or ran >= part * number
            found |= (3 if full else 0) << shift
        return found

    def _fused(self) -> tuple[int, ...]:
        """Return Euler angles, quaternion, linear acceleration and gravity in counts."""
        error = [self.random.gauss(0, 0.001) for _ in range(3)]
        x, y, z, w = turned(self.attitude, tuple(error))
        heading = -degrees(atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))) % 360.0
        roll = degrees(atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)))
        pitch = degrees(asin(max(-1.0, min(1.0, 2 * (w * y - z * x)))))
        gravity = self.seen((0.0, 0.0, GRAVITY))
        linear = [force - part for force, part in zip(self.force, gravity, strict=True)]
        return (
            *(round(angle * 16) for angle in (heading, roll, pitch)),
            *(round(part * UNITY) for part in (w, x, y, z)),
            *(min(max(round(part / ACCEL), -32768), 32767) for part in (*linear, *gravity)),
        )

    def truth(self) -> dict[str, object]:
        """Return what the chip really undergoes."""
        return {"mode": self.map.mode, **super().truth()}
