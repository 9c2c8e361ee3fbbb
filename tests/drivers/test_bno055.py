"""BNO055: bytes of the datasheet, counted by hand, and the behaviour of the twin."""

import math
import struct
from typing import Any

import pytest
from horus_drivers.imu.bno055 import (
    Bno055,
    Bno055Calibration,
    Bno055Config,
    Bno055Sim,
    Bno055SimConfig,
)

from horus.hal import DeviceFault, FaultKind, I2cBus, I2cLink, SimI2cBus

OFFSETS = bytes.fromhex("0100 FEFF 0300 0400 FBFF 0600 0700 F8FF 0900 E803 5802")


class Memory(I2cBus):
    """Two pages of plain bytes behind 0x07, which know nothing of the driver's map."""

    name = "i2c1"

    def __init__(self) -> None:
        self.pages = [bytearray(256), bytearray(256)]
        self.page = 0
        self.pages[0][0x00] = 0xA0
        self.pages[0][0x39] = 5
        self.pages[1][0x50:0x60] = bytes(range(16))
        self.writes: list[tuple[int, bytes]] = []

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        assert address == 0x28
        if write[0] == 0x07 and len(write) > 1:
            self.page = write[1]
        elif len(write) > 1:
            self.writes.append((write[0], write[1:]))
            self.pages[self.page][write[0] : write[0] + len(write) - 1] = write[1:]
        if write[0] == 0x07:
            return bytes((self.page,) * read)
        return bytes(self.pages[self.page][write[0] : write[0] + read])

    def close(self) -> None:
        pass


def made(bus: I2cBus, clock: Any, **options: Any) -> Bno055:
    driver = Bno055(Bno055Config(**options), I2cLink(bus, 0x28, "imu", clock.monotonic_ns))
    assert driver.probe()
    return driver


def run(steps: Any, clock: Any) -> Any:
    while True:
        try:
            clock.advance(next(steps))
        except StopIteration as end:
            return end.value


def configured(bus: I2cBus, clock: Any, **options: Any) -> Bno055:
    driver = made(bus, clock, **options)
    run(driver.configure(), clock)
    return driver


def test_the_set_up_writes_these_bytes(clock: Any) -> None:
    bus = Memory()
    configured(bus, clock, crystal=True)
    assert bus.writes == [
        (0x3D, b"\x00"),  # CONFIG
        (0x3F, b"\x20"),  # reset
        (0x3E, b"\x00"),  # normal power
        (0x3F, b"\x80"),  # external crystal
        (0x3B, b"\x80"),  # m/s², °/s, °C
        (0x3D, b"\x0c"),  # NDOF
    ]


def test_a_reset_that_is_not_acknowledged_is_none_the_less_one(clock: Any) -> None:
    class Shy(Memory):
        def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
            if write == b"\x3f\x20":
                raise DeviceFault(FaultKind.NO_ACK, "gone")
            return super().transfer(address, write, read)

    bus = Shy()
    configured(bus, clock, mode="imu")
    assert bus.writes[-1] == (0x3D, b"\x08")


def show(bus: Memory, status: int = 5, error: int = 0, mode: int = 0x0C) -> None:
    """1, -2, 9.8 m/s²; 20, -5, -40 µT; 90, -45, 10 °/s; a quarter turn to the left; 33 °C."""
    bus.pages[0][0x08:0x20] = struct.pack(
        "<12h", 100, -200, 980, 320, -80, -640, 1440, -720, 160, 4320, 0, 0
    )
    bus.pages[0][0x20:0x34] = struct.pack("<10h", 11585, 0, 0, 11585, 0, 0, 0, 0, 0, 980)
    bus.pages[0][0x34:0x3E] = bytes((33, 0xFF, 0x0F, 0, 0, status, error, 0x80, 0, mode))


def test_a_sample_in_si_units(clock: Any) -> None:
    bus = Memory()
    driver = configured(bus, clock)
    show(bus)
    imu = driver.read()
    assert imu is not None
    assert (imu.accel_x, imu.accel_y, imu.accel_z) == pytest.approx((1.0, -2.0, 9.8))
    rotation = (imu.gyro_x, imu.gyro_y, imu.gyro_z)
    assert rotation == pytest.approx([math.radians(v) for v in (90, -45, 10)])
    assert imu.orientation == pytest.approx((0, 0, math.sqrt(0.5), math.sqrt(0.5)), abs=1e-4)
    assert imu.temperature == 33.0
    field = driver.magnetic()
    assert field is not None
    assert (field.x, field.y, field.z) == pytest.approx((20e-6, -5e-6, -40e-6))
    assert driver.magnetic() is None
    assert driver.read() is None  # the same once more is nothing new
    assert driver.calibration_status() == {
        "magnetometer": 3,
        "accelerometer": 3,
        "gyroscope": 3,
        "system": 3,
    }


def test_calibration_status_by_part(clock: Any) -> None:
    bus = Memory()
    bus.pages[0][0x35] = 0b01_10_11_00
    assert list(made(bus, clock).calibration_status().values()) == [0, 3, 2, 1]


def test_without_the_magnetometer_there_is_no_field(clock: Any) -> None:
    bus = Memory()
    driver = configured(bus, clock, mode="imu")
    show(bus, mode=0x08)
    assert driver.read() is not None
    assert driver.magnetic() is None


def test_before_the_fusion_runs_there_is_no_sample(clock: Any) -> None:
    bus = Memory()
    driver = configured(bus, clock)
    show(bus, status=4)
    assert driver.read() is None
    show(bus)
    bus.pages[0][0x20:0x28] = bytes(8)  # no attitude yet
    assert driver.read() is None


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        ({"mode": 0x00}, FaultKind.CORRUPT, "mode and units read 0x00 0x80 and not 0x0C 0x80: was"),
        ({"status": 1, "error": 3}, FaultKind.OTHER, "system error 3"),
    ],
)
def test_a_chip_that_is_not_as_it_was_set_up_is_a_fault(
    clock: Any, change: dict[str, int], kind: FaultKind, text: str
) -> None:
    bus = Memory()
    driver = configured(bus, clock)
    show(bus, **change)
    with pytest.raises(DeviceFault, match=text) as caught:
        driver.read()
    assert caught.value.kind is kind


def test_another_chip_is_refused_naming_both(clock: Any) -> None:
    bus = Memory()
    bus.pages[0][0x00] = 0xEE
    driver = Bno055(Bno055Config(), I2cLink(bus, 0x28, "imu", clock.monotonic_ns))
    with pytest.raises(DeviceFault, match="identity 0xEE; a BNO055 has 0xA0") as caught:
        driver.probe()
    assert caught.value.kind is FaultKind.REJECTED
    assert bus.writes == []


def test_its_identity_is_the_number_on_the_second_page(clock: Any) -> None:
    bus = Memory()
    driver = made(bus, clock)
    assert driver.identity() == "000102030405060708090a0b0c0d0e0f"
    assert driver.probe()
    assert bus.page == 0


def test_offsets_are_saved_in_config_mode_and_given_back_at_the_next_start(clock: Any) -> None:
    bus = Memory()
    driver = configured(bus, clock)
    bus.pages[0][0x55:0x6B] = OFFSETS
    bus.writes.clear()
    before = driver.calibration
    saved = run(driver.save_offsets(), clock)
    assert bus.writes == [(0x3D, b"\x00"), (0x3D, b"\x0c")]
    assert driver.calibration is not before
    assert saved["accel_y"] == -2
    assert saved["magnetic_radius"] == 600

    second = made(Memory(), clock)
    second.calibration = driver.calibration
    run(second.configure(), clock)
    assert (0x55, OFFSETS) in second.link.bus.writes  # type: ignore[attr-defined]
    second.link.bus.writes.clear()  # type: ignore[attr-defined]
    assert run(second.restore_offsets(), clock) == saved
    assert second.link.bus.writes[1] == (0x55, OFFSETS)  # type: ignore[attr-defined]


def test_while_a_command_has_it_in_config_mode_it_gives_no_sample(clock: Any) -> None:
    bus = Memory()
    driver = configured(bus, clock)
    show(bus)
    steps = driver.save_offsets()
    next(steps)
    assert driver.read() is None
    steps.close()
    show(bus)
    assert driver.read() is not None


# the twin -----------------------------------------------------------------------------------------


class Bench:
    def __init__(self, clock: Any, **options: Any) -> None:
        self.clock = clock
        self.twin = Bno055Sim(Bno055Config(), Bno055SimConfig(**options))
        self.bus = SimI2cBus("i2c1", clock.monotonic_ns, clock.sleep)
        self.bus.attach(self.twin)

    def get(self, register: int, count: int = 1) -> bytes:
        return self.bus.transfer(0x28, bytes((register,)), count)

    def put(self, *values: int) -> None:
        self.bus.transfer(0x28, bytes(values))


@pytest.fixture
def bench(clock: Any) -> Bench:
    return Bench(clock)


def test_the_twin_comes_up_in_config_mode_and_measures_nothing(bench: Bench) -> None:
    bench.clock.advance(1.0)
    assert bench.get(0x00, 8) == bytes.fromhex("A0FB320F11031500")
    assert bench.get(0x3D) == b"\x00"
    assert bench.get(0x08, 44) == bytes(44)


def test_each_page_has_registers_of_its_own(bench: Bench) -> None:
    bench.put(0x07, 1)
    assert bench.get(0x07, 4) == b"\x01\x0d\x6d\x38"
    bench.put(0x08, 0x0F)
    bench.put(0x07, 0)
    assert bench.get(0x08) == b"\x00"
    assert bench.twin.map.accel_config == 0x0F


def test_settings_can_be_written_in_config_mode_alone(bench: Bench) -> None:
    bench.put(0x55, *OFFSETS)
    assert bench.get(0x55, 22) == OFFSETS
    bench.put(0x3D, 0x0C)
    bench.put(0x55, 0x77)
    bench.put(0x3D, 0x08)  # from mode to mode there is no way
    assert (bench.get(0x55), bench.get(0x3D)) == (b"\x01", b"\x0c")


def test_for_a_while_after_a_reset_it_does_not_answer(bench: Bench) -> None:
    bench.put(0x3D, 0x0C)
    bench.put(0x3F, 0x20)
    bench.clock.advance(0.3)
    with pytest.raises(DeviceFault, match="nothing answers"):
        bench.get(0x00)
    bench.clock.advance(0.4)
    assert bench.get(0x3D) == b"\x00"


def test_it_calibrates_itself_in_time_or_at_once_from_offsets(clock: Any) -> None:
    slow, fast = Bench(clock, calibrating=8.0), Bench(clock)
    fast.put(0x55, *OFFSETS)
    for bench in (slow, fast):
        bench.put(0x3D, 0x0C)
    clock.advance(0.1)
    assert (slow.get(0x35), fast.get(0x35)) == (b"\x00", b"\xff")
    clock.advance(2.0)
    assert slow.get(0x35) == b"\x30"  # the gyroscope first
    clock.advance(8.0)
    assert slow.get(0x35) == b"\xff"
    assert slow.get(0x55, 22) == struct.pack("<11h", *slow.twin.own)
    assert fast.get(0x55, 22) == OFFSETS


def test_attitude_gravity_and_acceleration_belong_together(clock: Any) -> None:
    bench = Bench(clock)
    driver = configured(bench.bus, clock)
    clock.advance(1.5)
    driver.read()
    bench.twin.stimulate("rotation", [math.pi / 4, 0.0, 0.0])
    clock.advance(1.0)
    imu = driver.read()
    assert imu is not None
    assert imu.orientation == pytest.approx(
        (math.sin(math.pi / 8), 0, 0, math.cos(math.pi / 8)), abs=0.01
    )
    half = 9.80665 * math.sqrt(0.5)
    assert (imu.accel_x, imu.accel_y, imu.accel_z) == pytest.approx((0, half, half), abs=0.2)
    gravity = struct.unpack("<3h", bench.get(0x2E, 6))
    assert [part / 100 for part in gravity] == pytest.approx((0, half, half), abs=0.05)


def test_the_offsets_survive_a_power_cut_by_way_of_the_driver(clock: Any) -> None:
    bench = Bench(clock)
    driver = configured(bench.bus, clock)
    clock.advance(10.0)
    assert set(driver.calibration_status().values()) == {3}
    run(driver.save_offsets(), clock)
    assert driver.calibration == Bno055Calibration(
        **dict(zip(Bno055Calibration.__dataclass_fields__, bench.twin.own, strict=True))
    )
    bench.twin.unplug()
    bench.twin.plug()
    clock.advance(1.0)
    run(driver.configure(), clock)
    clock.advance(0.1)
    assert set(driver.calibration_status().values()) == {3}
