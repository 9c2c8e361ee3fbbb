"""VL53L0X: bytes of ST's start-up and results by hand, and the behaviour of the twin."""

import math
from typing import Any

import pytest
from horus_drivers.range._vl53l0x_api import decode_timeout, encode_timeout
from horus_drivers.range.vl53l0x import Vl53l0x, Vl53l0xConfig, Vl53l0xSim, Vl53l0xSimConfig

from horus.hal import DeviceFault, FaultKind, I2cBus, I2cLink, SimI2cBus
from horus.msgs import RangeKind, RangeSensor


class Chip(I2cBus):
    """A bus of paged bytes, which knows nothing of the driver's map; it is ready at once."""

    name = "i2c1"

    def __init__(self, spad_info: int = 0x03, good: str = "FFFFFFFFFFFF") -> None:
        self.pages = {page: bytearray(256) for page in range(8)}
        self.page = 0
        self.pages[0][0xC0:0xC3] = bytes.fromhex("EEAA10")
        self.pages[0][0xB0:0xB6] = bytes.fromhex(good)
        self.pages[0][0x13] = 0x04
        self.pages[1][0x91] = 0x3C
        self.pages[7][0x92] = spad_info
        self.spads_known = True
        self.writes: list[str] = []

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        assert address == 0x29
        if len(write) > 1:
            self.writes.append(write.hex())
            if write[0] == 0xFF:
                self.page = write[1]
            else:
                self.pages[self.page][write[0] : write[0] + len(write) - 1] = write[1:]
        if (self.page, write[0]) == (7, 0x83) and read:
            return b"\x10" if self.spads_known else b"\x00"
        return bytes(self.pages[self.page][write[0] : write[0] + read])

    def close(self) -> None:
        pass

    def result(self, status: str, millimetres: str) -> None:
        self.pages[0][0x14:0x20] = bytes.fromhex(f"{status} 00 0500 0000 0100 0003 {millimetres}")


def made(bus: I2cBus, clock: Any, **options: Any) -> Vl53l0x:
    return Vl53l0x(Vl53l0xConfig(**options), I2cLink(bus, 0x29, "nose", clock.monotonic_ns))


def configured(bus: I2cBus, clock: Any, **options: Any) -> Vl53l0x:
    driver = made(bus, clock, **options)
    assert driver.probe()
    for pause in driver.configure():
        clock.advance(pause + 0.0001)
    return driver


def test_the_start_up_begins_and_ends_with_these_bytes(clock: Any) -> None:
    bus = Chip()
    configured(bus, clock, rate=27.2727272727)  # 33 ms
    begin = "ff00 8000 0001 8901 8800 8001 ff01 0000 0001 ff00 8000 6012 440020 01ff"
    assert bus.writes[:14] == begin.split()
    spads = "8001 ff01 0000 ff06 8304 ff07 8101 8001 946b 8300 8301 8100 ff06 8300 ff01 0001"
    assert bus.writes[14:30] == spads.split()
    # final range: (33000 - 17067) µs / 38.131 µs + 151 = 569 macro periods = (142 << 2) + 1
    end = (
        "0a04 8400 0b01 01e8 71028e "
        "0101 0041 0b01 0000 0102 0001 0b01 0000 01e8 "  # reference voltage, phase
        "8001 ff01 0000 913c 0001 ff00 8000 0002"  # the stop variable back, then continuous
    )
    assert bus.writes[-22:] == end.split()


@pytest.mark.parametrize(
    ("info", "good", "enabled"),
    [
        (0x03, "FFFFFFFFFFFF", "070000000000"),
        (0x03, "FAFFFFFFFFFF", "1a0000000000"),  # 1, 3 and 4 are the first good ones
        (0x85, "FFFFFFFFFFFF", "00f001000000"),  # behind apertures: from 12 on
        (0x85, "FF1FFEFFFFFF", "0010 1e000000"),
    ],
)
def test_good_reference_spads_are_enabled(clock: Any, info: int, good: str, enabled: str) -> None:
    bus = Chip(info, good)
    configured(bus, clock)
    assert bus.pages[0][0xB0:0xB6] == bytes.fromhex(enabled)
    assert bus.pages[0][0xB6] == 0xB4
    assert bus.pages[1][0x4E] == 0x2C


@pytest.mark.parametrize(
    ("word", "periods"),
    [(0x0000, 1), (0x0096, 151), (0x028E, 569), (0x01FE, 509), (0x0AFF, 261121)],
)
def test_time_outs_are_a_mantissa_and_an_exponent(word: int, periods: int) -> None:
    assert decode_timeout(word) == periods
    assert encode_timeout(periods) == word


def test_boards_at_1_8_volts_are_left_alone(clock: Any) -> None:
    bus = Chip()
    configured(bus, clock, io_2v8=False)
    assert bus.pages[0][0x89] == 0x00


@pytest.mark.parametrize(
    ("status", "millimetres", "metres"),
    [
        ("58", "01F4", 0.5),
        ("5B", "0000", 0.0),
        ("58", "1FFE", math.inf),
        ("20", "1FFF", math.inf),  # no target
        ("30", "0123", math.inf),  # phase: beyond the unambiguous range
        ("48", "0123", math.inf),
        ("40", "0000", -math.inf),  # too near
        ("50", "0000", -math.inf),
    ],
)
def test_results_by_hand(clock: Any, status: str, millimetres: str, metres: float) -> None:
    bus = Chip()
    driver = configured(bus, clock, frame="nose_link")
    bus.result(status, millimetres)
    found = driver.read()
    assert isinstance(found, RangeSensor)
    assert found.range == metres
    assert (found.min_range, found.max_range) == (0.03, 2.0)
    assert found.field_of_view == pytest.approx(0.436, abs=0.001)
    assert (found.kind, found.frame) == (RangeKind.LASER, "nose_link")
    assert bus.writes[-1] == "0b01"


@pytest.mark.parametrize("status", ["00", "28", "38", "60", "68", "70"])
def test_other_results_are_invalid(clock: Any, status: str) -> None:
    bus = Chip()
    driver = configured(bus, clock)
    bus.result(status, "0123")
    found = driver.read()
    assert found is not None
    assert math.isnan(found.range)


@pytest.mark.parametrize(("status", "text"), [("08", "VCSEL continuity"), ("10", "VCSEL watchdog")])
def test_a_failure_of_the_chip_is_a_fault(clock: Any, status: str, text: str) -> None:
    bus = Chip()
    driver = configured(bus, clock)
    bus.result(status, "0123")
    with pytest.raises(DeviceFault, match=f"nose on i2c1: it reports a failure: .*{text}"):
        driver.read()


def test_without_a_new_result_there_is_no_sample(clock: Any) -> None:
    bus = Chip()
    driver = configured(bus, clock)
    bus.pages[0][0x13] = 0x00
    assert driver.read() is None


def test_at_a_low_rate_it_is_emptied_in_between(clock: Any) -> None:
    bus = Chip()
    driver = configured(bus, clock, rate=2.0)
    bus.result("58", "01F4")
    assert driver.calls(driver.config) == 10.0
    found = []
    for _ in range(15):
        clock.advance(0.1)
        found.append(driver.read() is not None)
    assert found == ([True] + [False] * 4) * 3
    assert bus.writes.count("0b01") == 3 + 15


def test_another_identity_is_rejected_naming_both(clock: Any) -> None:
    bus = Chip()
    bus.pages[0][0xC0:0xC3] = bytes.fromhex("EACC10")
    with pytest.raises(DeviceFault, match="0xEA 0xCC 0x10; a VL53L0X has 0xEE 0xAA 0x10: is it"):
        made(bus, clock).probe()


def test_a_start_up_that_was_cut_short_does_not_hide_the_identity(clock: Any) -> None:
    bus = Chip()
    bus.page = 1
    assert made(bus, clock).probe()


def test_reference_spads_that_never_come_are_a_time_out(clock: Any) -> None:
    bus = Chip()
    bus.spads_known = False
    with pytest.raises(DeviceFault, match="reading its reference SPADs not finished") as info:
        configured(bus, clock)
    assert info.value.kind is FaultKind.TIMEOUT


def test_a_calibration_that_never_ends_is_a_time_out(clock: Any) -> None:
    bus = Chip()
    bus.pages[0][0x13] = 0x00
    with pytest.raises(DeviceFault, match="reference calibration not finished after 0.2 s"):
        configured(bus, clock)


# the twin, seen from the bus with addresses and bytes only ---------------------------------------


class Bench:
    def __init__(self, clock: Any, noise: float = 0.0) -> None:
        self.clock = clock
        self.twin = Vl53l0xSim(Vl53l0xConfig(), Vl53l0xSimConfig(noise=noise))
        self.bus = SimI2cBus("i2c1", clock.monotonic_ns, clock.sleep)
        self.bus.attach(self.twin)
        self.get(0xC0)

    def get(self, register: int, count: int = 1) -> bytes:
        return self.bus.transfer(0x29, bytes((register,)), count)

    def put(self, pairs: str) -> None:
        for pair in pairs.split():
            self.bus.transfer(0x29, bytes.fromhex(pair))


@pytest.fixture
def bench(clock: Any) -> Bench:
    return Bench(clock)


def test_the_twin_has_identity_and_pages(bench: Bench) -> None:
    assert bench.get(0xC0, 3) == bytes.fromhex("EEAA10")
    bench.put("8001 FF01")
    assert bench.get(0x91) == b"\x3c"
    bench.put("FF00 C000 C100")
    assert bench.get(0xC0, 3) == bytes.fromhex("EEAA10")


def test_its_spad_memory_answers_after_a_while(bench: Bench) -> None:
    bench.put("FF07 946B 8300")
    assert bench.get(0x83) == b"\x00"
    bench.clock.advance(0.002)
    assert bench.get(0x83) != b"\x00"
    assert bench.get(0x92) == b"\x85"


def test_a_calibration_ends_with_the_ready_bits_until_they_are_cleared(bench: Bench) -> None:
    bench.put("0A04 0101 0041")
    assert bench.get(0x13) == b"\x00"
    bench.clock.advance(0.005)
    assert bench.get(0x13) == b"\x04"
    bench.put("0B01")
    assert bench.get(0x13) == b"\x00"
    bench.clock.advance(1.0)
    assert bench.get(0x13) == b"\x00"


def test_a_single_shot_clears_its_start_bit_and_measures_once(bench: Bench) -> None:
    bench.put("01E8 4625 5006 5100 5296 7004 7102 728E 0001")
    assert bench.get(0x00) == b"\x01"
    bench.clock.advance(0.001)
    assert bench.get(0x00) == b"\x00"
    bench.clock.advance(0.033)
    assert bench.get(0x13) == b"\x04"
    assert bench.get(0x1E, 2) == (500).to_bytes(2, "big")
    bench.put("0B01")
    bench.clock.advance(1.0)
    assert bench.get(0x13) == b"\x00"


def test_back_to_back_it_measures_in_its_timing_budget_until_it_is_stopped(bench: Bench) -> None:
    bench.put("01E8 4625 5006 5100 5296 7004 7102 728E 0002")
    ready = 0
    for _ in range(1000):
        bench.clock.advance(0.001)
        if bench.get(0x13) != b"\x00":
            ready += 1
            bench.put("0B01")
    assert ready == pytest.approx(30, abs=1)
    bench.put("0001")
    bench.clock.advance(1.0)
    assert bench.get(0x13) == b"\x00"


@pytest.mark.parametrize(
    ("distance", "reflectance", "status", "millimetres"),
    [
        (1.234, 0.88, 0x58, 1234),
        (1.5, 0.17, 0x20, 8191),  # grey
        (2.5, 0.88, 0x20, 8191),
        (0.005, 0.88, 0x50, 0),
    ],
)
def test_its_light_fades(
    bench: Bench, distance: float, reflectance: float, status: int, millimetres: int
) -> None:
    bench.twin.distance, bench.twin.reflectance = distance, reflectance
    bench.put("01E8 7104 440020 0001")
    bench.clock.advance(0.5)
    result = bench.get(0x14, 12)
    assert (result[0], int.from_bytes(result[10:], "big")) == (status, millimetres)


@pytest.mark.parametrize("rate", [1.0, 10.0, 30.0, 45.0])
def test_driver_and_twin_keep_any_rate_and_agree(clock: Any, rate: float) -> None:
    bench = Bench(clock)
    driver = configured(bench.bus, clock, rate=rate)
    found = []
    calls = driver.calls(driver.config)
    for step in range(round(2 * calls)):
        bench.twin.distance = 0.1 + step / calls / 2
        clock.advance(1 / calls)
        sample = driver.read()
        if sample is not None:
            found.append(sample.range)
            assert sample.range == pytest.approx(bench.twin.distance, abs=0.11 / 2 + 0.002)
    assert len(found) == pytest.approx(2 * rate, abs=1)


def test_its_noise_grows_with_the_distance(clock: Any) -> None:
    def spread(distance: float) -> float:
        bench = Bench(clock, noise=0.01)
        bench.twin.distance = distance
        driver = configured(bench.bus, clock)
        found = []
        while len(found) < 50:
            clock.advance(0.034)
            sample = driver.read()
            found += [sample.range] if sample else []
        mean = sum(found) / len(found)
        assert mean == pytest.approx(distance, abs=0.006)
        return math.sqrt(sum((one - mean) ** 2 for one in found) / len(found))

    assert spread(0.3) < spread(1.5) / 2
