"""LSM6DSOX: bytes of the datasheet, counted by hand, and the behaviour of the twin."""

import math
import struct
from typing import Any

import pytest
from horus_drivers.imu.lsm6dsox import Lsm6dsox, Lsm6dsoxConfig, Lsm6dsoxSim, Lsm6dsoxSimConfig

from horus.hal import DeviceFault, FaultKind, I2cBus, I2cLink, SimI2cBus

G = 9.80665


class Memory(I2cBus):
    """A bus of plain bytes, which knows nothing of the driver's map."""

    name = "i2c1"

    def __init__(self) -> None:
        self.bytes = bytearray(256)
        self.bytes[0x0F] = 0x6C
        self.bytes[0x12] = 0x04
        self.writes: list[tuple[int, int]] = []

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        assert address == 0x6A
        for offset, value in enumerate(write[1:]):
            self.writes.append((write[0] + offset, value))
            self.bytes[write[0] + offset] = value & 0xFE if write[0] == 0x12 else value
        return bytes(self.bytes[write[0] : write[0] + read])

    def close(self) -> None:
        pass


def configured(bus: I2cBus, clock: Any, **options: Any) -> Lsm6dsox:
    driver = Lsm6dsox(Lsm6dsoxConfig(**options), I2cLink(bus, 0x6A, "imu", clock.monotonic_ns))
    assert driver.probe()
    for pause in driver.configure():
        clock.advance(pause)
    return driver


@pytest.mark.parametrize(
    ("options", "accel", "gyro"),
    [
        ({"rate": 50.0, "accel_range": 4, "gyro_range": 250}, 0x48, 0x40),  # 104 Hz
        ({"rate": 200.0, "accel_range": 16, "gyro_range": 125}, 0x64, 0x62),  # 416 Hz
        ({"rate": 1.0, "accel_range": 2, "gyro_range": 2000}, 0x10, 0x1C),  # 12.5 Hz
        ({"rate": 1000.0, "accel_range": 8, "gyro_range": 500}, 0x9C, 0x94),  # 3332 Hz
    ],
)
def test_the_set_up_leaves_these_bytes(clock: Any, options: Any, accel: int, gyro: int) -> None:
    bus = Memory()
    configured(bus, clock, **options)
    assert bus.writes[0] == (0x12, 0x05)  # reset; bursts still go on
    assert (bus.bytes[0x10], bus.bytes[0x11], bus.bytes[0x12]) == (accel, gyro, 0x44)


def test_a_sample_in_si_units(clock: Any) -> None:
    """0.122 mg, 8.75 m°/s and 1/256 °C a count: 1 g is 8197 counts, 10 °/s is 1143."""
    bus = Memory()
    driver = configured(bus, clock, accel_range=4, gyro_range=250)
    bus.bytes[0x1E] = 0x07
    bus.bytes[0x20:0x2E] = bytes.fromhex("00FB 7704 89FB 0000 0520 FBDF 0100")
    imu = driver.read()
    assert imu is not None
    assert imu.temperature == pytest.approx(20.0)  # -1280 / 256 + 25
    assert (imu.gyro_x, imu.gyro_y, imu.gyro_z) == pytest.approx(
        (math.radians(10.00125), math.radians(-10.00125), 0.0)
    )
    assert (imu.accel_x, imu.accel_y, imu.accel_z) == pytest.approx(
        (1.000034 * G, -1.000034 * G, 0.000122 * G), rel=1e-6
    )


@pytest.mark.parametrize(
    ("accel", "lsb"), [(2, 0.061e-3), (4, 0.122e-3), (8, 0.244e-3), (16, 0.488e-3)]
)
def test_accelerometer_ranges(clock: Any, accel: Any, lsb: float) -> None:
    bus = Memory()
    driver = configured(bus, clock, accel_range=accel)
    bus.bytes[0x1E] = 0x03
    bus.bytes[0x28:0x2A] = struct.pack("<h", 1000)
    imu = driver.read()
    assert imu is not None
    assert imu.accel_x == pytest.approx(1000 * lsb * G)


@pytest.mark.parametrize("status", [0x00, 0x01, 0x02, 0x04])
def test_until_both_sensors_have_measured_there_is_no_sample(clock: Any, status: int) -> None:
    bus = Memory()
    driver = configured(bus, clock)
    bus.bytes[0x1E] = status
    assert driver.read() is None


def test_another_chip_is_refused_naming_both(clock: Any) -> None:
    bus = Memory()
    bus.bytes[0x0F] = 0x69
    driver = Lsm6dsox(Lsm6dsoxConfig(), I2cLink(bus, 0x6A, "imu", clock.monotonic_ns))
    with pytest.raises(DeviceFault, match="identity 0x69; an LSM6DSOX has 0x6C") as caught:
        driver.probe()
    assert caught.value.kind is FaultKind.REJECTED
    assert bus.writes == []


def test_a_reset_that_never_ends_is_a_timeout(clock: Any) -> None:
    class Stuck(Memory):
        def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
            return b"\x05" if write[0] == 0x12 and read else super().transfer(address, write, read)

    with pytest.raises(DeviceFault, match="reset not finished"):
        configured(Stuck(), clock)


# the twin -----------------------------------------------------------------------------------------


class Bench:
    def __init__(self, clock: Any, **options: Any) -> None:
        self.clock = clock
        self.twin = Lsm6dsoxSim(Lsm6dsoxConfig(), Lsm6dsoxSimConfig(**options))
        self.bus = SimI2cBus("i2c1", clock.monotonic_ns, clock.sleep)
        self.bus.attach(self.twin)

    def get(self, register: int, count: int = 1) -> bytes:
        return self.bus.transfer(0x6A, bytes((register,)), count)

    def put(self, *values: int) -> None:
        self.bus.transfer(0x6A, bytes(values))


@pytest.fixture
def bench(clock: Any) -> Bench:
    return Bench(clock, gyro_bias=0, gyro_noise=0, accel_noise=0)


def test_the_twin_comes_up_off_with_its_identity(bench: Bench) -> None:
    bench.clock.advance(1.0)
    assert bench.get(0x0F) == b"\x6c"
    assert bench.get(0x10, 3) == b"\x00\x00\x04"
    assert bench.get(0x1E) == b"\x00"
    assert bench.get(0x28, 6) == bytes(6)


def test_reading_a_result_clears_its_mark_alone(bench: Bench) -> None:
    bench.put(0x10, 0x40, 0x40)
    bench.clock.advance(0.01)
    assert bench.get(0x1E) == b"\x07"
    bench.get(0x28, 6)
    assert bench.get(0x1E) == b"\x06"
    bench.get(0x22, 6)
    bench.get(0x20, 2)
    assert bench.get(0x1E) == b"\x00"


def test_without_if_inc_a_burst_repeats_one_register(bench: Bench) -> None:
    bench.put(0x12, 0x00)
    assert bench.get(0x0F, 3) == b"\x6c\x6c\x6c"
    bench.put(0x10, 0x40, 0x77)
    assert bench.get(0x10) == b"\x77"  # both bytes went there
    assert bench.get(0x11) == b"\x00"


@pytest.mark.parametrize(("register", "value"), [(0x10, 0x10), (0x11, 0x10)])
def test_each_sensor_measures_at_its_own_rate(bench: Bench, register: int, value: int) -> None:
    bench.put(register, value)
    mark = 1 if register == 0x10 else 2
    fresh = 0
    for _ in range(1000):
        bench.clock.advance(0.001)
        data = bench.get(0x1E, 16)
        fresh += data[0] & mark and 1
    assert fresh == pytest.approx(12.5, abs=1)


def test_the_ranges_are_those_of_the_codes_and_saturate(bench: Bench) -> None:
    bench.put(0x11, 0x40 | 0x02)  # 125 °/s
    bench.put(0x10, 0x40 | 0x04)  # ± 16 g
    bench.twin.rotation = (math.radians(50), 0.0, -9.0)
    bench.twin.acceleration = (10 * G, 0.0, 300.0)
    bench.clock.advance(0.01)
    gx, _, gz, ax, _, az = struct.unpack("<6h", bench.get(0x22, 12))
    assert gx == pytest.approx(50 / 4.375e-3, abs=2)
    assert ax == pytest.approx(10 / 0.488e-3, abs=300)  # turning meanwhile
    assert (gz, az) == (-32768, 32767)


def test_results_and_identity_cannot_be_written_and_a_reset_forgets(bench: Bench) -> None:
    bench.put(0x0F, 0x00)
    bench.put(0x28, 0x55)
    assert (bench.get(0x0F), bench.get(0x28)) == (b"\x6c", b"\x00")
    bench.put(0x10, 0x48)
    bench.put(0x12, 0x05)
    assert bench.get(0x10, 3) == b"\x00\x00\x04"


def test_driver_and_twin_agree_in_every_combination_of_ranges(clock: Any) -> None:
    for accel in (2, 4, 8, 16):
        for gyro in (125, 250, 500, 1000, 2000):
            bench = Bench(clock, accel_noise=0, gyro_noise=0, gyro_bias=0)
            bench.twin.acceleration = (0.7 * G, -1.5 * G, 0.1 * G)
            driver = configured(bench.bus, clock, accel_range=accel, gyro_range=gyro)
            imu = driver.read()
            assert imu is not None
            assert (imu.accel_x, imu.accel_y, imu.accel_z) == pytest.approx(
                (0.7 * G, -1.5 * G, 0.1 * G), abs=G / 1000
            )
            bench.twin.rotation = (1.2, -0.5, 0.1)
            clock.advance(0.02)
            imu = driver.read()
            assert imu is not None
            assert (imu.gyro_x, imu.gyro_y, imu.gyro_z) == pytest.approx((1.2, -0.5, 0.1), abs=1e-3)
