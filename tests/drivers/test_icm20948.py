"""ICM-20948: bytes of the datasheet, counted by hand, and the behaviour of the twin."""

import math
import struct
from typing import Any

import pytest
from horus_drivers.imu.icm20948 import (
    Icm20948,
    Icm20948Config,
    Icm20948Sim,
    Icm20948SimConfig,
)

from horus.hal import DeviceFault, FaultKind, I2cBus, I2cLink, SimI2cBus

G = 9.80665


class Memory(I2cBus):
    """Four banks of plain bytes behind 0x7F, and a magnetometer that acknowledges everything."""

    name = "i2c1"

    def __init__(self) -> None:
        self.banks = [bytearray(256) for _ in range(4)]
        self.bank = 0
        self.banks[0][0x00] = 0xEA
        self.writes: list[tuple[int, int, int]] = []
        self.magnetometer: dict[int, int] = {0x01: 0x09}
        self.asked: list[tuple[int, int, int]] = []

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        assert address == 0x69
        for register, value in enumerate(write[1:], write[0]):
            self.put(register, value)
        if write[0] == 0x7F:
            return bytes((self.bank << 4,) * read)
        return bytes(self.banks[self.bank][write[0] : write[0] + read])

    def put(self, register: int, value: int) -> None:
        if register == 0x7F:
            self.bank = value >> 4
            return
        self.writes.append((self.bank, register, value))
        if (self.bank, register) == (0, 0x06):
            value &= 0x7F
        self.banks[self.bank][register] = value
        if (self.bank, register, value) == (3, 0x15, 0x80):
            address, register, _, out = self.banks[3][0x13:0x17]
            self.asked.append((address, register, out))
            self.banks[3][0x17] = self.magnetometer.get(register, 0)
            self.banks[0][0x17] = 0x40

    def close(self) -> None:
        pass


def configured(bus: I2cBus, clock: Any, **options: Any) -> Icm20948:
    driver = Icm20948(Icm20948Config(**options), I2cLink(bus, 0x69, "imu", clock.monotonic_ns))
    assert driver.probe()
    for pause in driver.configure():
        clock.advance(pause)
    return driver


def test_probing_a_chip_that_shows_its_first_bank_writes_nothing(clock: Any) -> None:
    class Untouchable(Memory):
        def put(self, register: int, value: int) -> None:
            raise AssertionError("written")

    driver = Icm20948(Icm20948Config(), I2cLink(Untouchable(), 0x69, "imu", clock.monotonic_ns))
    assert driver.probe()


def test_the_set_up_leaves_these_bytes(clock: Any) -> None:
    bus = Memory()
    configured(bus, clock, rate=50.0, accel_range=8, gyro_range=1000, bandwidth=120)
    assert bus.writes[0] == (0, 0x06, 0x80)
    assert bus.banks[0][0x06] == 0x01  # awake, best clock
    assert bus.banks[0][0x03] & 0x20  # I2C master on
    assert bus.banks[2][0x00] == 10  # 1100 / 11 = 100 Hz
    assert bus.banks[2][0x01] == 0b010_10_1  # DLPF 2, ± 1000 °/s, filtered
    assert bus.banks[2][0x10:0x12] == b"\x00\x0a"
    assert bus.banks[2][0x14] == 0b010_10_1  # DLPF 2, ± 8 g, filtered
    assert bus.banks[3][0x01] == 0x17
    assert bus.banks[3][0x03:0x06] == b"\x8c\x10\x89"  # nine bytes from ST1 with every sample
    assert bus.asked == [(0x8C, 0x01, 0), (0x0C, 0x32, 1), (0x0C, 0x31, 0x06)]


def test_without_the_magnetometer_its_bus_stays_off(clock: Any) -> None:
    bus = Memory()
    driver = configured(bus, clock, magnetometer=False)
    assert not [entry for entry in bus.writes if entry[0] == 3 or entry[1] == 0x03]
    bus.banks[0][0x1A] = 1
    bus.banks[0][0x3B:0x44] = bytes(range(1, 10))
    assert driver.read() is not None
    assert driver.magnetic() is None


def sample(bus: Memory, text: str) -> None:
    bus.banks[0][0x1A] = 0x01
    data = bytes.fromhex(text)
    bus.banks[0][0x2D : 0x2D + len(data)] = data


def test_a_sample_in_si_units(clock: Any) -> None:
    """1, -0.5, 0.25 g at ± 2 g; 5, -1, 10 °/s at ± 250 °/s; 21 °C; 150, -75, 30 × 0.15 µT."""
    bus = Memory()
    driver = configured(bus, clock, accel_range=2, gyro_range=250)
    sample(bus, "4000 E000 1000 028F FF7D 051E 0000 01 9600 B5FF 1E00 00 10")
    imu = driver.read()
    assert imu is not None
    assert (imu.accel_x, imu.accel_y, imu.accel_z) == pytest.approx((G, -0.5 * G, 0.25 * G))
    rotation = (imu.gyro_x, imu.gyro_y, imu.gyro_z)
    assert rotation == pytest.approx([math.radians(v) for v in (5, -1, 10)], rel=1e-3)
    assert imu.temperature == pytest.approx(21.0)
    field = driver.magnetic()
    assert field is not None
    assert (field.x, field.y, field.z) == pytest.approx((22.5e-6, 11.25e-6, -4.5e-6))
    assert driver.magnetic() is None  # said once


def test_a_new_sample_with_the_old_field_is_no_new_field(clock: Any) -> None:
    bus = Memory()
    driver = configured(bus, clock)
    for status in ("01", "00"):
        sample(bus, f"4000 E000 1000 028F FF7D 051E 0000 {status} 9600 B5FF 1E00 00 00")
        assert driver.read() is not None
        assert (driver.magnetic() is None) is (status == "00")


@pytest.mark.parametrize("end", ["9600 B5FF 1E00 00 18", "0000 0000 0000 00 00"])
def test_a_field_that_overflowed_or_was_never_measured_is_none(clock: Any, end: str) -> None:
    bus = Memory()
    driver = configured(bus, clock)
    sample(bus, f"4000 E000 1000 028F FF7D 051E 0000 01 {end}")
    assert driver.read() is not None
    assert driver.magnetic() is None


def test_without_data_ready_there_is_no_sample(clock: Any) -> None:
    assert configured(Memory(), clock).read() is None


def test_another_chip_is_refused_naming_both(clock: Any) -> None:
    bus = Memory()
    bus.banks[0][0x00] = 0x68
    driver = Icm20948(Icm20948Config(), I2cLink(bus, 0x69, "imu", clock.monotonic_ns))
    with pytest.raises(DeviceFault, match="identity 0x68; an ICM-20948 has 0xEA") as caught:
        driver.probe()
    assert caught.value.kind is FaultKind.REJECTED


@pytest.mark.parametrize(
    ("status", "identity", "text"),
    [
        (0x50, 0x09, "its magnetometer does not answer: power-cycle the device, or set"),
        (0x40, 0x48, "its magnetometer has identity 0x48"),
        (0x00, 0x09, "transfer on the magnetometer's bus not finished"),
    ],
)
def test_a_magnetometer_that_fails_is_named(
    clock: Any, status: int, identity: int, text: str
) -> None:
    class Failing(Memory):
        def put(self, register: int, value: int) -> None:
            super().put(register, value)
            self.banks[0][0x17] = status

    bus = Failing()
    bus.magnetometer[0x01] = identity
    with pytest.raises(DeviceFault, match=text):
        configured(bus, clock)


# the twin -----------------------------------------------------------------------------------------


class Bench:
    def __init__(self, clock: Any, **options: Any) -> None:
        self.clock = clock
        self.twin = Icm20948Sim(Icm20948Config(), Icm20948SimConfig(**options))
        self.bus = SimI2cBus("i2c1", clock.monotonic_ns, clock.sleep)
        self.bus.attach(self.twin)

    def get(self, bank: int, register: int, count: int = 1) -> bytes:
        self.bus.transfer(0x69, bytes((0x7F, bank << 4)))
        return self.bus.transfer(0x69, bytes((register,)), count)

    def put(self, bank: int, *values: int) -> None:
        self.bus.transfer(0x69, bytes((0x7F, bank << 4)))
        self.bus.transfer(0x69, bytes(values))

    def wait(self, seconds: float = 0.01) -> None:
        self.clock.advance(seconds)

    def ask(self, register: int, value: int | None = None) -> int:
        """Use slave 4 as the datasheet says."""
        self.put(3, 0x13, 0x0C if value is not None else 0x8C)
        self.put(3, 0x14, register)
        self.put(3, 0x16, value or 0)
        self.put(3, 0x15, 0x80)
        self.wait()
        assert self.get(0, 0x17)[0] & 0x50 == 0x40
        return self.get(3, 0x17)[0]


@pytest.fixture
def bench(clock: Any) -> Bench:
    return Bench(clock, gyro_bias=0, gyro_noise=0, accel_noise=0, magnetic_noise=0)


def test_the_twin_comes_up_asleep_with_its_identity_and_reset_values(bench: Bench) -> None:
    bench.wait(1.0)
    assert bench.get(0, 0x00) == b"\xea"
    assert bench.get(0, 0x06) == b"\x41"
    assert bench.get(2, 0x01) == b"\x01"
    assert bench.get(0, 0x1A) == b"\x00"


def test_the_bank_is_shown_in_every_bank(bench: Bench) -> None:
    for bank in (3, 1, 0, 2):
        assert bench.get(bank, 0x7F) == bytes((bank << 4,))


def test_its_samples_come_at_the_divided_rate_and_reading_clears_the_mark(bench: Bench) -> None:
    bench.put(0, 0x06, 0x01)
    bench.put(2, 0x00, 109)  # 1100 / 110 = 10 Hz
    bench.get(0, 0x1A)
    fresh = 0
    for _ in range(1000):
        bench.wait(0.001)
        fresh += bench.get(0, 0x1A)[0]
    assert fresh == pytest.approx(10, abs=1)


def test_a_reset_goes_back_to_the_first_bank_asleep(bench: Bench) -> None:
    bench.put(2, 0x01, 0x07)
    bench.put(0, 0x06, 0x81)
    assert bench.bus.transfer(0x69, b"\x00", 1) == b"\xea"
    assert bench.get(0, 0x06) == b"\x41"
    assert bench.get(2, 0x01) == b"\x01"


def test_the_magnetometer_is_reached_through_slave_4(bench: Bench) -> None:
    bench.put(0, 0x03, 0x20)
    assert bench.ask(0x01) == 0x09
    bench.ask(0x31, 0x08)
    assert bench.ask(0x31) == 0x08
    bench.ask(0x32, 0x01)  # reset, which clears itself
    assert bench.ask(0x32) == 0x00
    assert bench.ask(0x31) == 0x00


def test_nobody_else_answers_on_the_inner_bus(bench: Bench) -> None:
    bench.put(0, 0x03, 0x20)
    bench.put(3, 0x13, 0x8D)
    bench.put(3, 0x15, 0x80)
    bench.wait()
    assert bench.get(0, 0x17)[0] & 0x50 == 0x50
    assert bench.get(0, 0x17)[0] == 0x00  # cleared by reading


def test_slave_0_is_fetched_anew_with_every_sample_whatever_was_written_first(
    bench: Bench,
) -> None:
    bench.put(0, 0x06, 0x01)
    bench.put(0, 0x03, 0x20)
    bench.ask(0x31, 0x08)
    bench.put(3, 0x05, 0x89)  # control first, as one client does
    bench.put(3, 0x03, 0x8C)
    bench.put(3, 0x04, 0x10)
    for x in (30e-6, -45e-6):
        bench.twin.magnetic = (x, 15e-6, -6e-6)
        bench.wait(0.05)
        found = struct.unpack("<3h", bench.get(0, 0x3C, 6))
        assert found == (round(x / 0.15e-6), -100, 40)  # y and z point the other way


def test_a_field_that_is_too_strong_is_marked(bench: Bench) -> None:
    bench.put(0, 0x03, 0x20)
    bench.twin.magnetic = (4e-3, 2e-3, 0.0)
    bench.ask(0x31, 0x08)
    bench.wait(0.02)
    assert bench.ask(0x18) & 0x08


def test_driver_and_twin_agree_in_every_combination_of_ranges(clock: Any) -> None:
    for accel in (2, 4, 8, 16):
        for gyro in (250, 500, 1000, 2000):
            bench = Bench(clock, accel_noise=0, gyro_noise=0, gyro_bias=0, magnetic_noise=0)
            bench.twin.acceleration = (0.7 * G, -1.5 * G, 0.1 * G)
            driver = configured(bench.bus, clock, accel_range=accel, gyro_range=gyro)
            clock.advance(0.1)
            imu, field = driver.read(), driver.magnetic()
            assert imu is not None
            assert field is not None
            assert (imu.accel_x, imu.accel_y, imu.accel_z) == pytest.approx(
                (0.7 * G, -1.5 * G, 0.1 * G), abs=G / 1000
            )
            assert (field.x, field.y, field.z) == pytest.approx((20e-6, 0, -43e-6), abs=1e-7)
            assert imu.temperature == pytest.approx(25.0, abs=1.0)
            bench.twin.rotation = (1.2, -0.5, 0.1)
            clock.advance(0.02)
            imu = driver.read()
            assert imu is not None
            assert (imu.gyro_x, imu.gyro_y, imu.gyro_z) == pytest.approx((1.2, -0.5, 0.1), abs=1e-3)
