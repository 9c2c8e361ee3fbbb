"""The serial link: questions, answers, what is retried, and the in-process wire."""

from typing import Any

import pytest

from horus.hal import (
    Checksum,
    DeviceFault,
    DriverConfig,
    FaultKind,
    HeaderFraming,
    LocalSerial,
    PacketMap,
    SerialBus,
    SerialLink,
    SerialSim,
)
from horus.hal.checksums import sum8
from horus.testing.serial import ScriptedSerial

FRAMING = HeaderFraming(b"\xaa", size=3, checksum=Checksum(sum8))
ONE, TWO = "AA01AB", "AA02AC"


class Words(PacketMap):
    framing = FRAMING


class Echo(SerialSim[DriverConfig, Words]):
    """Answers each frame with the next one, and says something every second."""

    said = 0

    def answer(self, frame: bytes) -> bytes:
        return bytes((0xAA, frame[1] + 1, (0xAA + frame[1] + 1) & 0xFF))

    def emit(self) -> list[bytes]:
        due = int(self.time) - self.said
        self.said += due
        return [bytes.fromhex(ONE)] * due


def second(frame: bytes) -> int | None:
    return frame[1] if frame[1] == 2 else None


@pytest.fixture
def bus(clock: Any) -> ScriptedSerial:
    return ScriptedSerial(clock, 9600)


@pytest.fixture
def link(bus: ScriptedSerial, clock: Any) -> SerialLink:
    return SerialLink(bus, 1, "thing", clock.monotonic_ns)


def ask(link: SerialLink, **options: Any) -> int:
    return link.ask(b"?", FRAMING, second, 0.02, **options)


def test_the_answer_is_stamped_when_it_was_asked_for(
    bus: ScriptedSerial, link: SerialLink, clock: Any
) -> None:
    bus.give(TWO)
    begun = clock.now_ns
    assert ask(link) == 2
    assert link.stamp_ns == begun
    assert (link.errors, link.bytes) == (0, 4)


def test_what_came_before_the_question_is_no_answer(bus: ScriptedSerial, link: SerialLink) -> None:
    bus.send(TWO)
    with pytest.raises(DeviceFault):
        ask(link)


def test_frames_that_are_no_answer_are_passed_over(bus: ScriptedSerial, link: SerialLink) -> None:
    bus.give(ONE + ONE + "00" + TWO)
    assert ask(link) == 2
    assert len(bus.written) == 1


def test_a_lost_answer_is_asked_for_again_and_counted(
    bus: ScriptedSerial, link: SerialLink
) -> None:
    bus.give("", ONE, TWO)
    assert ask(link) == 2
    assert len(bus.written) == 3
    assert link.errors == 2


def test_silence_is_a_timeout_within_its_time(
    bus: ScriptedSerial, link: SerialLink, clock: Any
) -> None:
    begun = clock.now_ns
    with pytest.raises(DeviceFault, match="thing on serial: no answer within 20 ms") as info:
        ask(link)
    assert info.value.kind is FaultKind.TIMEOUT
    assert clock.now_ns - begun == pytest.approx(0.06e9)
    assert len(bus.written) == 3


def test_an_answer_that_was_there_in_time_counts_though_we_are_late(
    bus: ScriptedSerial, link: SerialLink, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = bus.write

    def written_and_then_put_to_sleep(data: bytes) -> None:
        write(data)
        clock.advance(0.1)  # a busy machine: five times as long as the answer may take

    monkeypatch.setattr(bus, "write", written_and_then_put_to_sleep)
    bus.give(TWO)
    assert ask(link, attempts=1) == 2


def test_damage_is_told_from_silence(bus: ScriptedSerial, link: SerialLink) -> None:
    bus.give("AA02AD", "AA02AD", "AA02AD")
    with pytest.raises(DeviceFault, match="only damaged answers") as info:
        ask(link)
    assert info.value.kind is FaultKind.CORRUPT
    assert link.errors == 3


def test_a_half_answer_is_not_completed_by_that_to_the_next_question(
    bus: ScriptedSerial, link: SerialLink
) -> None:
    bus.give("AA02", "AC", TWO)
    assert ask(link) == 2
    assert len(bus.written) == 3


def test_strictly_nothing_behind_garbage_is_an_answer(
    bus: ScriptedSerial, link: SerialLink
) -> None:
    bus.give("00" + TWO, TWO)
    assert ask(link, strict=True) == 2
    assert len(bus.written) == 2


def test_a_lost_port_is_not_asked_again(clock: Any) -> None:
    class Lost(ScriptedSerial):
        def read(self, timeout: float = 0.0) -> bytes:
            raise DeviceFault(FaultKind.ABSENT, "pulled out")

    link = SerialLink(Lost(clock), 1, "thing", clock.monotonic_ns)
    with pytest.raises(DeviceFault, match="thing on serial: pulled out"):
        ask(link)
    assert link.errors == 1


def test_frames_that_come_by_themselves_are_kept_until_they_are_whole(
    bus: ScriptedSerial, link: SerialLink, clock: Any
) -> None:
    bus.send(ONE + "AA")
    assert [frame.hex().upper() for frame in link.frames(FRAMING)] == [ONE]
    stamp = link.stamp_ns
    clock.advance(0.1)
    assert link.frames(FRAMING) == []
    assert link.stamp_ns == stamp
    bus.send("02AC")
    assert [frame.hex().upper() for frame in link.frames(FRAMING)] == [TWO]
    assert link.stamp_ns == clock.now_ns


@pytest.mark.parametrize(("baudrate", "seconds"), [(9600, 0.1), (1_000_000, 0.00096)])
def test_the_time_on_the_wire_follows_from_the_baud_rate(
    clock: Any, baudrate: int, seconds: float
) -> None:
    link = SerialLink(ScriptedSerial(clock, baudrate))
    assert link.time_for(96) == pytest.approx(seconds)


# the in-process wire ------------------------------------------------------------------------------


def wire(clock: Any, *twins: Any) -> SerialBus:
    return LocalSerial(twins, "port", clock.monotonic_ns, clock.sleep)


def test_a_twin_answers_through_the_wire(clock: Any) -> None:
    link = SerialLink(wire(clock, Echo(DriverConfig())), 1, "echo", clock.monotonic_ns)
    assert link.ask(bytes.fromhex(ONE), FRAMING, second, 0.02) == 2


def test_a_late_answer_is_late(clock: Any) -> None:
    twin = Echo(DriverConfig())
    twin.slow(0.03)
    bus = wire(clock, twin)
    bus.write(bytes.fromhex(ONE))
    assert bus.read(0.02) == b""
    assert bus.read(0.02).hex().upper() == TWO


def test_what_a_twin_says_by_itself_comes_when_it_is_due(clock: Any) -> None:
    bus = wire(clock, Echo(DriverConfig()))
    assert bus.read(0.9) == b""
    assert bus.read(0.2).hex().upper() == ONE
    assert bus.read(5.0).hex().upper() == ONE


def test_unplugged_it_forgets_half_a_frame(clock: Any) -> None:
    twin = Echo(DriverConfig())
    bus = wire(clock, twin)
    bus.write(b"\xaa")
    twin.unplug()
    bus.write(bytes.fromhex(ONE))
    assert bus.read() == b""
    twin.plug()
    bus.write(bytes.fromhex(ONE))
    assert bus.read().hex().upper() == TWO


def test_twins_at_one_port_meet_in_their_order(clock: Any) -> None:
    met: list[tuple[int, int]] = []

    class Numbered(Echo):
        def __init__(self, number: int) -> None:
            super().__init__(DriverConfig())
            self.number = number

        def meet(self, other: Any) -> None:
            met.append((self.number, other.number))

    wire(clock, Numbered(1), Numbered(2), Numbered(3))
    assert sorted(met) == [(2, 1), (3, 1), (3, 2)]
