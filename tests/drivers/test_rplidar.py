"""RPLidar: bytes of the protocol's description, damaged streams, and the twin."""

import math
import struct
from itertools import pairwise
from typing import Any

import pytest
from horus_drivers.lidar.planar import ScannerSimConfig
from horus_drivers.lidar.rplidar import Rplidar, RplidarConfig, RplidarSim

from horus.hal import DeviceFault, FaultKind, LocalSerial, SerialBus, SerialLink
from horus.msgs import LaserScan

SERIAL = bytes.fromhex("C0FFEE00112233445566778899AABBCC")
INFO = bytes.fromhex("A55A1400000004 28180104".replace(" ", "")) + SERIAL
GOOD = bytes.fromhex("A55A0300000006000000")
ERROR = bytes.fromhex("A55A0300000006020180")
SCANNING = bytes.fromhex("A55A0500004081")
EXPRESS = bytes.fromhex("A55A5400004082")
START_EXPRESS = bytes.fromhex("A58205000000000022")


def node(degrees: float, metres: float, first: bool = False, quality: int = 15) -> bytes:
    head = quality << 2 | (0b01 if first else 0b10)
    return struct.pack("<BHH", head, round(degrees * 64) << 1 | 1, round(metres * 4000))


def capsule(degrees: float, metres: float = 1.0, first: bool = False, back: int = 0) -> bytes:
    """Return an express packet: 32 rays from an angle on, each some eighths of a degree back."""
    angle = round(degrees * 64) | (0x8000 if first else 0)
    ray = round(metres * 1000) << 2 | back >> 4
    body = struct.pack("<H", angle) + struct.pack("<HHB", ray, ray, (back & 15) * 17) * 16
    check = 0
    for byte in body:
        check ^= byte
    return bytes((0xA0 | check & 15, 0x50 | check >> 4)) + body


def capsules(metres: float = 1.0) -> bytes:
    """Return a turn of express packets, 30 degrees each."""
    return b"".join(capsule(a, metres) for a in range(0, 360, 30))


def turn(metres: float = 1.0) -> bytes:
    return b"".join(node(a + a * 7 % 13 / 16, metres, a == 0) for a in range(360))


class Scanner(SerialBus):
    """A scanner that answers with fixed bytes, and scans when the test says."""

    name = "s0"

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.incoming = b""
        self.written: list[bytes] = []
        self.answers = {b"\xa5\x50": INFO, b"\xa5\x52": GOOD, b"\xa5\x20": SCANNING}
        self.answers[START_EXPRESS] = EXPRESS
        self.streaming = False

    def write(self, data: bytes) -> None:
        self.written.append(data)
        if data == b"\xa5\x25":
            self.streaming = False
        if not self.streaming:
            self.incoming += self.answers.get(data, b"")

    def read(self, timeout: float = 0.0) -> bytes:
        data, self.incoming = self.incoming, b""
        if self.streaming:
            data += node(10, 1.0) * 3
        self.clock.advance(0.0 if data else timeout)
        return data

    def close(self) -> None:
        pass


class Bench:
    def __init__(self, clock: Any, **options: Any) -> None:
        self.clock = clock
        self.wire = Scanner(clock)
        self.link = SerialLink(self.wire, 0, "lidar", clock.monotonic_ns)
        self.driver = Rplidar(RplidarConfig(**{"scan": "standard", **options}), self.link)

    def hear(self, data: bytes) -> LaserScan | None:
        self.clock.advance(0.1)
        self.wire.incoming += data
        return self.driver.read()


@pytest.fixture
def bench(clock: Any) -> Bench:
    return Bench(clock, frame="laser")


def test_the_probe_asks_and_does_not_wait(bench: Bench) -> None:
    before = bench.clock.monotonic_ns()
    assert [bench.driver.probe() for _ in range(3)] == [False, False, True]
    assert bench.wire.written == [b"\xa5\x25", b"\xa5\x50"]  # stop, get info
    assert bench.clock.monotonic_ns() == before
    assert bench.driver.identity() == "c0ffee00112233445566778899aabbcc"


def test_a_scanner_that_was_left_scanning_is_found_too(bench: Bench) -> None:
    bench.wire.streaming = True
    assert [bench.driver.probe() for _ in range(3)] == [False, False, True]


def test_the_set_up_sends_these_bytes(bench: Bench) -> None:
    for pause in bench.driver.configure():
        bench.clock.advance(pause)
    assert [data.hex() for data in bench.wire.written] == [
        "a525",  # stop
        "a552",  # get health
        "a5f0029402c1",  # the motor's PWM: 660, as published
        "a520",  # scan
    ]


def test_a_scanner_that_does_not_start_is_a_fault_that_names_the_other_kind(clock: Any) -> None:
    bench = Bench(clock, scan="express")
    del bench.wire.answers[START_EXPRESS]
    with pytest.raises(DeviceFault, match="firmware may be too old: scan: standard") as info:
        for pause in bench.driver.configure():
            clock.advance(pause)
    assert info.value.kind is FaultKind.TIMEOUT
    assert bench.wire.written[-1] == START_EXPRESS


def test_the_motor_follows_the_rate(clock: Any) -> None:
    bench = Bench(clock, rate=5.0)
    for pause in bench.driver.configure():
        clock.advance(pause)
    assert bench.wire.written[2].hex() == "a5f0024a011c"  # 330


def test_an_error_that_stays_after_a_reset_is_a_fault(bench: Bench) -> None:
    bench.wire.answers[b"\xa5\x52"] = ERROR
    with pytest.raises(DeviceFault, match=r"lidar on s0: it reports error \(code 0x8001\)") as info:
        for pause in bench.driver.configure():
            bench.clock.advance(pause)
    assert info.value.kind is FaultKind.REJECTED
    assert b"\xa5\x40" in bench.wire.written
    assert b"\xa5\x20" not in bench.wire.written


def test_an_error_that_is_gone_after_a_reset_is_none(bench: Bench) -> None:
    bench.wire.answers[b"\xa5\x52"] = ERROR
    for pause in bench.driver.configure():
        bench.clock.advance(pause)
        if bench.wire.written[-1] == b"\xa5\x40":
            bench.wire.answers[b"\xa5\x52"] = GOOD
    assert bench.wire.written[-1] == b"\xa5\x20"


def test_a_scanner_that_does_not_tell_its_health_is_a_timeout(bench: Bench) -> None:
    del bench.wire.answers[b"\xa5\x52"]
    with pytest.raises(DeviceFault, match="no answer") as info:
        for pause in bench.driver.configure():
            bench.clock.advance(pause)
    assert info.value.kind is FaultKind.TIMEOUT


def test_nodes_in_si_units(bench: Bench) -> None:
    """3E 81 05 A0 0F: quality 15, 0x0581 >> 1 = 704 / 64 = 11 deg, 0x0FA0 / 4 = 1000 mm."""
    assert node(11, 1.0) == bytes.fromhex("3E8105A00F")
    bench.hear(SCANNING + turn())
    bench.hear(turn(2.0))
    began = bench.clock.monotonic_ns()
    scan = bench.hear(turn(3.0))
    assert scan is not None
    assert list(scan.ranges) == pytest.approx([2.0] * 360)
    assert set(scan.intensities) == {15.0}
    assert scan.angle_increment == pytest.approx(-math.radians(1.0))  # clockwise from above
    assert scan.scan_time == pytest.approx(0.1)
    assert scan.frame == "laser"
    assert bench.link.stamp_ns == began


def test_a_distance_of_zero_is_no_measurement(bench: Bench) -> None:
    bench.hear(turn())
    bench.hear(turn(0.0))
    scan = bench.hear(turn())
    assert scan is not None
    assert all(math.isnan(value) for value in scan.ranges)


@pytest.mark.parametrize("size", [1, 3, 7, 64])
def test_pieces_of_any_size(bench: Bench, size: int) -> None:
    stream = SCANNING + turn() + turn(2.0) + turn(3.0)
    found = [bench.hear(stream[at : at + size]) for at in range(0, len(stream), size)]
    (scan,) = [scan for scan in found if scan is not None]
    assert list(scan.ranges) == pytest.approx([2.0] * 360)


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 6, 8])
def test_lost_bytes_cost_a_few_rays_and_none_is_wrong(bench: Bench, cut: int) -> None:
    bench.hear(turn() + turn())
    for place in range(500, 1000, 7):
        good = turn(2.0)
        bench.hear(good[:place] + good[place + cut :])
        scan = bench.hear(turn(2.0))
        assert scan is not None
        seen = [value for value in scan.ranges if not math.isnan(value)]
        assert len(seen) > 340
        assert set(seen) <= {1.0, 2.0}


@pytest.mark.parametrize("garbage", [b"\x00" * 7, b"\xff" * 9, b"\xa5\x5a", b"U" * 50])
def test_garbage_costs_a_few_rays_and_none_is_wrong(bench: Bench, garbage: bytes) -> None:
    bench.hear(turn() + turn())
    good = turn(2.0)
    bench.hear(good[:700] + garbage + good[700:])
    scan = bench.hear(turn(2.0))
    assert scan is not None
    seen = [value for value in scan.ranges if not math.isnan(value)]
    assert len(seen) > 300
    assert set(seen) <= {1.0, 2.0}


def test_an_angle_out_of_the_order_is_left_out(bench: Bench) -> None:
    bench.hear(turn() + turn())
    good = turn(2.0)
    bench.hear(good[:700] + node(30, 9.0) + good[700:])
    scan = bench.hear(turn(2.0))
    assert scan is not None
    assert 9.0 not in list(scan.ranges)


# the express scan ---------------------------------------------------------------------------------


def test_express_packets_in_si_units(clock: Any) -> None:
    bench = Bench(clock, scan="express", rays=36)
    for pause in bench.driver.configure():
        clock.advance(pause)
    bench.hear(capsule(0, first=True) + capsules()[84:] + capsules())
    bench.hear(capsules(2.0))
    scan = bench.hear(capsules(3.0))
    assert scan is not None
    # a packet's angles are known with the next one: a turn ends one packet into the next
    assert list(scan.ranges) == pytest.approx([2.0] * 36)
    assert set(scan.intensities) == {0.0}


def test_each_ray_is_an_offset_before_its_even_place(clock: Any) -> None:
    """0x13 eighths of a degree are 2.375: the high two bits stand below the distance."""
    bench = Bench(clock, scan="express", rays=360)
    found = []
    bench.driver.sweep.add = lambda *ray: found.append(ray)  # type: ignore[method-assign,assignment,return-value,func-returns-value]
    bench.hear(b"".join(capsule(a) for a in (0, 30, 60, 90)))
    assert found == []  # it does not know yet how far a packet reaches
    bench.hear(capsule(120, back=0x13) + capsule(150))
    assert [ray[0] for ray in found[:32]] == pytest.approx([90 + 30 * i / 32 for i in range(32)])
    offset = [120 + 30 * i / 32 - 2.375 for i in range(32)]
    assert [ray[0] for ray in found[32:]] == pytest.approx(offset)
    assert {ray[1] for ray in found} == {1.0}


@pytest.mark.parametrize("size", [1, 10, 83, 85])
def test_express_packets_in_pieces_of_any_size(clock: Any, size: int) -> None:
    bench = Bench(clock, scan="express", rays=36)
    stream = EXPRESS + capsules() + capsules() + capsules(2.0) + capsules(3.0) + capsule(0)
    found = [bench.hear(stream[at : at + size]) for at in range(0, len(stream), size)]
    scans = [scan for scan in found if scan is not None]
    assert list(scans[-1].ranges) == pytest.approx([2.0] * 36)


def test_damaged_and_lost_express_packets_cost_rays_and_none_is_wrong(clock: Any) -> None:
    bench = Bench(clock, scan="express", rays=36)
    bench.hear(capsules() * 3)
    for place in range(2, 900, 23):
        damaged = bytearray(capsules())
        damaged[place] ^= 1 << place % 8
        if place % 2:
            del damaged[place]
        bench.hear(bytes(damaged))
        scan = bench.hear(capsules())
        assert scan is None or {v for v in scan.ranges if not math.isnan(v)} == {1.0}
    assert bench.link.errors > 0


# the twin, seen from the port ---------------------------------------------------------------------


class TwinBench:
    def __init__(self, clock: Any, **options: Any) -> None:
        self.clock = clock
        self.twin = RplidarSim(RplidarConfig(), ScannerSimConfig(**options))
        self.port = LocalSerial([self.twin], "s0", clock.monotonic_ns, clock.sleep)

    def ask(self, request: str) -> bytes:
        self.port.write(bytes.fromhex(request))
        return self.port.read()

    def after(self, seconds: float) -> bytes:
        data = b""
        for _ in range(round(seconds * 100)):
            self.clock.advance(0.01)
            data += self.port.read()
        return data


def test_the_twin_answers_as_the_description_says(clock: Any) -> None:
    bench = TwinBench(clock)
    assert bench.ask("A550")[:11].hex() == "a55a1400000004" + "28180104"
    assert len(bench.ask("A550")) == 27
    assert bench.ask("A552") == GOOD
    assert bench.ask("A520") == SCANNING
    assert bench.ask("A550") == b""  # scanning, it does not listen
    assert bench.ask("A525") == b""
    assert bench.ask("A552") == GOOD


def test_the_twin_scans_once_its_motor_turns(clock: Any) -> None:
    bench = TwinBench(clock)
    bench.ask("A520")
    assert bench.after(0.5) == b""
    bench.ask("A5F0029402C1")
    bench.after(2.0)
    data = bench.after(1.0)
    nodes = [data[at : at + 5] for at in range(0, len(data), 5)]
    assert len(nodes) == pytest.approx(4000, rel=0.02)
    assert all((n[0] & 3) in (1, 2) and n[1] & 1 for n in nodes)
    assert sum(n[0] & 1 for n in nodes) == pytest.approx(10, abs=1)
    bench.ask("A5F002000057")
    bench.after(3.0)
    assert bench.after(0.5) == b""


def test_a_wrong_checksum_is_not_obeyed(clock: Any) -> None:
    bench = TwinBench(clock)
    bench.ask("A5F0029402C0")
    assert bench.twin.pwm == 0


def test_the_twin_with_an_error_does_not_scan(clock: Any) -> None:
    bench = TwinBench(clock)
    bench.twin.stimulate("health", [2])
    assert bench.ask("A552") == ERROR
    assert bench.ask("A520") == b""


def test_the_twins_express_packets_are_as_described(clock: Any) -> None:
    bench = TwinBench(clock)
    assert bench.ask(START_EXPRESS.hex()) == EXPRESS
    bench.ask("A5F0029402C1")
    bench.after(2.0)
    data = bench.after(1.0)
    assert len(data) % 84 == 0
    packets = [data[at : at + 84] for at in range(0, len(data), 84)]
    assert len(packets) == pytest.approx(125, abs=3)
    for packet in packets:
        check = 0
        for byte in packet[2:]:
            check ^= byte
        assert packet[:2] == bytes((0xA0 | check & 15, 0x50 | check >> 4))
    angles = [int.from_bytes(p[2:4], "little") / 64 for p in packets]
    steps = [(b - a) % 360 for a, b in pairwise(angles)]
    assert steps == pytest.approx([28.8] * len(steps), abs=1.0)


@pytest.mark.parametrize("scan_kind", ["standard", "express"])
def test_the_driver_sees_the_room_of_the_twin(clock: Any, scan_kind: Any) -> None:
    bench = TwinBench(clock, noise=0.0, missing=0.0)
    bench.twin.stimulate("room", [6.0, 4.0])
    bench.twin.stimulate("pose", [1.0, -0.5, math.pi / 2])
    config = RplidarConfig(scan=scan_kind)
    driver = Rplidar(config, SerialLink(bench.port, 0, "lidar", clock.monotonic_ns))
    while not driver.probe():
        clock.advance(0.1)
    for pause in driver.configure():
        clock.advance(pause)
    scan = None
    for _ in range(400):
        clock.advance(0.005)
        scan = driver.read() or scan
    assert scan is not None
    ahead, right, behind, left = (scan.ranges[i * 90] for i in range(4))
    assert (ahead, right, behind, left) == pytest.approx((2.5, 2.0, 1.5, 4.0), abs=0.08)
    assert scan.scan_time == pytest.approx(0.1, abs=0.011)
