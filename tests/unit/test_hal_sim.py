"""The simulated I2C bus: it behaves as chips do, and fails on demand."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from horus.hal import (
    BankSelect,
    Burst,
    CanFrame,
    CanMap,
    CanSim,
    CanSimHost,
    Command,
    DeviceFault,
    DriverConfig,
    FaultKind,
    I2cLink,
    Register,
    RegisterMap,
    RegisterSim,
    Report,
    SimI2cBus,
    WordRegisterMap,
    option,
)
from horus.hal.localcan import CanWire


class Registers(RegisterMap):
    identity = Register(0x00, "B", reset=0x42)
    data = Burst(0x10, "4B")


class WordRegisters(WordRegisterMap):
    value = Register(0x00, ">h", reset=-2)
    config = Register(0x01, ">H", reset=0x8583)


class BankedRegisters(RegisterMap):
    bank = BankSelect(0x7F, low=4, width=2)
    identity = Register(0x00, reset=0xEA)
    control = Register(0x00, bank=3, reset=0x11)


@dataclass(frozen=True, kw_only=True)
class I2cConfig(DriverConfig):
    address: int = option(0x20)


class Chip(RegisterSim[I2cConfig, Registers]):
    pass


@pytest.fixture
def chip() -> Chip:
    made = Chip(I2cConfig())
    made.map.data = (1, 2, 3, 4)
    return made


@pytest.fixture
def bus(chip: Chip, clock: Any) -> SimI2cBus:
    made = SimI2cBus("i2c1", clock.monotonic_ns, clock.sleep)
    made.attach(chip)
    return made


def test_both_read_styles_start_at_the_pointer_and_auto_increment(bus: SimI2cBus) -> None:
    assert bus.transfer(0x20, b"\x10", 3) == b"\x01\x02\x03"  # repeated start
    bus.transfer(0x20, b"\x12")  # write, STOP,
    assert bus.transfer(0x20, b"", 2) == b"\x03\x04"  # read


def test_the_pointer_stays_across_a_stop_and_moves_on_with_what_was_read(bus: SimI2cBus) -> None:
    bus.transfer(0x20, b"\x10", 1)
    assert bus.transfer(0x20, b"", 1) == b"\x02"


def test_a_zero_length_write_is_acknowledged_and_leaves_the_pointer(bus: SimI2cBus) -> None:
    bus.transfer(0x20, b"\x11")
    assert bus.transfer(0x20, b"") == b""
    assert bus.transfer(0x20, b"", 1) == b"\x02"


def test_a_burst_write_goes_to_consecutive_registers(bus: SimI2cBus, chip: Chip) -> None:
    bus.transfer(0x20, b"\x10\x09\x08")
    assert chip.map.data == (9, 8, 3, 4)


class WordChip(RegisterSim[I2cConfig, WordRegisters]):
    pass


def test_a_chip_of_words_keeps_its_pointer_and_takes_whole_words(clock: Any) -> None:
    bus = SimI2cBus("i2c1", clock.monotonic_ns)
    chip = WordChip(I2cConfig())
    bus.attach(chip)
    assert bus.transfer(0x20, b"\x01", 2) == b"\x85\x83"
    assert bus.transfer(0x20, b"", 2) == b"\x85\x83"  # the pointer stays
    bus.transfer(0x20, b"\x01\x12\x34")
    assert chip.map.config == 0x1234
    bus.transfer(0x20, b"\x01\x99")  # half a word
    assert chip.map.config == 0x1234
    assert bus.transfer(0x20, b"\x00", 1) == b"\xff"


class BankedChip(RegisterSim[I2cConfig, BankedRegisters]):
    pass


def test_a_chip_of_banks_shows_the_selected_one_and_always_the_selector(clock: Any) -> None:
    bus = SimI2cBus("i2c1", clock.monotonic_ns)
    chip = BankedChip(I2cConfig())
    bus.attach(chip)
    assert bus.transfer(0x20, b"\x00", 2) == b"\xea\x00"
    bus.transfer(0x20, b"\x7f\x30")
    assert bus.transfer(0x20, b"\x00", 1) == b"\x11"
    assert bus.transfer(0x20, b"\x7f", 1) == b"\x30"
    bus.transfer(0x20, b"\x00\x12")
    assert (chip.map.identity, chip.map.control) == (0xEA, 0x12)


def test_the_pointer_wraps_at_the_end_of_the_memory(bus: SimI2cBus) -> None:
    assert bus.transfer(0x20, b"\xff", 2) == b"\x00\x42"


def test_an_absent_address_is_an_os_error_that_names_address_and_bus(bus: SimI2cBus) -> None:
    with pytest.raises(OSError, match="i2c1: nothing answers at address 0x21") as info:
        bus.transfer(0x21, b"")
    assert isinstance(info.value, DeviceFault)
    assert info.value.kind is FaultKind.NO_ACK


def test_two_twins_cannot_share_an_address(bus: SimI2cBus) -> None:
    with pytest.raises(ValueError, match="i2c1: two devices at address 0x20"):
        bus.attach(Chip(I2cConfig()))


def test_unplugged_nobody_answers_and_plugged_again_the_chip_starts_anew(
    bus: SimI2cBus, chip: Chip
) -> None:
    chip.unplug()
    with pytest.raises(DeviceFault, match="nothing answers"):
        bus.transfer(0x20, b"\x00", 1)
    chip.plug()
    assert bus.transfer(0x20, b"\x10", 4) == bytes(4)
    assert bus.transfer(0x20, b"\x00", 1) == b"\x42"


def test_a_silent_device_is_a_timeout(bus: SimI2cBus, chip: Chip) -> None:
    chip.silence()
    with pytest.raises(DeviceFault) as info:
        bus.transfer(0x20, b"\x00", 1)
    assert info.value.kind is FaultKind.TIMEOUT
    chip.silence(False)
    assert bus.transfer(0x20, b"\x00", 1) == b"\x42"


def test_a_slow_device_takes_its_time(bus: SimI2cBus, chip: Chip, clock: Any) -> None:
    chip.slow(0.03)
    bus.transfer(0x20, b"\x00", 1)
    assert clock.sleeps == [0.03]


def test_on_a_device_that_is_far_too_slow_the_adapter_gives_up(
    bus: SimI2cBus, chip: Chip, clock: Any
) -> None:
    chip.slow(10.0)
    with pytest.raises(DeviceFault, match="holds the clock line low") as info:
        bus.transfer(0x20, b"\x00", 1)
    assert info.value.kind is FaultKind.TIMEOUT
    assert sum(clock.sleeps) < 0.1  # the other devices of the bus have their turn


def test_missing_acknowledges_come_as_often_as_asked_and_repeat_with_the_seed(
    clock: Any,
) -> None:
    def missed() -> list[int]:
        chip = Chip(I2cConfig())
        bus = SimI2cBus("i2c1", clock.monotonic_ns)
        bus.attach(chip)
        chip.nak(0.3)
        found = []
        for number in range(1000):
            try:
                bus.transfer(0x20, b"\x00", 1)
            except DeviceFault:
                found.append(number)
        return found

    first = missed()
    assert 230 < len(first) < 370
    assert missed() == first


def test_a_corrupt_answer_differs_in_one_bit(bus: SimI2cBus, chip: Chip) -> None:
    chip.corrupt(1.0)
    answer = bus.transfer(0x20, b"\x10", 4)
    changed = int.from_bytes(answer, "big") ^ 0x01020304
    assert changed.bit_count() == 1


def test_a_link_repeats_a_transaction_once_that_was_not_acknowledged(
    bus: SimI2cBus, chip: Chip, clock: Any
) -> None:
    link = I2cLink(bus, 0x20, "imu", clock.monotonic_ns)
    chip.nak(1.0)
    with pytest.raises(DeviceFault, match="imu on i2c1: nothing answers at address 0x20"):
        link.read(0x00, 1)
    assert link.errors == 2
    chip.nak(0.0)
    assert link.read(0x00, 1) == b"\x42"


def test_a_link_stamps_a_sample_at_the_start_of_its_transaction(
    bus: SimI2cBus, chip: Chip, clock: Any
) -> None:
    link = I2cLink(bus, 0x20, "imu", clock.monotonic_ns)
    chip.slow(0.01)
    before = clock.monotonic_ns()
    link.read(0x00, 1)
    assert link.stamp_ns == before < clock.monotonic_ns()


class Value(NamedTuple):
    number: int


class Frames(CanMap):
    set = Command(0x07, "<I")
    value = Report(0x09, "<I", Value)
    beat = Report(0x01, "<I", Value)

    @classmethod
    def can_id(cls, station: int, command: int) -> int:
        return station << 5 | command


@dataclass(frozen=True, kw_only=True)
class CanConfig(DriverConfig):
    node: int = option(1)


class Motor(CanSim[CanConfig, Frames]):
    cyclic = {"beat": 0.1}  # noqa: RUF012

    def power_on(self) -> None:
        self.number = 0

    def on_set(self, number: int) -> None:
        self.number = number

    def report_value(self) -> Value:
        return Value(self.number)

    def report_beat(self) -> Value:
        return Value(0)


class CanBench:
    def __init__(self, clock: Any) -> None:
        wire = CanWire("can0", clock.monotonic_ns)
        self.motor = Motor(CanConfig())
        self.host = CanSimHost(wire.open(), [self.motor], clock.monotonic_ns)
        self.end = wire.open()
        self.step()

    def step(self, *frames: CanFrame) -> list[CanFrame]:
        """Send frames, let the twin act, return what it sent."""
        for frame in frames:
            self.end.send(frame)
        self.host.step()
        heard = list(iter(self.end.receive, None))
        return [frame for frame in heard if frame not in frames]


@pytest.fixture
def can(clock: Any) -> CanBench:
    return CanBench(clock)


def test_a_can_twin_acts_on_its_commands_and_answers_remote_frames(can: CanBench) -> None:
    assert can.step(CanFrame(0x027, b"\x05\0\0\0")) == []
    assert can.step(CanFrame(0x029, remote=True)) == [CanFrame(0x029, b"\x05\0\0\0")]


def test_an_empty_data_frame_is_a_question_too(can: CanBench) -> None:
    frame = CanFrame(0x029)
    assert can.step(frame) == [CanFrame(0x029, bytes(4))]


def test_a_can_twin_ignores_what_is_not_a_command_to_it(can: CanBench) -> None:
    for frame in (
        CanFrame(0x047, b"\x05\0\0\0"),  # another node
        CanFrame(0x027, remote=True),  # a command's id, but remote
        CanFrame(0x027, b"\x05\0\0\0", extended=True),
        CanFrame(0x027, b"\x05"),  # too short
        CanFrame(0x029, b"\x05\0\0\0"),  # a report: its own, come back
    ):
        assert can.step(frame) == []
    assert can.motor.number == 0


def test_cyclic_reports_come_at_their_period(can: CanBench, clock: Any) -> None:
    beats = 0
    for _ in range(100):
        clock.advance(0.01)
        beats += len(can.step())
    assert beats == 10


def test_an_unplugged_can_twin_says_nothing_and_forgets(can: CanBench, clock: Any) -> None:
    can.step(CanFrame(0x027, b"\x05\0\0\0"))
    can.motor.unplug()
    clock.advance(1.0)
    assert can.step(CanFrame(0x029, remote=True)) == []
    can.motor.plug()
    assert CanFrame(0x029, bytes(4)) in can.step(CanFrame(0x029, remote=True))


def test_a_silent_can_twin_still_acts(can: CanBench) -> None:
    can.motor.silence()
    assert can.step(CanFrame(0x027, b"\x05\0\0\0"), CanFrame(0x029, remote=True)) == []
    assert can.motor.number == 5


def test_a_corrupt_frame_is_an_error_frame_and_never_a_wrong_value(can: CanBench) -> None:
    can.motor.corrupt(1.0)
    (frame,) = can.step(CanFrame(0x029, remote=True))
    assert frame.error


def test_a_slow_can_twin_answers_later(can: CanBench, clock: Any) -> None:
    can.motor.slow(0.02)
    assert can.step(CanFrame(0x029, remote=True)) == []
    clock.advance(0.02)
    assert can.step() == [CanFrame(0x029, bytes(4))]


def test_a_handler_for_a_frame_that_the_map_has_not_is_an_error_at_import() -> None:
    with pytest.raises(TypeError, match=r"Wrong.on_sett: Frames has no such frame.*on_set"):

        class Wrong(CanSim[CanConfig, Frames]):
            def on_sett(self) -> None: ...
