"""AS5600: bytes of the datasheet, counted by hand, and the behaviour of the twin."""

import math
from typing import Any

import pytest
from horus_drivers.encoder.as5600 import As5600, As5600Config, As5600Sim, As5600SimConfig

from horus.hal import DeviceFault, FaultKind, I2cBus, I2cLink, SimI2cBus
from horus.msgs import Encoder, MagnetState


class Memory(I2cBus):
    """A bus of plain bytes, which knows nothing of the driver's map."""

    name = "i2c1"

    def __init__(self) -> None:
        self.bytes = bytearray(256)
        self.bytes[0x0B] = 0x20
        self.writes: list[bytes] = []

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        assert address == 0x36
        if len(write) > 1:
            self.writes.append(write)
            self.bytes[write[0] : write[0] + len(write) - 1] = write[1:]
        return bytes(self.bytes[write[0] : write[0] + read])

    def close(self) -> None:
        pass

    def turn_to(self, count: int) -> None:
        self.bytes[0x0C:0x0E] = count.to_bytes(2, "big")


def made(bus: I2cBus, clock: Any, **options: Any) -> As5600:
    driver = As5600(As5600Config(**options), I2cLink(bus, 0x36, "wheel", clock.monotonic_ns))
    assert driver.probe()
    driver.configure()
    return driver


def follow(driver: As5600, bus: Memory, clock: Any, counts: list[int]) -> list[Encoder]:
    found = []
    for count in counts:
        clock.advance(0.01)
        bus.turn_to(count)
        found.append(driver.read())
    return found


def test_the_set_up_is_one_write_to_the_volatile_settings(clock: Any) -> None:
    bus = Memory()
    made(bus, clock, slow_filter=4, hysteresis=2)
    assert bus.writes == [b"\x07\x02\x08"]


@pytest.mark.parametrize(
    ("raw", "angle"),
    [(0x000, 0.0), (0x400, math.pi / 2), (0xC00, -math.pi / 2), (0xFFF, -0.001534)],
)
def test_counts_are_4096_a_turn_from_minus_half_a_turn(clock: Any, raw: int, angle: float) -> None:
    bus = Memory()
    [found] = follow(made(bus, clock), bus, clock, [raw])
    assert found.position == pytest.approx(angle, abs=1e-6)
    assert found.turns == (0 if angle >= 0 else -1)
    assert math.isnan(found.velocity)
    assert found.magnet == MagnetState.GOOD


def test_turns_are_counted_across_the_wrap_in_both_directions(clock: Any) -> None:
    bus = Memory()
    driver = made(bus, clock)
    forth = [count % 4096 for count in range(0, 3 * 4096 + 1, 512)]
    last = follow(driver, bus, clock, forth)[-1]
    assert last.position == pytest.approx(3 * math.tau)
    assert last.turns == 3
    assert last.velocity == pytest.approx(math.tau / 8 / 0.01)
    last = follow(driver, bus, clock, forth[::-1])[-1]
    assert last.position == pytest.approx(0.0)


def test_a_fast_shaft_is_followed_where_it_was_heading(clock: Any) -> None:
    bus = Memory()
    driver = made(bus, clock, velocity_filter=0)
    follow(driver, bus, clock, [0, 1500, 3000])
    clock.advance(0.01)  # two samples were lost
    clock.advance(0.01)
    assert follow(driver, bus, clock, [7500 % 4096])[0].position == pytest.approx(
        7500 / 4096 * math.tau
    )


def test_zero_and_reverse(clock: Any) -> None:
    bus = Memory()
    driver = made(bus, clock, zero=math.pi / 2, reverse=True)
    found = follow(driver, bus, clock, [0x400, 0x500])
    assert found[0].position == pytest.approx(0.0)
    assert found[1].position == pytest.approx(-math.tau / 16)


@pytest.mark.parametrize(
    ("status", "state"), [(0x30, MagnetState.WEAK), (0x28, MagnetState.STRONG)]
)
def test_a_poor_magnet_is_told(clock: Any, status: int, state: MagnetState) -> None:
    bus = Memory()
    driver = made(bus, clock)
    bus.bytes[0x0B] = status
    assert driver.read().magnet == state


@pytest.mark.parametrize(
    ("register", "value", "kind", "text"),
    [
        (0x0B, 0x10, FaultKind.OTHER, "it finds no magnet: put one of 6 mm"),
        (0x0C, 0x97, FaultKind.CORRUPT, "it reads 0x97.. where 12 bits are"),
        (0x0B, 0xFF, FaultKind.CORRUPT, "where 12 bits are"),
        (0x08, 0x0C, FaultKind.CORRUPT, "CONF reads 0x0C and not 0x00: was it restarted"),
    ],
)
def test_no_angle_is_delivered_that_is_none(
    clock: Any, register: int, value: int, kind: FaultKind, text: str
) -> None:
    bus = Memory()
    driver = made(bus, clock)
    bus.bytes[register] = value
    with pytest.raises(DeviceFault, match=text) as caught:
        driver.read()
    assert caught.value.kind is kind


def test_another_chip_at_this_address_is_refused_and_not_written_to(clock: Any) -> None:
    bus = Memory()
    bus.bytes[0x0C:0x0E] = b"\x97\x1c"  # a MAX17048
    driver = As5600(As5600Config(), I2cLink(bus, 0x36, "wheel", clock.monotonic_ns))
    with pytest.raises(DeviceFault, match="is no AS5600: .* RAW ANGLE 0x971C") as caught:
        driver.probe()
    assert caught.value.kind is FaultKind.REJECTED
    assert bus.writes == []


# the twin -----------------------------------------------------------------------------------------


@pytest.fixture
def twin() -> As5600Sim:
    return As5600Sim(As5600Config(), As5600SimConfig(nonlinearity=0))


@pytest.fixture
def bus(twin: As5600Sim, clock: Any) -> SimI2cBus:
    bus = SimI2cBus("i2c1", clock.monotonic_ns, clock.sleep)
    bus.attach(twin)
    return bus


def angle(bus: SimI2cBus, register: int = 0x0C) -> int:
    return int.from_bytes(bus.transfer(0x36, bytes((register,)), 2), "big")


def test_the_pointer_goes_back_to_the_first_byte_of_a_result(
    bus: SimI2cBus, twin: As5600Sim
) -> None:
    twin.position = 1.0
    high, low, *again = bus.transfer(0x36, b"\x0c", 6)
    assert again[0::2] == [high, high]
    assert again[1::2] == [low, low]
    assert len(bus.transfer(0x36, b"\x07", 7)) == 7


def test_it_turns_with_its_shaft_and_lags_by_its_filter(
    bus: SimI2cBus, twin: As5600Sim, clock: Any
) -> None:
    angle(bus)
    twin.stimulate("velocity", [100.0])
    clock.advance(0.5)
    lag = 100.0 * 1.1e-3
    expected = (50.0 - lag) / math.tau * 4096
    assert (angle(bus) - expected + 2048) % 4096 - 2048 == pytest.approx(0, abs=3)
    assert twin.truth() == {"position": pytest.approx(50.0), "velocity": 100.0}


def test_the_scaled_angle_begins_at_the_start_position(bus: SimI2cBus, twin: As5600Sim) -> None:
    bus.transfer(0x36, b"\x01\x04\x00")  # a quarter of a turn
    bus.transfer(0x36, b"\x03\x08\x00")  # to half a turn
    twin.position = math.tau * 3 / 8
    assert angle(bus) == pytest.approx(1536, abs=2)
    assert angle(bus, 0x0E) == pytest.approx(2048, abs=8)


@pytest.mark.parametrize(
    ("field", "status"), [(5.0, 0x10), (20.0, 0x30), (60.0, 0x20), (120.0, 0x28)]
)
def test_the_status_tells_how_the_magnet_is(
    bus: SimI2cBus, twin: As5600Sim, field: float, status: int
) -> None:
    twin.stimulate("magnet", [field])
    assert bus.transfer(0x36, b"\x0b", 1)[0] == status


def test_results_cannot_be_written(bus: SimI2cBus) -> None:
    for register in (0x00, 0x0B, 0xFF):
        bus.transfer(0x36, bytes((register, 0x55)))
    assert bus.transfer(0x36, b"\x00", 1) == b"\x00"
    assert bus.transfer(0x36, b"\x0b", 1) == b"\x20"


def test_driver_and_twin_agree_over_many_turns(bus: SimI2cBus, twin: As5600Sim, clock: Any) -> None:
    driver = made(bus, clock)
    twin.stimulate("velocity", [-40.0])
    for _ in range(300):
        clock.advance(0.01)
        found = driver.read()
    assert found.position == pytest.approx(twin.position + 40 * 1.1e-3, abs=0.01)
    assert found.velocity == pytest.approx(-40.0, abs=1.0)
    assert found.turns == math.floor(found.position / math.tau)
