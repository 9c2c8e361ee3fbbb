"""MPU-6050: bytes of the datasheet, counted by hand, and the behaviour of the twin."""

import math
import struct
from pathlib import Path
from typing import Any

import pytest
from horus_drivers.imu.mpu6050 import Mpu6050, Mpu6050Config, Mpu6050Sim, Mpu6050SimConfig

from horus.hal import DeviceFault, FaultKind, I2cBus, I2cLink, SimI2cBus
from horus.msgs import Imu

G = 9.80665


class Memory(I2cBus):
    """A bus of plain bytes, which knows nothing of the driver's map."""

    name = "i2c1"

    def __init__(self) -> None:
        self.bytes = bytearray(256)
        self.bytes[0x75] = 0x68
        self.bytes[0x6B] = 0x40
        self.writes: list[tuple[int, int]] = []

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        assert address == 0x68
        if len(write) > 1:
            self.writes.append((write[0], write[1]))
            self.bytes[write[0]] = write[1] & 0x7F if write[0] == 0x6B else write[1]
        return bytes(self.bytes[write[0] : write[0] + read])

    def close(self) -> None:
        pass


def configured(bus: I2cBus, clock: Any, **options: Any) -> Mpu6050:
    driver = Mpu6050(Mpu6050Config(**options), I2cLink(bus, 0x68, "imu", clock.monotonic_ns))
    assert driver.probe()
    for pause in driver.configure():
        clock.advance(pause)
    return driver


def test_construction_touches_nothing(clock: Any) -> None:
    class Untouchable(Memory):
        def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
            raise AssertionError("touched")

    Mpu6050(Mpu6050Config(), I2cLink(Untouchable(), 0x68, "imu", clock.monotonic_ns))


def test_the_set_up_writes_these_bytes(clock: Any) -> None:
    bus = Memory()
    configured(bus, clock, rate=200.0, accel_range=8, gyro_range=2000, bandwidth=94)
    assert bus.writes == [
        (0x6B, 0xC0),  # reset, still asleep
        (0x68, 0x07),  # signal paths reset
        (0x6B, 0x00),  # awake
        (0x6B, 0x01),  # clock from the X gyroscope
        (0x1A, 0x02),  # 94 Hz
        (0x19, 0x01),  # 1 kHz / (1 + 1) = 500 Hz, more than twice 200 Hz
        (0x1C, 0x10),  # ± 8 g
        (0x1B, 0x18),  # ± 2000 °/s
        (0x38, 0x01),  # data ready
    ]


def test_the_published_vector_in_si_units(clock: Any) -> None:
    """4000 E000 1000 FE00 028F FF7D 051E: 1 g, -0.5 g, 0.25 g; 35.024 °C; 5, -1, 10 °/s."""
    bus = Memory()
    driver = configured(bus, clock)
    bus.bytes[0x3A] = 0x01
    bus.bytes[0x3B:0x49] = bytes.fromhex("4000E0001000FE00028FFF7D051E")
    imu = driver.read()
    assert isinstance(imu, Imu)
    assert (imu.accel_x, imu.accel_y, imu.accel_z) == pytest.approx((G, -0.5 * G, 0.25 * G))
    rotation = (imu.gyro_x, imu.gyro_y, imu.gyro_z)
    assert rotation == pytest.approx([math.radians(v) for v in (5, -1, 10)], rel=1e-3)
    assert imu.temperature == pytest.approx(35.024, abs=1e-3)


@pytest.mark.parametrize(("accel", "code", "counts"), [(2, 0, 16384), (16, 3, 2048)])
def test_accelerometer_ranges(clock: Any, accel: Any, code: int, counts: int) -> None:
    bus = Memory()
    driver = configured(bus, clock, accel_range=accel)
    assert bus.bytes[0x1C] == code << 3
    bus.bytes[0x3A] = 0x01
    bus.bytes[0x3B:0x3D] = struct.pack(">h", counts)
    imu = driver.read()
    assert imu is not None
    assert imu.accel_x == pytest.approx(G)


@pytest.mark.parametrize(("gyro", "code", "counts"), [(500, 1, 655), (1000, 2, 328)])
def test_gyroscope_ranges(clock: Any, gyro: Any, code: int, counts: int) -> None:
    bus = Memory()
    driver = configured(bus, clock, gyro_range=gyro)
    assert bus.bytes[0x1B] == code << 3
    bus.bytes[0x3A] = 0x01
    bus.bytes[0x47:0x49] = struct.pack(">h", -counts)
    imu = driver.read()
    assert imu is not None
    assert imu.gyro_z == pytest.approx(math.radians(-10))


def test_without_data_ready_there_is_no_sample(clock: Any) -> None:
    assert configured(Memory(), clock).read() is None


def test_another_identity_is_rejected_naming_both(clock: Any) -> None:
    bus = Memory()
    bus.bytes[0x75] = 0x70
    driver = Mpu6050(Mpu6050Config(), I2cLink(bus, 0x68, "imu", clock.monotonic_ns))
    with pytest.raises(DeviceFault, match="imu on i2c1: .*0x70; an MPU-6050 has 0x68") as info:
        driver.probe()
    assert info.value.kind is FaultKind.REJECTED


def test_a_reset_that_never_ends_is_a_timeout(clock: Any) -> None:
    class Stuck(Memory):
        def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
            data = super().transfer(address, write, read)
            return bytes([0x80]) if write[0] == 0x6B and read else data

    with pytest.raises(DeviceFault, match="reset not finished after 0.1 s") as info:
        configured(Stuck(), clock)
    assert info.value.kind is FaultKind.TIMEOUT


# the twin, seen from the bus with addresses and bytes only ---------------------------------------


class Bench:
    def __init__(self, clock: Any, **options: Any) -> None:
        self.clock = clock
        self.twin = Mpu6050Sim(Mpu6050Config(), Mpu6050SimConfig(**options))
        self.bus = SimI2cBus("i2c1", clock.monotonic_ns, clock.sleep)
        self.bus.attach(self.twin)

    def get(self, register: int, count: int = 1) -> bytes:
        return self.bus.transfer(0x68, bytes((register,)), count)

    def put(self, register: int, value: int) -> None:
        self.bus.transfer(0x68, bytes((register, value)))

    def wake(self) -> None:
        self.put(0x6B, 0x01)
        self.put(0x38, 0x01)

    def sample(self) -> tuple[int, ...]:
        self.clock.advance(0.01)
        return struct.unpack(">7h", self.get(0x3B, 14))


@pytest.fixture
def bench(clock: Any) -> Bench:
    return Bench(clock)


def test_the_twin_comes_up_asleep_with_its_identity(bench: Bench) -> None:
    assert bench.get(0x75) == b"\x68"
    assert bench.get(0x6B) == b"\x40"
    assert bench.sample() == (0,) * 7


def test_asleep_again_it_holds_its_last_sample_and_announces_nothing(bench: Bench) -> None:
    bench.wake()
    last = bench.sample()
    bench.get(0x3A)
    bench.put(0x6B, 0x41)
    assert bench.sample() == last
    assert bench.get(0x3A) == b"\x00"


def test_reading_the_status_clears_it_until_the_next_sample(bench: Bench) -> None:
    bench.wake()
    bench.clock.advance(0.01)
    assert bench.get(0x3A) == b"\x01"
    assert bench.get(0x3A) == b"\x00"


def test_still_and_level_it_feels_one_g_upwards_with_noise_and_bias(bench: Bench) -> None:
    bench.wake()
    samples = [bench.sample() for _ in range(400)]
    mean = [sum(column) / len(column) for column in zip(*samples, strict=True)]
    assert mean[2] == pytest.approx(16384, abs=50)
    assert mean[0] == pytest.approx(0, abs=50)
    assert mean[3] / 340 + 36.53 == pytest.approx(25.0, abs=0.1)
    assert len({sample[2] for sample in samples}) > 10  # noise
    assert any(abs(value) > 5 for value in mean[4:])  # bias of the gyroscope


def test_the_same_seed_gives_the_same_noise(clock: Any) -> None:
    def run(seed: int) -> list[tuple[int, ...]]:
        bench = Bench(clock, seed=seed)
        bench.wake()
        return [bench.sample() for _ in range(20)]

    assert run(5) == run(5)
    assert run(5) != run(6)


@pytest.mark.parametrize(("code", "scale"), [(0, 131.0), (1, 65.5), (2, 32.8), (3, 16.4)])
def test_it_counts_by_its_range_and_saturates_at_it(bench: Bench, code: int, scale: float) -> None:
    bench.wake()
    bench.put(0x1B, code << 3)
    bench.twin.rotation = (math.radians(100), -90.0, 90.0)
    x, y, z = bench.sample()[4:]
    assert x / scale == pytest.approx(100.0, abs=3.0)
    assert (y, z) == (-32768, 32767)


def test_its_samples_come_at_the_divided_rate(bench: Bench) -> None:
    bench.wake()
    bench.put(0x1A, 3)
    bench.put(0x19, 99)  # 1 kHz / 100
    bench.get(0x3A)
    fresh = 0
    for _ in range(1000):
        bench.clock.advance(0.001)
        fresh += bench.get(0x3A)[0]
    assert fresh == pytest.approx(10, abs=1)


def test_a_reset_bit_clears_itself_and_forgets_everything(bench: Bench) -> None:
    bench.put(0x1C, 0x18)
    bench.put(0x6B, 0x81)
    assert bench.get(0x6B) == b"\x40"
    assert bench.get(0x1C) == b"\x00"


@pytest.mark.parametrize("value", [0x07, 0x38])
def test_both_known_spellings_of_the_path_reset_are_taken(bench: Bench, value: int) -> None:
    bench.put(0x68, value)
    assert bench.get(0x68)[0] & 0x07 == 0


def test_measurements_and_identity_cannot_be_written(bench: Bench) -> None:
    bench.put(0x75, 0x00)
    bench.put(0x3B, 0x55)
    assert bench.get(0x75) == b"\x68"
    assert bench.get(0x3B) == b"\x00"


def test_it_plays_a_recording_count_for_count(clock: Any, tmp_path: Path) -> None:
    file = tmp_path / "turn.csv"
    file.write_text("t,gx,gy,gz,ax,ay,az\n0,10,-20,30,0,0.5,1\n1,0,0,0,1,0,0\n2,0,0,0,1,0,0\n")
    bench = Bench(clock, play=file)
    bench.wake()
    assert bench.sample()[4:] == (1310, -2620, 3930)
    assert bench.sample()[:3] == (0, 8192, 16384)
    clock.advance(1.0)
    assert bench.sample()[:3] == (16384, 0, 0)


def test_driver_and_twin_agree_in_every_combination_of_ranges(clock: Any) -> None:
    for accel in (2, 4, 8, 16):
        for gyro in (250, 500, 1000, 2000):
            bench = Bench(clock, accel_noise=0, gyro_noise=0, gyro_bias=0)
            bench.twin.acceleration = (0.7 * G, -1.5 * G, 0.1 * G)
            driver = configured(bench.bus, clock, accel_range=accel, gyro_range=gyro)
            clock.advance(0.02)
            imu = driver.read()
            assert imu is not None
            found = [imu.accel_x, imu.accel_y, imu.accel_z]
            assert found == pytest.approx([0.7 * G, -1.5 * G, 0.1 * G], abs=G / 2000)
            bench.twin.rotation = tuple(math.radians(v) for v in (200, -3, 0.5))
            clock.advance(0.02)
            imu = driver.read()
            assert imu is not None
            turn = [imu.gyro_x, imu.gyro_y, imu.gyro_z]
            assert turn == pytest.approx([math.radians(v) for v in (200, -3, 0.5)], abs=0.001)


def test_what_is_set_from_outside_is_in_si_units_and_ends_a_recording(
    clock: Any, tmp_path: Path
) -> None:
    file = tmp_path / "turn.csv"
    file.write_text("t,gx,gy,gz,ax,ay,az\n0,10,-20,30,0,0.5,1\n1,0,0,0,1,0,0\n")
    bench = Bench(clock, play=file, gyro_noise=0, accel_noise=0)
    driver = configured(bench.bus, clock)
    bench.twin.stimulate("rotation", [0.0, 0.0, 1.5])
    bench.twin.stimulate("temperature", [40.0])
    clock.advance(0.02)
    imu = driver.read()
    assert imu is not None
    assert (imu.gyro_x, imu.gyro_y, imu.gyro_z) == pytest.approx((0, 0, 1.5), abs=2e-3)
    assert (imu.accel_x, imu.accel_y, imu.accel_z) == pytest.approx((0, 0, G), abs=1e-3)
    assert imu.temperature == pytest.approx(40.0, abs=0.5)


def test_gravity_turns_with_the_body(clock: Any) -> None:
    bench = Bench(clock, gyro_noise=0, accel_noise=0, gyro_bias=0)
    driver = configured(bench.bus, clock)
    bench.get(0x75)
    bench.twin.stimulate("rotation", [math.pi / 2, 0.0, 0.0])  # the left side rises
    for _ in range(100):
        clock.advance(0.01)
        imu = driver.read()
    assert imu is not None
    assert (imu.accel_x, imu.accel_y, imu.accel_z) == pytest.approx((0, G, 0), abs=0.01)
    bench.twin.stimulate("rotation", [0.0, 0.0, 0.0])
    bench.twin.stimulate("acceleration", [1.0, 2.0, 3.0])
    clock.advance(0.01)
    imu = driver.read()
    assert imu is not None
    assert (imu.accel_x, imu.accel_y, imu.accel_z) == pytest.approx((1, 2, 3), abs=0.01)
