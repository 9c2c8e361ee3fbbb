"""BME280 and BMP280: Bosch's worked example and integer formula, and how the twins behave."""

import math
import struct
from typing import Any

import pytest
from horus_drivers.env._compensation import compensate_humidity
from horus_drivers.env.bme280 import Bme280, Bme280Config, Bme280Sim
from horus_drivers.env.bmp280 import Bmp280, Bmp280Config, Bmp280Sim

from horus.hal import DeviceFault, FaultKind, I2cBus, I2cLink, SimI2cBus
from horus.msgs import Environment

#: dig_T1..T3 and dig_P1..P9 of the data sheet's example, little-endian from 0x88.
TRIM = bytes.fromhex("706B 4367 18FC 7D8E 43D6 D00B 270B 8C00 F9FF 8C3C F8C6 7017")
#: adc_P 415148 and adc_T 519888, 20 bits each, left-aligned in 3 bytes.
EXAMPLE = bytes.fromhex("655AC0 7EED00")


class Chip(I2cBus):
    """A bus of plain bytes, which knows nothing of the driver's map."""

    name = "i2c1"

    def __init__(self, identity: int) -> None:
        self.bytes = bytearray(256)
        self.bytes[0xD0] = identity
        self.bytes[0x88:0xA0] = TRIM
        self.bytes[0xA1] = 75  # H1
        self.bytes[0xE1:0xE8] = bytes.fromhex("6301 00 14 2D 03 1E")  # H2 355, H4 333, H5 50
        self.writes: list[tuple[int, ...]] = []

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        assert address == 0x76
        if len(write) > 1:
            self.writes.append(tuple(write))
            if write[0] != 0xE0:
                self.bytes[write[0]] = write[1]
        return bytes(self.bytes[write[0] : write[0] + read])

    def close(self) -> None:
        pass


def made(bus: I2cBus, clock: Any, kind: Any = Bme280, **options: Any) -> Any:
    config = kind.config_type(**options)
    return kind(config, I2cLink(bus, 0x76, "air", clock.monotonic_ns))


def configured(bus: I2cBus, clock: Any, kind: Any = Bme280, **options: Any) -> Any:
    driver = made(bus, clock, kind, **options)
    assert driver.probe()
    for pause in driver.configure():
        clock.advance(pause)
    return driver


def test_the_set_up_of_a_bme280_writes_these_bytes(clock: Any) -> None:
    bus = Chip(0x60)
    configured(
        bus, clock, rate=10.0, temperature_samples=1, pressure_samples=16, humidity_samples=2
    )
    assert bus.writes == [
        (0xE0, 0xB6),  # reset
        (0xF5, 0x00),  # pause 0.5 ms: with 62.5 ms it would be slower than twice 10 Hz
        (0xF2, 0x02),  # humidity × 2, in force with the next write
        (0xF4, 0x37),  # temperature × 1, pressure × 16, normal mode
    ]


def test_the_set_up_of_a_bmp280_writes_these_bytes(clock: Any) -> None:
    bus = Chip(0x58)
    configured(bus, clock, Bmp280, rate=1.0, filter=4)
    assert bus.writes == [
        (0xE0, 0xB6),
        (0xF5, 0x68),  # pause 250 ms, filter 4
        (0xF4, 0x4F),  # temperature × 2, pressure × 4, normal mode
    ]


def test_the_pauses_of_both_chips_differ(clock: Any) -> None:
    bme, bmp = Chip(0x60), Chip(0x58)
    configured(bme, clock, Bme280, rate=0.1)
    configured(bmp, clock, Bmp280, rate=0.1)
    assert bme.bytes[0xF5] >> 5 == 5  # 1 s
    assert bmp.bytes[0xF5] >> 5 == 7  # 4 s


@pytest.mark.parametrize("kind", [Bme280, Bmp280])
def test_the_worked_example_of_the_data_sheet(clock: Any, kind: Any) -> None:
    bus = Chip(0x60 if kind is Bme280 else 0x58)
    driver = configured(bus, clock, kind, frame="mast")
    bus.bytes[0xF7:0xFD] = EXAMPLE
    bus.bytes[0xFD:0xFF] = b"\x80\x00"
    found = driver.read()
    assert isinstance(found, Environment)
    assert found.temperature == pytest.approx(25.0825, abs=1e-4)
    assert found.pressure == pytest.approx(100_653.26, abs=0.02)
    assert found.frame == "mast"
    assert math.isnan(found.humidity) == (kind is Bmp280)


def whole_numbers(raw: int, fine: int, h: tuple[int, ...]) -> float:
    """Return the relative humidity by Bosch's 32-bit formula (data sheet 4.2.3)."""
    v = fine - 76800
    first = ((raw << 14) - (h[3] << 20) - h[4] * v + 16384) >> 15
    second = ((((v * h[5]) >> 10) * (((v * h[2]) >> 11) + 32768)) >> 10) + 2097152
    v = first * ((second * h[1] + 8192) >> 14)
    v -= ((((v >> 15) * (v >> 15)) >> 7) * h[0]) >> 4
    return (min(max(v, 0), 419430400) >> 12) / 1024 / 100


@pytest.mark.parametrize("raw", [0x5000, 0x6800, 0x7333, 0x8000, 0x9000, 0xFFFF])
@pytest.mark.parametrize("fine", [0, 128_422, 300_000])
def test_humidity_agrees_with_the_formula_in_whole_numbers(raw: int, fine: int) -> None:
    trim = (75, 355, 0, 333, 50, 30)
    found = compensate_humidity(raw, fine, trim)
    assert found == pytest.approx(whole_numbers(raw, fine, trim), abs=2e-4)


def test_the_humidity_calibration_is_taken_apart_as_the_data_sheet_says(clock: Any) -> None:
    bus = Chip(0x60)
    driver = configured(bus, clock)
    assert driver.trim[12:] == (75, 355, 0, 333, 50, 30)
    bus.bytes[0xE4:0xE7] = bytes.fromhex("F0 57 FE")
    assert made(bus, clock).trimming()[15:17] == (-16 * 16 + 7, -2 * 16 + 5)


@pytest.mark.parametrize(
    ("kind", "found", "text"),
    [
        (Bme280, 0x58, "identity 0x58; a BME280 has 0x60: is it a BMP280 .0x58"),
        (Bmp280, 0x60, "identity 0x60; a BMP280 has 0x58"),
        (Bme280, 0x61, "identity 0x61; a BME280 has 0x60"),
    ],
)
def test_another_identity_is_rejected_naming_both(
    clock: Any, kind: Any, found: int, text: str
) -> None:
    with pytest.raises(DeviceFault, match=f"air on i2c1: .*{text}") as info:
        made(Chip(found), clock, kind).probe()
    assert info.value.kind is FaultKind.REJECTED


def test_chips_are_told_apart_by_their_calibration(clock: Any) -> None:
    one, other = Chip(0x60), Chip(0x60)
    other.bytes[0x8A] ^= 1
    assert made(one, clock).identity() == made(Chip(0x60), clock).identity() != ""
    assert made(one, clock).identity() != made(other, clock).identity()


def test_calibration_that_differs_when_read_again_is_not_used(clock: Any) -> None:
    class Flipping(Chip):
        reads = 0

        def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
            data = bytearray(super().transfer(address, write, read))
            if write[0] == 0x88:
                self.reads += 1
                data[4] ^= 0x40 if self.reads == 2 else 0
            return bytes(data)

    with pytest.raises(DeviceFault, match="calibration read twice differs") as info:
        configured(Flipping(0x60), clock)
    assert info.value.kind is FaultKind.CORRUPT


def test_a_rate_that_the_measuring_time_does_not_allow_is_refused() -> None:
    with pytest.raises(ValueError, match="rate is too high: a measurement takes up to 43.8 ms"):
        Bme280Config(rate=50.0, pressure_samples=16, temperature_samples=1)
    Bmp280Config(rate=100.0, pressure_samples=1, temperature_samples=1)


def test_before_the_first_measurement_there_is_no_sample(clock: Any) -> None:
    bus = Chip(0x60)
    driver = configured(bus, clock)
    bus.bytes[0xF7:0xFD] = bytes.fromhex("800000800000")
    assert driver.read() is None


def test_a_chip_that_was_restarted_is_a_fault_and_no_sample(clock: Any) -> None:
    bus = Chip(0x60)
    driver = configured(bus, clock)
    bus.bytes[0xF7:0xFD] = EXAMPLE
    bus.bytes[0xF4] = 0x00
    with pytest.raises(DeviceFault, match="read 0x00 0xE0 and not 0x4F 0xE0: was it restarted"):
        driver.read()


@pytest.mark.parametrize("data", ["655AC0 FFFFF0", "FFFFF0 7EED00", "000000 7EED00"])
def test_what_cannot_be_is_corrupt(clock: Any, data: str) -> None:
    bus = Chip(0x60)
    driver = configured(bus, clock)
    bus.bytes[0xF7:0xFD] = bytes.fromhex(data)
    with pytest.raises(DeviceFault, match="°C and .* Pa cannot be") as info:
        driver.read()
    assert info.value.kind is FaultKind.CORRUPT


# the twins, seen from the bus with addresses and bytes only ---------------------------------------


class Bench:
    def __init__(self, clock: Any, kind: Any = Bme280Sim) -> None:
        self.clock = clock
        config = Bme280Config() if kind is Bme280Sim else Bmp280Config()
        self.twin = kind(config)
        self.bus = SimI2cBus("i2c1", clock.monotonic_ns, clock.sleep)
        self.bus.attach(self.twin)
        self.get(0xD0)
        clock.advance(0.01)  # its calibration is loaded

    def get(self, register: int, count: int = 1) -> bytes:
        return self.bus.transfer(0x76, bytes((register,)), count)

    def put(self, *values: int) -> None:
        self.bus.transfer(0x76, bytes(values))


@pytest.fixture
def bench(clock: Any) -> Bench:
    return Bench(clock)


def test_the_twins_come_up_asleep_with_identity_and_reset_values(clock: Any) -> None:
    for kind, identity in ((Bme280Sim, 0x60), (Bmp280Sim, 0x58)):
        bench = Bench(clock, kind)
        assert bench.get(0xD0) == bytes((identity,))
        assert bench.get(0xF4) == b"\x00"
        assert bench.get(0xF7, 6) == bytes.fromhex("800000800000")
        assert bench.get(0x88, 24) == TRIM
        clock.advance(1.0)
        assert bench.get(0xF7, 6) == bytes.fromhex("800000800000")


def test_after_a_reset_the_calibration_is_being_loaded_for_two_milliseconds(bench: Bench) -> None:
    bench.put(0xF4, 0x27)
    bench.put(0xE0, 0xB6)
    assert bench.get(0xF3) == b"\x01"
    assert bench.get(0xF4) == b"\x00"
    bench.clock.advance(0.003)
    assert bench.get(0xF3) == b"\x00"


def test_forced_it_measures_once_and_sleeps_again(bench: Bench) -> None:
    bench.put(0xF2, 0x01)
    bench.put(0xF4, 0x25)
    assert bench.get(0xF3) == b"\x08"
    assert bench.get(0xF4) == b"\x25"
    bench.clock.advance(0.0075)
    assert bench.get(0xF3) == b"\x08"  # 1 + 3 × 2 + 2 × 0.5 = 8 ms
    bench.clock.advance(0.001)
    assert bench.get(0xF3) == b"\x00"
    assert bench.get(0xF4) == b"\x24"
    first = bench.get(0xF7, 8)
    assert first[:3] != b"\x80\x00\x00"
    bench.clock.advance(1.0)
    assert bench.get(0xF7, 8) == first


def test_in_normal_mode_it_measures_again_and_again_and_says_when(bench: Bench) -> None:
    bench.put(0xF5, 0x20)  # pause 62.5 ms
    bench.put(0xF2, 0x01)
    bench.put(0xF4, 0x27)
    seen, busy = set(), 0
    for _ in range(7050):
        bench.clock.advance(0.0001)
        seen.add(bench.get(0xF7, 8))
        busy += bench.get(0xF3)[0] == 8
    assert len(seen) == 11  # the reset value, and one each 70.5 ms
    assert busy / 7050 == pytest.approx(8 / 70.5, rel=0.05)


def test_humidity_set_up_late_is_in_force_with_the_next_control(bench: Bench) -> None:
    bench.put(0xF4, 0x27)
    bench.put(0xF2, 0x01)
    bench.clock.advance(0.1)
    assert bench.get(0xFD, 2) == b"\x80\x00"
    bench.put(0xF4, 0x27)
    bench.clock.advance(0.1)
    assert bench.get(0xFD, 2) != b"\x80\x00"


def test_in_normal_mode_its_configuration_cannot_be_changed(bench: Bench) -> None:
    bench.put(0xF4, 0x27)
    bench.put(0xF5, 0x10)
    assert bench.get(0xF5) == b"\x00"


def test_writes_are_pairs_of_register_and_value(bench: Bench) -> None:
    bench.put(0xF2, 0x03, 0xF5, 0x0C, 0xF4, 0x24)
    assert bench.get(0xF2, 4) == bytes.fromhex("03 00 24 0C")


def test_results_identity_and_calibration_cannot_be_written(bench: Bench) -> None:
    for register in (0xD0, 0xF7, 0x88, 0xA1, 0xE1):
        before = bench.get(register)
        bench.put(register, before[0] ^ 0xFF)
        assert bench.get(register) == before


def test_the_twin_filters_as_configured(bench: Bench) -> None:
    def pressure() -> int:
        high, middle, low = struct.unpack(">3B", bench.get(0xF7, 3))
        return high << 12 | middle << 4 | low >> 4

    bench.put(0xF5, 0x10)  # filter 16, pause 0.5 ms
    bench.put(0xF4, 0x27)
    bench.clock.advance(0.1)
    start = pressure()
    bench.twin.pressure = 90_000.0
    bench.clock.advance(0.0066)
    soon = pressure()
    bench.clock.advance(2.0)
    end = pressure()
    assert soon - start == pytest.approx((end - start) / 16, rel=0.1)


@pytest.mark.parametrize("kind", [Bme280, Bmp280])
def test_driver_and_twin_agree_over_the_whole_range(clock: Any, kind: Any) -> None:
    bench = Bench(clock, kind.twin)
    driver = configured(bench.bus, clock, kind, temperature_samples=16)
    for warm, force, damp in ((-40, 30_000, 0.0), (0, 70_000, 0.3), (60, 110_000, 1.0)):
        bench.twin.temperature, bench.twin.pressure = float(warm), float(force)
        if kind is Bme280:
            bench.twin.humidity = damp
        for _ in range(100):  # until its housing has followed
            clock.advance(0.1)
            found = driver.read()
        assert found.temperature == pytest.approx(warm, abs=0.02)
        assert found.pressure == pytest.approx(force, abs=6.0)
        if kind is Bme280:
            assert found.humidity == pytest.approx(damp, abs=0.002)


def test_its_housing_follows_the_air_slowly(clock: Any) -> None:
    bench = Bench(clock)
    driver = configured(bench.bus, clock)
    bench.twin.temperature = 35.0
    for _ in range(10):
        clock.advance(0.1)
        found = driver.read()
    assert found.temperature == pytest.approx(35 - 10 / math.e, abs=0.2)
