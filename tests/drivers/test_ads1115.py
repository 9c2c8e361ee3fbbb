"""ADS1115: bytes of the data sheet, counted by hand, and the behaviour of the twin."""

import math
from typing import Any

import pytest
from horus_drivers.adc.ads1115 import Ads1115, Ads1115Config, Ads1115Sim, Ads1115SimConfig

from horus.hal import DeviceFault, FaultKind, I2cBus, I2cLink, SimI2cBus
from horus.msgs import AnalogIO


class Chip(I2cBus):
    """A bus of plain 16-bit registers, which knows nothing of the driver's map."""

    name = "i2c1"

    def __init__(self) -> None:
        self.words = {0: 0x0000, 1: 0x8583, 2: 0x8000, 3: 0x7FFF}
        self.writes: list[str] = []
        self.busy = False
        self.refuse = False

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        assert address == 0x48
        if len(write) == 3:
            if self.refuse:
                raise DeviceFault(FaultKind.NO_ACK, "nothing answers")
            self.writes.append(write.hex(" ", 1))
            self.words[write[0]] = write[1] << 8 | write[2]
        value = self.words[write[0]]
        if write[0] == 1:
            value = value & 0x7FFF | (0 if self.busy else 0x8000)
        return value.to_bytes(2, "big")[:read]

    def close(self) -> None:
        pass


def made(bus: I2cBus, clock: Any, **options: Any) -> Ads1115:
    return Ads1115(Ads1115Config(**options), I2cLink(bus, 0x48, "adc", clock.monotonic_ns))


def configured(bus: I2cBus, clock: Any, **options: Any) -> Ads1115:
    driver = made(bus, clock, **options)
    assert driver.probe()
    for pause in driver.configure():
        clock.advance(pause)
    return driver


def sample(driver: Ads1115, clock: Any) -> AnalogIO:
    for _ in range(200):
        clock.advance(1 / driver.calls(driver.config))
        found = driver.read()
        if found is not None:
            return found
    raise AssertionError("no sample")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({}, "01 c3 83"),  # A0, ± 4.096 V, 128 a second: as Adafruit writes it
        ({"channels": (3,)}, "01 f3 83"),
        ({"range": 6144, "data_rate": 860}, "01 c1 e3"),
        ({"range": 256, "rate": 1.0, "data_rate": 8}, "01 cb 03"),
        ({"differential": True, "channels": (0,)}, "01 83 83"),
        ({"differential": True, "channels": (3,)}, "01 b3 83"),
    ],
)
def test_a_conversion_is_started_with_these_bytes(
    clock: Any, options: dict[str, Any], word: str
) -> None:
    bus = Chip()
    configured(bus, clock, **options)
    assert bus.writes[-1] == word
    assert bus.writes[0] == f"01 {int(word[3:5], 16) & 0x7F:02x} {word[6:]}"  # without the start


def test_the_channels_are_converted_in_turn(clock: Any) -> None:
    bus = Chip()
    driver = configured(bus, clock, channels=(2, 0))
    assert [word[:5] for word in bus.writes] == ["01 63", "01 e3"]
    bus.words[0] = 0x4000
    assert driver.read() is None
    assert bus.writes[-1] == "01 c3 83"
    bus.words[0] = 0xC180
    found = driver.read()
    assert isinstance(found, AnalogIO)
    assert found.voltages[0] == pytest.approx(-2.0, abs=1e-9)  # the published vector
    assert math.isnan(found.voltages[1])
    assert found.voltages[2] == pytest.approx(2.048)
    assert len(found.voltages) == 3


def test_nothing_is_fetched_while_a_conversion_is_running(clock: Any) -> None:
    bus = Chip()
    driver = configured(bus, clock, channels=(0,))
    bus.busy = True
    assert driver.read() is None
    bus.busy = False
    assert driver.read() is not None


@pytest.mark.parametrize("raw", [0x7FFF, 0x8000])
def test_at_the_ends_of_the_range_the_voltage_is_unknown(clock: Any, raw: int) -> None:
    bus = Chip()
    driver = configured(bus, clock, channels=(0,))
    bus.words[0] = raw
    assert math.isnan(sample(driver, clock).voltages[0])


def test_a_sample_is_stamped_with_the_start_of_its_first_conversion(clock: Any) -> None:
    bus = Chip()
    driver = configured(bus, clock, channels=(0, 1), rate=10.0)
    begun = clock.monotonic_ns()
    assert sample(driver, clock) is not None
    assert driver.link.stamp_ns == begun
    later = sample(driver, clock)
    assert later is not None
    assert driver.link.stamp_ns == begun + 100_000_000


def test_a_start_that_was_lost_is_repeated_and_nothing_old_is_taken(clock: Any) -> None:
    bus = Chip()
    driver = configured(bus, clock, channels=(0, 1))
    bus.words[0] = 0x1000
    bus.refuse = True
    with pytest.raises(DeviceFault):
        driver.read()
    bus.refuse = False
    assert driver.read() is None
    assert bus.writes[-1] == "01 d3 83"
    bus.words[0] = 0x2000
    found = driver.read()
    assert found is not None
    assert list(found.voltages) == pytest.approx([0.512, 1.024])


def test_settings_that_were_lost_are_a_fault(clock: Any) -> None:
    bus = Chip()
    driver = configured(bus, clock)
    bus.words[1] = 0x8583
    with pytest.raises(DeviceFault, match="reads 0x0583 and not 0x4383: was it rest") as info:
        driver.read()
    assert info.value.kind is FaultKind.CORRUPT


def test_a_chip_that_does_not_keep_its_settings_is_a_fault(clock: Any) -> None:
    class Other(Chip):
        def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
            return super().transfer(address, write[:1], read)

    with pytest.raises(DeviceFault, match="reads 0x0583 and not 0x4383"):
        configured(Other(), clock)


@pytest.mark.parametrize(("low", "high"), [(0, 0), (0xFFFF, 0xFFFF), (0x7FFF, 0x0001)])
def test_what_cannot_be_an_ads1115_is_rejected(clock: Any, low: int, high: int) -> None:
    bus = Chip()
    bus.words[2], bus.words[3] = low, high
    with pytest.raises(DeviceFault, match="adc on i2c1: .* no ADS1115: its thresholds") as info:
        made(bus, clock).probe()
    assert info.value.kind is FaultKind.REJECTED
    assert bus.writes == []


def test_the_thresholds_of_the_ready_signal_are_accepted(clock: Any) -> None:
    bus = Chip()
    bus.words[2], bus.words[3] = 0x0000, 0x8000
    assert made(bus, clock).probe()


def test_more_conversions_than_possible_are_refused() -> None:
    with pytest.raises(ValueError, match="rate is too high for 4 channels with data_rate: 128"):
        Ads1115Config(rate=50.0)
    Ads1115Config(rate=50.0, data_rate=250)


@pytest.mark.parametrize("channels", [(), (4,), (-1,), (0, 0)])
def test_channels_that_are_not_there_are_refused(channels: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="channels"):
        Ads1115Config(channels=channels)


# the twin, seen from the bus with addresses and bytes only ---------------------------------------


class Bench:
    def __init__(self, clock: Any, **options: Any) -> None:
        self.clock = clock
        self.twin = Ads1115Sim(
            Ads1115Config(), Ads1115SimConfig(**{"noise": 0.0, "slowness": 0.0, **options})
        )
        self.bus = SimI2cBus("i2c1", clock.monotonic_ns, clock.sleep)
        self.bus.attach(self.twin)

    def get(self, register: int) -> int:
        return int.from_bytes(self.bus.transfer(0x48, bytes((register,)), 2), "big")

    def put(self, register: int, value: int) -> None:
        self.bus.transfer(0x48, bytes((register, value >> 8, value & 0xFF)))


@pytest.fixture
def bench(clock: Any) -> Bench:
    return Bench(clock)


def test_the_twin_comes_up_idle_with_its_reset_values(bench: Bench) -> None:
    assert [bench.get(register) for register in range(4)] == [0, 0x8583, 0x8000, 0x7FFF]


def test_single_shot_it_converts_once_and_says_when(bench: Bench) -> None:
    bench.put(1, 0xC383)
    assert bench.get(1) == 0x4383
    bench.clock.advance(0.007)
    assert bench.get(1) == 0x4383
    assert bench.get(0) == 0
    bench.clock.advance(0.001)
    assert bench.get(1) == 0xC383
    assert bench.get(0) == 4000  # 0.5 V of 4.096
    bench.twin.voltages = (1.0, 1.0, 1.0, 1.0)
    bench.clock.advance(1.0)
    assert bench.get(0) == 4000


def test_continuous_it_goes_on_and_is_read_without_a_pointer(bench: Bench) -> None:
    bench.put(1, 0x5283)  # A1, ± 4.096 V
    bench.clock.advance(0.01)
    assert bench.get(1) == 0x5283
    bench.get(0)
    bench.twin.voltages = (0.0, 2.0, 0.0, 0.0)
    bench.clock.advance(0.01)
    assert bench.bus.transfer(0x48, b"", 2) == bytes.fromhex("3E80")


@pytest.mark.parametrize(
    ("config", "volts"),
    [(0x8383, -0.5), (0x9383, -1.5), (0xA383, -1.0), (0xB383, -0.5), (0xD383, 1.0), (0xF383, 2.0)],
)
def test_its_multiplexer(bench: Bench, config: int, volts: float) -> None:
    bench.put(1, config)
    bench.clock.advance(0.01)
    raw = bench.get(0)
    assert (raw - 0x10000 * (raw >> 15)) * 4.096 / 32768 == pytest.approx(volts)


def test_it_saturates_at_its_range(bench: Bench) -> None:
    bench.put(1, 0xFB83)
    bench.clock.advance(0.01)
    assert bench.get(0) == 0x7FFF
    bench.put(1, 0x9B83)
    bench.clock.advance(0.01)
    assert bench.get(0) == 0x8000


def test_its_oscillator_may_be_slow(clock: Any) -> None:
    bench = Bench(clock, slowness=0.1)
    bench.put(1, 0xC383)
    clock.advance(0.0082)
    assert bench.get(1) == 0x4383
    clock.advance(0.0006)
    assert bench.get(1) == 0xC383


@pytest.mark.parametrize("range", [6144, 4096, 2048])
def test_driver_and_twin_agree(clock: Any, range: Any) -> None:
    bench = Bench(clock, slowness=0.1)
    bench.twin.voltages = (-0.2, 0.001, 1.9, 1.25)
    driver = configured(bench.bus, clock, range=range)
    found = list(sample(driver, clock).voltages)
    assert found == pytest.approx([-0.2, 0.001, 1.9, 1.25], abs=range / 60_000_000)
    driver = configured(bench.bus, clock, range=range, differential=True)
    found = list(sample(driver, clock).voltages)
    assert found == pytest.approx([-0.201, -1.45, -1.249, 0.65], abs=range / 60_000_000)
