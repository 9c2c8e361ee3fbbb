"""CAN frames, frame maps, and many links on one bus."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from horus.hal import (
    CanFrame,
    CanHub,
    CanLink,
    CanMap,
    CanSim,
    Command,
    DeviceFault,
    DriverConfig,
    FaultKind,
    Report,
)
from horus.hal.can import ERROR_BUS_OFF, ERROR_CONTROLLER, ERROR_RESTARTED, CanState
from horus.hal.canlink import Inbox
from horus.hal.layouts import Constant
from horus.hal.localcan import CanWire


class Pair(NamedTuple):
    first: int
    second: float


class Map(CanMap):
    go = Command(0x07, "<If")
    status = Report(0x01, "<Bf", Pair)
    other = Report(0x02, "<Bf", Pair)

    @classmethod
    def can_id(cls, station: int, command: int) -> int:
        return station << 5 | command


class Bench:
    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.wire = CanWire("can0", clock.monotonic_ns)
        self.device = self.wire.open()
        self.hub = CanHub(self.wire.open())
        self.map = self.open(3)

    def open(self, node: int, name: str = "wheel") -> Map:
        return Map(CanLink(self.hub, node, name, self.clock.monotonic_ns))

    def report(self, frame: CanFrame) -> None:
        self.device.send(frame)
        self.hub.poll()


@pytest.fixture
def bench(clock: Any) -> Bench:
    return Bench(clock)


STATUS = CanFrame(0x061, b"\x05\x00\x00\x80\x3f")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: CanFrame(0x800), "0x800 does not fit in 11 bits"),
        (lambda: CanFrame(1 << 29, extended=True), "29 bits"),
        (lambda: CanFrame(1, bytes(9)), "9 bytes do not fit"),
        (lambda: CanFrame(1, bytes(65), fd=True), "65 bytes do not fit"),
        (lambda: CanFrame(1, b"x", remote=True), "carries no data"),
    ],
)
def test_a_frame_that_cannot_be_is_refused(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


def test_a_command_is_packed_with_its_id(bench: Bench) -> None:
    bench.map.go.send(1, 1.0)
    assert bench.device.receive() == CanFrame(0x067, b"\x01\0\0\0\0\0\x80\x3f")


def test_a_report_is_read_once_as_new_and_kept_as_latest(bench: Bench) -> None:
    assert bench.map.status.latest() is None
    bench.report(STATUS)
    assert bench.map.status.new() == Pair(5, 1.0)
    assert bench.map.status.new() is None
    assert bench.map.status.latest() == Pair(5, 1.0)


def test_a_padded_report_is_read_by_offset(bench: Bench) -> None:
    bench.report(CanFrame(0x061, STATUS.data + b"\0\0\0"))
    assert bench.map.status.latest() == Pair(5, 1.0)


def test_a_report_that_is_too_short_is_corrupt_and_counted(bench: Bench) -> None:
    bench.report(CanFrame(0x061, b"\x05"))
    with pytest.raises(DeviceFault, match="status frame has 1 bytes where 5 are needed") as info:
        bench.map.status.latest()
    assert info.value.kind is FaultKind.CORRUPT
    assert bench.map.link.errors == 1


def test_the_age_of_a_report_is_that_of_its_arrival(bench: Bench, clock: Any) -> None:
    bench.report(STATUS)
    clock.advance(0.3)
    assert bench.map.status.age == pytest.approx(0.3)
    assert bench.map.status.require(0.5) == Pair(5, 1.0)
    clock.advance(0.3)
    with pytest.raises(DeviceFault, match="no status for 0.60 s") as info:
        bench.map.status.require(0.5)
    assert info.value.kind is FaultKind.STALE


def test_poll_asks_by_remote_frame_once_per_period_and_only_when_nothing_comes(
    bench: Bench, clock: Any
) -> None:
    def asked() -> list[CanFrame]:
        return [f for f in iter(bench.device.receive, None) if f.remote]

    bench.map.status.poll(every=1.0)
    bench.map.status.poll(every=1.0)
    assert asked() == [CanFrame(0x061, remote=True)]
    clock.advance(1.0)
    bench.map.status.poll(every=1.0)
    assert len(asked()) == 1
    bench.report(STATUS)
    clock.advance(0.9)
    bench.map.status.poll(every=1.0)
    assert asked() == []


def test_remote_frames_and_own_commands_are_not_taken_for_reports(bench: Bench) -> None:
    bench.report(CanFrame(0x061, remote=True))
    bench.map.go.send(1, 1.0)
    bench.hub.poll()
    assert bench.map.status.latest() is None


def test_two_devices_get_their_own_frames(bench: Bench) -> None:
    second = bench.open(4, "other")
    bench.report(CanFrame(0x081, b"\x09\0\0\0\0"))
    assert second.status.latest() == Pair(9, 0.0)
    assert bench.map.status.latest() is None


def test_a_node_id_that_is_taken_names_both_devices(bench: Bench) -> None:
    with pytest.raises(DeviceFault, match=r"second on can0: frames 0x61 are already those of whe"):
        bench.open(3, "second")


def test_a_device_may_come_back_with_a_new_link(bench: Bench) -> None:
    again = bench.open(3)
    bench.report(STATUS)
    assert again.status.latest() == Pair(5, 1.0)
    assert bench.map.status.latest() is None


def test_in_bus_off_a_send_is_refused_instead_of_vanishing(bench: Bench) -> None:
    bench.report(CanFrame(ERROR_BUS_OFF, bytes(8), error=True))
    with pytest.raises(DeviceFault, match="wheel on can0: the CAN controller is bus-off") as info:
        bench.map.go.send(1, 1.0)
    assert info.value.kind is FaultKind.BUS_OFF
    assert "terminators" in str(info.value)


def test_other_error_frames_are_counted_and_harmless(bench: Bench) -> None:
    bench.report(CanFrame(0x08, bytes(8), error=True))
    bench.map.go.send(1, 1.0)
    assert bench.hub.error_frames == 1
    assert bench.map.link.errors == 1


@pytest.mark.parametrize(
    ("told", "state"),
    [
        (0x04, CanState.WARNING),  # receiving
        (0x08, CanState.WARNING),  # sending
        (0x10, CanState.PASSIVE),
        (0x2C, CanState.PASSIVE),  # with those it passed before
        (0x40, CanState.ACTIVE),
    ],
)
def test_a_controller_in_trouble_is_known_and_no_data(
    bench: Bench, told: int, state: CanState
) -> None:
    bench.report(CanFrame(ERROR_CONTROLLER, bytes((0, told, *[0] * 6)), error=True))
    assert bench.hub.state is state
    assert not bench.hub.bus_off
    assert bench.map.status.latest() is None
    bench.map.go.send(1, 1.0)


def test_an_error_that_tells_no_state_leaves_it_as_it_was(bench: Bench) -> None:
    bench.report(CanFrame(ERROR_CONTROLLER, bytes((0, 0x10, *[0] * 6)), error=True))
    bench.report(CanFrame(0x08, bytes(8), error=True))
    bench.report(CanFrame(ERROR_CONTROLLER, b"", error=True))
    assert bench.hub.state is CanState.PASSIVE
    assert CanFrame(ERROR_CONTROLLER, bytes(8)).state is None  # data with that id


def test_values_that_do_not_fit_name_the_command(bench: Bench) -> None:
    with pytest.raises(ValueError, match="go"):
        bench.map.go.send(-1, 0.0)


# frames that share an id, FD, twins ---------------------------------------------------------------


class Answer(NamedTuple):
    node: int
    value: int


class Bus(CanMap):
    """Motors that all report to their master's id, and begin with their own."""

    extended = True
    stop = Command(0x00, Constant("FFFD"))
    go = Command(0x00, "<H")
    answer = Report(0x700, "<BB", Answer, when=lambda data, node: data[:1] == bytes([node]))
    long = Report(0x700, "<BBH", lambda *v: v, when=lambda d, node: len(d) > 2 and d[0] == node)

    @classmethod
    def can_id(cls, station: int, command: int) -> int:
        return command or station


class Fd(CanMap):
    fd = True
    padding = 0x50
    query = Command(0x00, "9s")

    @classmethod
    def can_id(cls, station: int, command: int) -> int:
        return station


def test_reports_that_share_an_id_are_told_apart_by_content(bench: Bench, clock: Any) -> None:
    first, second = (
        Bus(CanLink(bench.hub, node, f"motor{node}", clock.monotonic_ns)) for node in (1, 2)
    )
    bench.report(CanFrame(0x700, b"\x02\x09", extended=True))
    assert first.answer.latest() is None
    assert second.answer.new() == Answer(2, 9)
    bench.report(CanFrame(0x700, b"\x01\x07\x34\x12", extended=True))
    assert first.answer.new() == Answer(1, 7)
    assert first.long.latest() == (1, 7, 0x1234)
    assert second.answer.new() is None
    bench.report(CanFrame(0x700, b"\x01\x07"))  # a standard id
    assert first.answer.new() is None


def test_a_shared_id_is_not_given_to_one_alone(bench: Bench, clock: Any) -> None:
    Bus(CanLink(bench.hub, 1, "motor1", clock.monotonic_ns))
    alone = CanLink(bench.hub, 9, "other", clock.monotonic_ns)
    with pytest.raises(DeviceFault, match="frames 0x700 are already those of motor1"):
        alone.listen(Inbox(0x700, extended=True))


def test_fd_frames_are_padded_to_a_length_that_there_is(bench: Bench) -> None:
    fd = Fd(CanLink(bench.hub, 1, "fd"))
    fd.query.send(b"123456789")
    assert bench.device.receive() == CanFrame(1, b"123456789PPP", fd=True)
    with pytest.raises(ValueError, match="an FD frame cannot have 9 bytes of data"):
        CanFrame(1, bytes(9), fd=True)


def test_an_answer_that_was_forgotten_is_not_seen_again(bench: Bench) -> None:
    bench.report(STATUS)
    bench.map.status.forget()
    assert bench.map.status.latest() is None
    assert bench.map.status.new() is None
    bench.report(STATUS)
    assert bench.map.status.new() == Pair(5, 1.0)


def test_two_reports_at_one_moment_are_both_new(bench: Bench) -> None:
    bench.report(STATUS)
    assert bench.map.status.new() is not None
    bench.report(STATUS)
    assert bench.map.status.new() is not None


def test_a_command_is_repeated_only_after_a_while(bench: Bench, clock: Any) -> None:
    for _ in range(10):
        bench.map.go.repeat(0.05, 1, 1.0)
        clock.advance(0.01)
    assert len(list(iter(bench.device.receive, None))) == 2
    bench.map.go.send(1, 1.0)
    bench.map.go.repeat(0.05, 1, 1.0)
    assert len(list(iter(bench.device.receive, None))) == 1


def test_after_a_restart_the_controller_may_send_again(bench: Bench) -> None:
    bench.report(CanFrame(ERROR_BUS_OFF, bytes(8), error=True))
    assert bench.hub.bus_off
    bench.report(CanFrame(ERROR_RESTARTED, bytes(8), error=True))
    bench.map.go.send(1, 1.0)


@dataclass(frozen=True, kw_only=True)
class NodeConfig(DriverConfig):
    node: int = 1


class BusSim(CanSim[NodeConfig, Bus]):
    """A motor that answers each command."""

    cyclic = {"long": 0.1}  # noqa: RUF012

    def power_on(self) -> None:
        self.heard: list[object] = []

    def on_stop(self) -> None:
        self.heard.append("stop")
        self.emit("answer", self.station, 0)

    def on_go(self, value: int) -> None:
        self.heard.append(value)
        self.emit("answer", self.station, value & 0xFF)

    def report_long(self) -> tuple[int, int, int]:
        return self.station, 0, 0xFFFF


def test_a_twin_tells_commands_apart_by_content_and_answers() -> None:
    twin = BusSim(NodeConfig())
    answers = twin.receive(CanFrame(1, b"\xff\xfd", extended=True))
    assert answers == [CanFrame(0x700, b"\x01\x00", extended=True)]
    answers = twin.receive(CanFrame(1, b"\x05\x00", extended=True))
    assert answers == [CanFrame(0x700, b"\x01\x05", extended=True)]
    assert twin.heard == ["stop", 5]
    assert twin.receive(CanFrame(1, b"\x05\x00")) == []  # a standard id
    assert twin.receive(CanFrame(2, b"\x05\x00", extended=True)) == []
    assert twin.receive(CanFrame(1, b"\x05", extended=True)) == []  # too short


def test_a_period_can_be_changed_and_turned_off() -> None:
    twin = BusSim(NodeConfig())
    assert len(twin.due()) == 1
    twin.periods["long"] = 0.0
    twin.time = 5.0
    assert twin.due() == []


def test_silence_drops_and_damage_also_meet_what_is_emitted() -> None:
    twin = BusSim(NodeConfig())
    order = CanFrame(1, b"\x05\x00", extended=True)
    twin.silence()
    assert twin.receive(order) == []
    twin.silence(False)
    twin.drop(1.0)
    assert twin.receive(order) == []
    twin.drop(0.0)
    twin.corrupt(1.0)
    (damaged,) = twin.receive(order)
    assert damaged.error
