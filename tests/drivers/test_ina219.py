"""INA219: bytes of the data sheet, counted by hand, and the behaviour of the twin."""

import math
from typing import Any

import pytest
from horus_drivers.power.ina219 import Ina219, Ina219Config, Ina219Sim, Ina219SimConfig

from horus.hal import DeviceFault, FaultKind, I2cBus, I2cLink, SimI2cBus
from horus.msgs import BatteryState, BatteryStatus


class Chip(I2cBus):
    """A bus of plain 16-bit registers, which knows nothing of the driver's map."""

    name = "i2c1"

    def __init__(self) -> None:
        self.words = {0: 0x399F, 1: 0, 2: 0, 3: 0, 4: 0, 5: 0}
        self.log: list[str] = []

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        assert address == 0x40
        if len(write) == 3:
            self.log.append(write.hex(" ", 1))
            value = write[1] << 8 | write[2]
            self.words[write[0]] = 0x399F if write[0] == 0 and value & 0x8000 else value
        elif read:
            assert read == 2
            self.log.append(f"read {write[0]}")
        return self.words[write[0]].to_bytes(2, "big")[:read]

    def close(self) -> None:
        pass


def made(bus: I2cBus, clock: Any, **options: Any) -> Ina219:
    return Ina219(Ina219Config(**options), I2cLink(bus, 0x40, "battery", clock.monotonic_ns))


def configured(bus: I2cBus, clock: Any, **options: Any) -> Ina219:
    driver = made(bus, clock, **options)
    assert driver.probe()
    for pause in driver.configure():
        clock.advance(pause)
    return driver


def test_the_set_up_writes_these_bytes(clock: Any) -> None:
    bus = Chip()
    configured(bus, clock, max_current=2.0, shunt=0.1, samples=1)
    assert bus.log[3:] == [
        "00 80 00",  # reset
        "00 3c 47",  # 32 V, 320 mV, one sample of 12 bits each, continuous
        "05 1a 36",  # 0.04096 / (2 A / 32768 × 0.1 Ω) = 6710
    ]


@pytest.mark.parametrize(
    ("options", "config", "calibration"),
    [
        ({"max_current": 3.2}, 0x3E67, 0x1062),  # 320 mV; 4194
        ({"max_current": 1.6}, 0x3667, 0x20C4),  # 160 mV; 8388
        ({"max_current": 0.8}, 0x2E67, 0x4188),  # 80 mV; 16777, the lowest bit is not there
        ({"max_current": 0.4}, 0x2667, 0x8312),  # 40 mV; 33554
        ({"max_current": 0.01}, 0x2667, 0xFFFE),  # more is not to be had
        ({"max_current": 50, "shunt": 0.001, "samples": 128}, 0x2FFF, 0x68DA),  # 50 mV; 26843
        ({"bus_range": 16}, 0x1E67, 0x1062),
    ],
)
def test_ranges_and_calibration(
    clock: Any, options: dict[str, Any], config: int, calibration: int
) -> None:
    bus = Chip()
    options = {"rate": 5.0, **options}
    configured(bus, clock, **options)
    assert (hex(bus.words[0]), hex(bus.words[5])) == (hex(config), hex(calibration))


def test_a_sample_by_hand(clock: Any) -> None:
    """12.0 V is 3000 counts of 4 mV; calibration 4194 is 97.663 µA a count, so 1 A is 10239."""
    bus = Chip()
    driver = configured(bus, clock, max_current=3.2)
    bus.words[2] = 3000 << 3 | 0x2
    bus.words[4] = 0x27FF
    bus.log.clear()
    found = driver.read()
    assert isinstance(found, BatteryState)
    assert found.voltage == pytest.approx(12.0)
    assert found.current == pytest.approx(-0.99998, abs=1e-5)
    assert found.status == BatteryStatus.DISCHARGING
    assert math.isnan(found.state_of_charge)
    assert bus.log == ["05 10 62", "read 0", "read 2", "read 4", "read 3"]


@pytest.mark.parametrize(
    ("raw", "reverse", "sign", "status"),
    [
        (0xD801, False, 1.0, BatteryStatus.CHARGING),
        (0xD801, True, -1.0, BatteryStatus.DISCHARGING),
        (0x27FF, True, 1.0, BatteryStatus.CHARGING),
        (0x0000, False, 0.0, BatteryStatus.UNKNOWN),
    ],
)
def test_the_current_is_positive_into_the_battery(
    clock: Any, raw: int, reverse: bool, sign: float, status: BatteryStatus
) -> None:
    bus = Chip()
    driver = configured(bus, clock, reverse=reverse)
    bus.words[2], bus.words[4] = 0x5DC2, raw
    found = driver.read()
    assert found is not None
    assert found.current == pytest.approx(sign, abs=1e-3)
    assert found.status == status


def test_without_the_ready_bit_there_is_no_sample(clock: Any) -> None:
    bus = Chip()
    driver = configured(bus, clock)
    bus.words[2] = 3000 << 3
    assert driver.read() is None


def test_with_the_overflow_bit_there_is_a_voltage_but_no_current(clock: Any) -> None:
    bus = Chip()
    driver = configured(bus, clock)
    bus.words[2], bus.words[4] = 3000 << 3 | 0x3, 1234
    found = driver.read()
    assert found is not None
    assert found.voltage == pytest.approx(12.0)
    assert math.isnan(found.current)
    assert found.status == BatteryStatus.UNKNOWN


def test_at_the_end_of_the_shunt_range_there_is_no_current(clock: Any) -> None:
    bus = Chip()
    driver = configured(bus, clock, max_current=0.4)  # 40 mV: 4000 × 33554 / 4096 = 32767
    bus.words[2], bus.words[4] = 3000 << 3 | 0x2, 32767
    found = driver.read()
    assert found is not None
    assert math.isnan(found.current)


def test_at_the_end_of_the_voltage_range_it_says_what_to_do(clock: Any) -> None:
    bus = Chip()
    driver = configured(bus, clock, bus_range=16)
    bus.words[2] = 4000 << 3 | 0x2
    with pytest.raises(DeviceFault, match="16 V or more, the end of its range: set bus_range: 32"):
        driver.read()


def test_settings_that_were_lost_are_a_fault_and_no_sample(clock: Any) -> None:
    bus = Chip()
    driver = configured(bus, clock)
    bus.words[2], bus.words[0] = 3000 << 3 | 0x2, 0x399F
    with pytest.raises(DeviceFault, match="0x399F and not 0x3E67: was it restarted") as info:
        driver.read()
    assert info.value.kind is FaultKind.CORRUPT


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_current": 10.0}, "max_current times shunt is 1 V, and the chip measures up to 0.32"),
        ({"samples": 128}, "rate is too high: a measurement takes 136.2 ms .see samples."),
        ({"address": 0x50}, "address must be from"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Ina219Config(**options)


@pytest.mark.parametrize(
    ("register", "word"),
    [(0, 0x4127), (0, 0x6127), (2, 0xE2E4), (5, 0x0801)],
    ids=["INA226", "INA260", "PCA9685", "odd calibration"],
)
def test_other_chips_at_this_address_are_rejected(clock: Any, register: int, word: int) -> None:
    bus = Chip()
    bus.words[register] = word
    with pytest.raises(DeviceFault, match="battery on i2c1: .* is no INA219: .* use: ") as info:
        made(bus, clock).probe()
    assert info.value.kind is FaultKind.REJECTED
    assert all(entry.startswith("read") for entry in bus.log)


def test_a_chip_that_does_not_multiply_is_rejected(clock: Any) -> None:
    """A PCA9685 with its address bits as they come up reads each byte twice."""
    bus = Chip()
    bus.words = {0: 0x1111, 1: 0x0404, 2: 0xE2E2, 3: 0xE4E4, 4: 0xE8E8, 5: 0xE0E0}
    with pytest.raises(DeviceFault, match="is no INA219: .* is not its shunt voltage times 0xE0E0"):
        made(bus, clock).probe()


def test_a_chip_that_another_program_has_set_up_is_accepted(clock: Any) -> None:
    bus = Chip()
    bus.words = {0: 0x399F, 1: 1000, 2: 0x5DC2, 3: 0, 4: 1638, 5: 0x1A36}  # 1000 × 6710 / 4096
    assert made(bus, clock).probe()


def test_a_chip_that_reads_0_everywhere_is_rejected(clock: Any) -> None:
    bus = Chip()
    bus.words = dict.fromkeys(range(6), 0)
    with pytest.raises(DeviceFault, match="reads 0x0000, .* no program sets it up so"):
        made(bus, clock).probe()


# the twin, seen from the bus with addresses and bytes only ---------------------------------------


class Bench:
    def __init__(self, clock: Any, **options: Any) -> None:
        self.clock = clock
        self.twin = Ina219Sim(
            Ina219Config(**options), Ina219SimConfig(voltage_noise=0, shunt_noise=0)
        )
        self.bus = SimI2cBus("i2c1", clock.monotonic_ns, clock.sleep)
        self.bus.attach(self.twin)
        self.get(0)

    def get(self, register: int) -> int:
        return int.from_bytes(self.bus.transfer(0x40, bytes((register,)), 2), "big")

    def put(self, register: int, value: int) -> None:
        self.bus.transfer(0x40, bytes((register, value >> 8, value & 0xFF)))

    def wait(self, seconds: float = 0.01) -> None:
        self.clock.advance(seconds)
        self.get(0)


@pytest.fixture
def bench(clock: Any) -> Bench:
    return Bench(clock)


def test_the_twin_comes_up_converting_and_uncalibrated(bench: Bench) -> None:
    bench.wait()
    assert bench.get(0) == 0x399F
    assert bench.get(1) == 5000  # 0.5 A × 0.1 Ω in 10 µV
    assert bench.get(2) == 3000 << 3 | 2
    assert (bench.get(5), bench.get(4), bench.get(3)) == (0, 0, 0)


def test_it_multiplies_as_the_data_sheet_says(bench: Bench) -> None:
    bench.put(5, 4096)
    bench.wait()
    assert bench.get(4) == 5000  # 0.1 mA each
    assert bench.get(3) == 3000  # 2 mW each: 6 W
    bench.put(5, 2048)
    assert bench.get(4) == 2500


def test_the_ready_bit_is_cleared_by_reading_the_power_until_the_next(bench: Bench) -> None:
    bench.put(0, 0x399F)
    assert bench.get(2) & 2 == 0
    bench.wait(0.0011)
    assert bench.get(2) & 2
    assert bench.get(2) & 2
    bench.get(3)
    assert bench.get(2) & 2 == 0
    bench.wait(0.0011)
    assert bench.get(2) & 2


def test_a_product_too_large_sets_the_overflow_bit(bench: Bench) -> None:
    bench.put(5, 40_960)
    bench.wait()
    assert bench.get(2) & 1
    bench.put(5, 4096)
    bench.wait()
    assert bench.get(2) & 1 == 0


@pytest.mark.parametrize(("gain", "limit"), [(0, 4000), (1, 8000), (2, 16000), (3, 32000)])
def test_it_saturates_at_its_shunt_range(bench: Bench, gain: int, limit: int) -> None:
    bench.put(0, 0x2187 & ~0x1800 | gain << 11)
    for current, sign in ((-100.0, 1), (100.0, -1)):
        bench.twin.current = current
        bench.wait()
        assert bench.get(1) == sign * limit & 0xFFFF


@pytest.mark.parametrize(("config", "limit"), [(0x199F, 4000), (0x399F, 6500)])
def test_it_saturates_at_its_bus_range(bench: Bench, config: int, limit: int) -> None:
    bench.twin.voltage = 26.0
    bench.put(0, config)
    bench.wait()
    assert bench.get(2) >> 3 == limit


def test_triggered_it_converts_once(bench: Bench) -> None:
    bench.put(0, 0x399B)
    bench.wait()
    bench.get(3)
    bench.wait(1.0)
    assert bench.get(2) & 2 == 0


def test_powered_down_it_holds_its_values(bench: Bench) -> None:
    bench.wait()
    bench.put(0, 0x3998)
    bench.twin.voltage = 20.0
    bench.wait(1.0)
    assert bench.get(2) >> 3 == 3000


def test_averaging_takes_its_time(bench: Bench) -> None:
    bench.put(0, 0x3FFF)  # 128 samples each
    bench.wait(0.136)
    assert bench.get(2) & 2 == 0
    bench.wait(0.001)
    assert bench.get(2) & 2


def test_measurements_cannot_be_written_and_a_reset_forgets_everything(bench: Bench) -> None:
    bench.wait()
    bench.put(1, 0x1234)
    assert bench.get(1) == 5000
    bench.put(5, 4097)
    assert bench.get(5) == 4096
    bench.put(0, 0x8000)
    assert (bench.get(0), bench.get(5)) == (0x399F, 0)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("current", "volts"), [(-3.0, 7.4), (0.25, 14.8), (2.9, 25.2)])
def test_driver_and_twin_agree(clock: Any, reverse: bool, current: float, volts: float) -> None:
    bench = Bench(clock, reverse=reverse)
    bench.twin.voltage, bench.twin.current = volts, current
    driver = configured(bench.bus, clock, reverse=reverse)
    clock.advance(0.1)
    found = driver.read()
    assert found is not None
    assert found.voltage == pytest.approx(volts, abs=0.002)
    assert found.current == pytest.approx(current, abs=0.0002)


def test_beyond_the_maximum_driver_and_twin_tell_no_current(clock: Any) -> None:
    bench = Bench(clock, max_current=1.0)
    driver = configured(bench.bus, clock, max_current=1.0)
    for current, known in ((-0.99, True), (-1.05, False), (-1.5, False), (-2.5, False), (5, False)):
        bench.twin.current = float(current)
        clock.advance(0.1)
        found = driver.read()
        assert found is not None
        assert math.isnan(found.current) is not known
