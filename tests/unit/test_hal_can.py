"""CAN frames, frame maps, and many links on one bus."""

from typing import Any, NamedTuple

import pytest

from horus.hal import CanFrame, CanHub, CanLink, CanMap, Command, DeviceFault, FaultKind, Report
from horus.hal.can import ERROR_BUS_OFF
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


def test_values_that_do_not_fit_name_the_command(bench: Bench) -> None:
    with pytest.raises(ValueError, match="go"):
        bench.map.go.send(-1, 0.0)
