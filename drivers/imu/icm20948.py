"""TDK InvenSense ICM-20948: accelerometer, gyroscope, thermometer and magnetometer, on I2C.

Source: ICM-20948 datasheet DS-000189 revision 1.3. The magnetometer is an AK09916 on a second die,
behind the chip's own I2C master, which copies its registers to where one burst reads all. Its y
and z axes point the other way; here they are turned to those of the accelerometer.
AD0 low is address 0x68, high is 0x69.
"""

from __future__ import annotations

import struct
from collections.abc import Generator
from dataclasses import dataclass
from math import degrees, radians
from typing import Literal

from horus_drivers.imu import ak09916
from horus_drivers.imu.inertial import GRAVITY, BodySimConfig, CompassBodySim, imu_sample

from horus.hal import (
    BankSelect,
    Bits,
    Burst,
    Driver,
    DriverConfig,
    FaultKind,
    Register,
    RegisterMap,
    Steps,
    option,
    output,
)
from horus.msgs import Imu, MagneticField

IDENTITY = 0xEA
ACCEL_SCALE = {2: 16384.0, 4: 8192.0, 8: 4096.0, 16: 2048.0}  # LSB per g by range in ± g
GYRO_SCALE = {250: 131.0, 500: 65.5, 1000: 32.8, 2000: 16.4}  # LSB per °/s by range in ± °/s
GYRO_BASE = 1100.0  # Hz, what the dividers divide
BANDWIDTHS = {361: 7, 152: 1, 120: 2, 51: 3, 24: 4, 12: 5, 6: 6}  # DLPFCFG by Hz (gyroscope)
TEMPERATURE_SCALE, TEMPERATURE_OFFSET = 333.87, 21.0  # LSB per °C, °C

MASTER_CLOCK = 0x17  # 345.6 kHz, a STOP between two reads
GO, READ = 0x80, 0x80  # bits of a slave's control and address registers
SLAVE4_DONE, SLAVE4_NACK = 0x40, 0x10  # bits of I2C_MST_STATUS

MAGNETOMETER = 0x0C  # address of the AK09916 on the inner bus


class Icm20948Registers(RegisterMap):
    """The registers used here, in three of four banks."""

    bank = BankSelect(0x7F, low=4, width=2)

    identity = Register(0x00, reset=IDENTITY)
    master_reset = Bits(0x03, low=1)
    master = Bits(0x03, low=5)
    clock = Bits(0x06, low=0, width=3, reset=1)
    sleep = Bits(0x06, low=6, reset=1)
    reset = Bits(0x06, low=7)
    bypass = Bits(0x0F, low=1)
    announce = Bits(0x11, low=0)
    master_status = Register(0x17)
    ready = Register(0x1A)  # INT_STATUS_1
    sample = Burst(0x2D, ">7h")  # acceleration, rotation, temperature
    everything = Burst(0x2D, ">7h B6BxB")  # the same, then what slave 0 reads: ST1 to ST2

    gyro_divider = Register(0x00, bank=2)
    gyro_filtered = Bits(0x01, low=0, reset=1, bank=2)
    gyro_range = Bits(0x01, low=1, width=2, bank=2)
    gyro_filter = Bits(0x01, low=3, width=3, bank=2)
    accel_divider = Register(0x10, ">H", bank=2)
    accel_filtered = Bits(0x14, low=0, reset=1, bank=2)
    accel_range = Bits(0x14, low=1, width=2, bank=2)
    accel_filter = Bits(0x14, low=3, width=3, bank=2)

    master_clock = Register(0x01, bank=3)
    slave0 = Burst(0x03, "4B", bank=3)  # address, register, control, data out
    slave4 = Burst(0x13, "4B", bank=3)
    slave4_address = Register(0x13, bank=3)
    slave4_register = Register(0x14, bank=3)
    slave4_control = Register(0x15, bank=3)
    slave4_out = Register(0x16, bank=3)
    slave4_in = Register(0x17, bank=3)


#: What reading clears.
STATUSES = (Icm20948Registers.ready.address, Icm20948Registers.master_status.address)


@dataclass(frozen=True, kw_only=True)
class Icm20948Config(DriverConfig):
    """Options of an ICM-20948."""

    address: Literal[0x68, 0x69] = option(0x69, doc="0x68 with AD0 low")
    rate: float = option(100.0, unit="Hz", above=0, high=500, doc="samples a second")
    accel_range: Literal[2, 4, 8, 16] = option(4, unit="± g")
    gyro_range: Literal[250, 500, 1000, 2000] = option(500, unit="± °/s")
    bandwidth: Literal[361, 152, 120, 51, 24, 12, 6] = option(51, unit="Hz", doc="low-pass filter")
    magnetometer: bool = option(True, doc="whether to use it")
    magnetic_rate: Literal[10, 20, 50, 100] = option(50, unit="Hz", doc="of the magnetometer")


class Icm20948(Driver[Icm20948Config, Icm20948Registers]):
    """Acceleration in m/s², rotation in rad/s and magnetic field in T, along the same axes."""

    _field: tuple[int, ...] = ()  # of the newest sample
    _told: tuple[int, ...] = ()  # what was sent last

    def probe(self) -> bool:
        """Check the identity register."""
        return self.expect(self.map.identity, IDENTITY, "an ICM-20948")

    def configure(self) -> Steps:
        """Reset, wake and set up; the chip samples at least twice as often as it is read."""
        config = self.config
        self.map.reset = 1
        yield 0.1
        yield from self.until(lambda: not self.map.reset, 0.1, "reset")
        self.map.clock = 1
        self.map.sleep = 0
        yield 0.05
        divider = min(max(int(GYRO_BASE / (2 * config.rate)) - 1, 0), 255)
        code = BANDWIDTHS[config.bandwidth]
        self.map.gyro_divider = divider
        self.map.gyro_range = list(GYRO_SCALE).index(config.gyro_range)
        self.map.gyro_filter = code
        self.map.gyro_filtered = 1
        self.map.accel_divider = divider
        self.map.accel_range = list(ACCEL_SCALE).index(config.accel_range)
        self.map.accel_filter = code
        self.map.accel_filtered = 1
        self.map.announce = 1
        if config.magnetometer:
            yield from self._start_magnetometer()
        yield 0.05  # start-up of the gyroscope

    def _start_magnetometer(self) -> Steps:
        """Let the magnetometer measure, and its results be copied with every sample."""
        self.map.bypass = 0
        self.map.master_reset = 1
        yield 0.01
        self.map.master_clock = MASTER_CLOCK
        self.map.master = 1
        yield 0.01
        found = yield from self._ask(MAGNETOMETER | READ, ak09916.WIA2)
        if found != ak09916.IDENTITY:
            raise self.fault(
                FaultKind.REJECTED,
                f"its magnetometer has identity 0x{found:02X}; an AK09916 has 0x09",
                cure="power-cycle the device, or set magnetometer: false",
            )
        yield from self._ask(MAGNETOMETER, ak09916.CNTL3, 1)  # reset
        yield 0.01
        yield from self._ask(MAGNETOMETER, ak09916.CNTL2, ak09916.MODES[self.config.magnetic_rate])
        self.map.slave0 = (MAGNETOMETER | READ, ak09916.ST1, GO | 9, 0)

    def _ask(self, address: int, register: int, value: int = 0) -> Generator[float, None, int]:
        """Read or write one register on the inner bus."""
        status = 0

        def done() -> bool:
            nonlocal status
            status |= self.map.master_status  # which is cleared by reading
            return bool(status & SLAVE4_DONE)

        self.map.slave4_address = address
        self.map.slave4_register = register
        self.map.slave4_out = value
        self.map.slave4_control = GO
        yield 0.002
        yield from self.until(done, 0.2, "transfer on the magnetometer's bus")
        if status & SLAVE4_NACK:
            raise self.fault(
                FaultKind.NO_ACK,
                "its magnetometer does not answer",
                cure="power-cycle the device, or set magnetometer: false",
            )
        return self.map.slave4_in

    def read(self) -> Imu | None:
        """Read one sample in one burst; None while the chip has nothing new."""
        if not self.map.ready & 1:
            return None
        ax, ay, az, gx, gy, gz, temperature, _st1, *field, st2 = self.map.everything
        good = self.config.magnetometer and not st2 & ak09916.OVERFLOW and any(field)
        self._field = struct.unpack("<3h", bytes(field)) if good else ()
        return imu_sample(
            accel=(ax, ay, az),
            accel_unit=GRAVITY / ACCEL_SCALE[self.config.accel_range],
            gyro=(gx, gy, gz),
            gyro_unit=radians(1.0 / GYRO_SCALE[self.config.gyro_range]),
            temperature=temperature / TEMPERATURE_SCALE + TEMPERATURE_OFFSET,
            frame=self.config.frame,
        )

    @output
    def magnetic(self) -> MagneticField | None:
        """Return the field of the newest sample, when it is another than before.

        The mark of a new measurement is gone when the inner bus has read it twice; the noise of
        the magnetometer tells two measurements apart.
        """
        if self._field == self._told or not self._field:
            return None
        self._told = self._field
        x, y, z = (count * ak09916.TESLA for count in self._field)
        return MagneticField(x=x, y=-y, z=-z, frame=self.config.frame)


@dataclass(frozen=True, kw_only=True)
class Icm20948SimConfig(BodySimConfig):
    """Options of the simulated ICM-20948; noise at 51 Hz of bandwidth."""

    gyro_noise: float = option(0.002, unit="rad/s rms", low=0, high=0.2)
    gyro_bias: float = option(0.03, unit="rad/s rms", low=0, high=0.4, doc="differs by axis")
    magnetic_noise: float = option(0.3e-6, unit="T rms", low=0, high=1e-4)


class Icm20948Sim(CompassBodySim[Icm20948Config, Icm20948Registers], twin_of=Icm20948):
    """The chip: asleep after power-on, four banks, and an I2C master with a magnetometer."""

    options: Icm20948SimConfig

    def power_on(self) -> None:
        """Power both dies."""
        super().power_on()
        self.magnetometer = ak09916.Ak09916()

    def on_write(self, address: int, value: int) -> None:
        """Store a byte; resets happen at once, results and identity cannot be written."""
        if address == Icm20948Registers.identity.address or 0x17 <= address <= 0x52:
            return
        super().on_write(address, value)
        if self.map.reset:
            super().power_on()  # of this die alone
        self.map.master_reset = 0
        if address == Icm20948Registers.master.address or 0x303 <= address <= 0x306:
            self.sampled.pop("slave 0", None)  # the inner bus begins at once

    def on_read(self, address: int) -> int:
        """Return a byte; reading a status clears it."""
        value = super().on_read(address)
        if address in STATUSES:
            super().on_write(address, 0)
        return value

    def update(self) -> None:
        """Take a sample when the next is due, and serve the inner bus."""
        super().update()
        self.magnetometer.update(self.time, self._noisy_field)
        rate = GYRO_BASE / (1 + self.map.gyro_divider)
        if self.map.master:
            self._serve_slave4()
            if self.due(rate, "slave 0"):
                self._serve_slave0()
        if self.map.sleep or not self.due(rate):
            return
        accel = list(ACCEL_SCALE.values())[self.map.accel_range] / GRAVITY
        gyro = degrees(list(GYRO_SCALE.values())[self.map.gyro_range])
        warmth = self.count(self.temperature - TEMPERATURE_OFFSET, 0.1, TEMPERATURE_SCALE)
        self.map.sample = (*self.accel_counts(accel), *self.gyro_counts(gyro), warmth)
        self.map.ready = 1

    def _noisy_field(self) -> list[float]:
        """Return the field along the axes of the magnetometer."""
        x, y, z = self.field()
        noise = self.options.magnetic_noise
        return [value + self.random.gauss(0, noise) for value in (x, -y, -z)]

    def _serve_slave4(self) -> None:
        """Do the single transfer that was asked for."""
        address, register, control, out = self.map.slave4
        if not control & GO:
            return
        self.map.slave4_control = control & ~GO
        self.map.master_status |= SLAVE4_DONE
        if address & ~READ != MAGNETOMETER:
            self.map.master_status |= SLAVE4_NACK
        elif address & READ:
            self.map.slave4_in = self.magnetometer.read(register, 1)[0]
        else:
            self.magnetometer.write(register, out)

    def _serve_slave0(self) -> None:
        """Repeat the transfer that goes with every sample."""
        address, register, control, out = self.map.slave0
        if not control & GO:
            return
        if address & ~READ != MAGNETOMETER:
            self.map.master_status |= 0x01
        elif address & READ:
            found = self.magnetometer.read(register, control & 0x0F)
            self._cells.write(0x3B, found)
        else:
            self.magnetometer.write(register, out)

    def truth(self) -> dict[str, object]:
        """Return what the chip really undergoes."""
        return {"asleep": bool(self.map.sleep), **super().truth()}
