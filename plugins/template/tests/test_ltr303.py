"""LTR-303ALS: bytes of the data sheet, counted by hand, and the behaviour of the twin."""

from typing import Any

import pytest
from horus.hal import DeviceFault, FaultKind, I2cBus, I2cLink, SimI2cBus
from horus.testing import HandClock

from horus_ltr303.ltr303 import Ltr303, Ltr303Config, Ltr303Sim, Ltr303SimConfig, illuminance


class Memory(I2cBus):
    """A bus of plain bytes, which knows nothing of the driver's map."""

    name = "i2c1"

    def __init__(self) -> None:
        self.bytes = bytearray(256)
        self.bytes[0x85] = 0x03
        self.bytes[0x86:0x88] = b"\xa0\x05"
        self.writes: list[tuple[int, int]] = []

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        assert address == 0x29
        if len(write) > 1:
            self.writes.append((write[0], write[1]))
            self.bytes[write[0]] = write[1] & ~0x02
        return bytes(self.bytes[write[0] : write[0] + read])

    def close(self) -> None:
        pass


def driver_on(bus: I2cBus, clock: HandClock, **options: Any) -> Ltr303:
    return Ltr303(Ltr303Config(**options), I2cLink(bus, 0x29, "light", clock.monotonic_ns))


def configure(driver: Ltr303, clock: HandClock) -> None:
    for pause in driver.configure():
        clock.advance(pause)


def test_the_set_up_writes_these_bytes(clock: HandClock) -> None:
    bus = Memory()
    configure(driver_on(bus, clock, gain=8, integration=400), clock)
    assert bus.writes == [
        (0x80, 0x02),  # reset
        (0x85, 0x1B),  # 400 ms: 011
        (0x85, 0x1B),  # every 500 ms: 011
        (0x80, 0x0C),  # gain 8: 011
        (0x80, 0x0D),  # active
    ]


def test_counts_become_lux(clock: HandClock) -> None:
    """Channel 1 = 100, channel 0 = 400: a share of 0.2; 1.7743 × 400 + 1.1059 × 100 = 820.31."""
    bus = Memory()
    driver = driver_on(bus, clock)
    bus.bytes[0x88:0x8D] = bytes.fromhex("6400 9001 04")
    message = driver.read()
    assert message is not None
    assert message.illuminance == pytest.approx(820.31)


@pytest.mark.parametrize(
    ("visible", "infrared", "lux"),
    [
        (500, 500, (4.2785 - 1.9548) * 500),  # a share of 0.5
        (300, 700, 0.5926 * 300 + 0.1185 * 700),  # 0.7
        (100, 900, 0.0),  # 0.9: all but infrared
        (0, 0, 0.0),
    ],
)
def test_the_formula_follows_the_kind_of_light(visible: int, infrared: int, lux: float) -> None:
    assert illuminance(visible, infrared, 1, 100) == pytest.approx(lux)
    assert illuminance(visible, infrared, 4, 200) == pytest.approx(lux / 8)


@pytest.mark.parametrize("status", [0x00, 0x84])
def test_nothing_new_or_nothing_valid_is_no_sample(clock: HandClock, status: int) -> None:
    bus = Memory()
    bus.bytes[0x88:0x8D] = bytes.fromhex("6400 9001") + bytes([status])
    assert driver_on(bus, clock).read() is None


def test_saturation_is_a_fault_and_not_a_value(clock: HandClock) -> None:
    bus = Memory()
    bus.bytes[0x88:0x8D] = bytes.fromhex("6400 FFFF 04")
    with pytest.raises(DeviceFault, match="light on i2c1: too bright for gain 96: choose a"):
        driver_on(bus, clock, gain=96).read()


def test_another_identity_is_rejected_naming_both(clock: HandClock) -> None:
    bus = Memory()
    bus.bytes[0x86] = 0x92
    with pytest.raises(DeviceFault, match="identity 0x09 0x05; an LTR-303 has 0x0A 0x05") as info:
        driver_on(bus, clock).probe()
    assert info.value.kind is FaultKind.REJECTED


@pytest.mark.parametrize("revision", [0xA0, 0xA1])
def test_any_revision_of_the_part_will_do(clock: HandClock, revision: int) -> None:
    bus = Memory()
    bus.bytes[0x86] = revision
    assert driver_on(bus, clock).probe()


# the twin, seen from the bus with addresses and bytes only ---------------------------------------


@pytest.fixture
def twin() -> Ltr303Sim:
    return Ltr303Sim(Ltr303Config(), Ltr303SimConfig(noise=0.0))


@pytest.fixture
def bus(twin: Ltr303Sim, clock: HandClock) -> SimI2cBus:
    made = SimI2cBus("i2c1", clock.monotonic_ns, clock.sleep)
    made.attach(twin)
    return made


def test_the_twin_comes_up_in_standby_with_its_identity(bus: SimI2cBus, clock: HandClock) -> None:
    assert bus.transfer(0x29, b"\x86", 2) == b"\xa0\x05"
    clock.advance(10.0)
    assert bus.transfer(0x29, b"\x8c", 1) == b"\x00"


def test_the_twin_measures_every_500_ms_unless_told(bus: SimI2cBus, clock: HandClock) -> None:
    bus.transfer(0x29, b"\x80\x01")
    clock.advance(0.45)
    assert bus.transfer(0x29, b"\x8c", 1) == b"\x00"
    clock.advance(0.1)
    assert bus.transfer(0x29, b"\x8c", 1) == b"\x04"
    bus.transfer(0x29, b"\x88", 4)
    assert bus.transfer(0x29, b"\x8c", 1) == b"\x00"


def test_identity_and_counts_cannot_be_written(bus: SimI2cBus) -> None:
    bus.transfer(0x29, b"\x86\x00\x00\x11\x22")
    assert bus.transfer(0x29, b"\x86", 4) == b"\xa0\x05\x00\x00"


@pytest.mark.parametrize("light", [0.0, 1.0, 500.0, 30_000.0])
@pytest.mark.parametrize("infrared", [0.0, 0.2, 0.44])
def test_driver_and_twin_agree(
    bus: SimI2cBus, twin: Ltr303Sim, clock: HandClock, light: float, infrared: float
) -> None:
    twin.stimulate("light", [light])
    twin.stimulate("infrared", [infrared])
    driver = driver_on(bus, clock)
    configure(driver, clock)
    clock.advance(0.1)
    message = driver.read()
    assert message is not None
    assert message.illuminance == pytest.approx(light, rel=0.01, abs=2.0)


def test_too_much_light_saturates_the_twin(
    bus: SimI2cBus, twin: Ltr303Sim, clock: HandClock
) -> None:
    twin.stimulate("light", [100_000.0])
    driver = driver_on(bus, clock, gain=96)
    configure(driver, clock)
    clock.advance(0.1)
    with pytest.raises(DeviceFault, match="too bright"):
        driver.read()
