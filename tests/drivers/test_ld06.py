"""LD06: the maker's own packet, damaged streams, and the twin in its room."""

import math
import struct
from typing import Any

import pytest
from horus_drivers.lidar.ld06 import Ld06, Ld06Config, Ld06Sim
from horus_drivers.lidar.planar import ScannerSimConfig, wall

from horus.hal import LocalSerial, SerialBus, SerialLink
from horus.msgs import LaserScan

#: A sample of the maker's: 324.27 to 334.70 deg, the first point 224 mm, CRC 0x50.
VECTOR = bytes.fromhex(
    "542C6808AB7EE000E4DC00E2D900E5D500E3D300E4D000E9CD00E4CA00E2C700E9C500E5C200E5C000E5BE823A1A50"
)


def crc(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x4D) & 0xFF if value & 0x80 else value << 1
    return value


def packet(first: float, last: float, metres: float = 1.0) -> bytes:
    """Return twelve points between two angles in degrees, counted by hand."""
    points = struct.pack("<HB", round(metres * 1000), 200) * 12
    angles = round(first * 100) % 36_000, round(last * 100) % 36_000
    body = struct.pack("<BBHH", 0x54, 0x2C, 3600, angles[0]) + points
    body += struct.pack("<HH", angles[1], 0)
    return body + bytes((crc(body),))


def turn(metres: float = 1.0) -> bytes:
    """Return a whole turn of packets, 10 degrees each."""
    return b"".join(packet(a, a + 9.2, metres) for a in range(0, 360, 10))


class Wire(SerialBus):
    """A port at which bytes arrive as the test says."""

    name = "s0"

    def __init__(self) -> None:
        self.incoming = b""

    def write(self, data: bytes) -> None:
        raise AssertionError("an LD06 is told nothing")

    def read(self, timeout: float = 0.0) -> bytes:
        data, self.incoming = self.incoming, b""
        return data

    def close(self) -> None:
        pass


class Bench:
    def __init__(self, clock: Any, **options: Any) -> None:
        self.clock = clock
        self.wire = Wire()
        self.link = SerialLink(self.wire, 0, "lidar", clock.monotonic_ns)
        self.driver = Ld06(Ld06Config(**options), self.link)

    def hear(self, data: bytes) -> LaserScan | None:
        self.clock.advance(0.1)
        self.wire.incoming += data
        return self.driver.read()


@pytest.fixture
def bench(clock: Any) -> Bench:
    return Bench(clock, rays=36, frame="laser")


def test_the_makers_packet_is_whole(clock: Any) -> None:
    bench = Bench(clock)
    assert crc(VECTOR[:-1]) == VECTOR[-1] == 0x50
    bench.wire.incoming = VECTOR
    assert bench.driver.probe()


def test_the_points_of_the_makers_packet_are_where_they_are_measured(clock: Any) -> None:
    """The packet ends a turn: 224 mm at 324.27 deg, 194 at 333.75, 192 at 334.70."""
    bench = Bench(clock, rays=360)
    before = b"".join(packet(a, a + 9.2) for a in range(0, 310, 10)) + packet(310, 320)
    bench.hear(turn() + before)
    scan = bench.hear(VECTOR + packet(340, 349) + packet(350, 359) + packet(0, 9))
    assert scan is not None
    assert scan.ranges[324] == pytest.approx(0.224)
    assert scan.intensities[324] == 0xE4
    assert scan.ranges[333] == pytest.approx(0.194)
    assert scan.ranges[334] == pytest.approx(0.192)
    assert scan.ranges[100] == pytest.approx(1.0)


def test_a_scan_in_si_units_and_in_the_order_it_turns(bench: Bench) -> None:
    assert bench.hear(turn()) is None  # it may have begun before anybody listened
    assert bench.hear(turn(2.0)) is None
    began = bench.clock.monotonic_ns()
    scan = bench.hear(turn(3.0))
    assert scan is not None
    assert list(scan.ranges) == pytest.approx([2.0] * 36)
    assert set(scan.intensities) == {200.0}
    assert scan.angle_min == pytest.approx(-math.pi / 36)
    assert scan.angle_increment == pytest.approx(-2 * math.pi / 36)  # clockwise from above
    assert scan.scan_time == pytest.approx(0.1)
    assert scan.time_increment == pytest.approx(0.1 / 36)
    assert (scan.range_min, scan.range_max) == pytest.approx((0.02, 12.0))
    assert scan.frame == "laser"
    assert bench.link.stamp_ns == began  # of the first ray


def test_head_down_it_turns_the_other_way(clock: Any) -> None:
    bench = Bench(clock, clockwise=False, rays=36)
    bench.hear(turn())
    bench.hear(turn())
    scan = bench.hear(turn())
    assert scan is not None
    assert scan.angle_increment > 0


def test_no_echo_and_echoes_out_of_range_are_invalid(clock: Any) -> None:
    for metres in (0.0, 0.01, 13.0):
        bench = Bench(clock, rays=36)
        for _ in range(2):
            bench.hear(turn(metres))
        scan = bench.hear(turn())
        assert scan is not None
        assert all(math.isnan(value) for value in scan.ranges)


def test_half_a_packet_waits_for_its_other_half(bench: Bench) -> None:
    stream = turn() + turn(2.0) + turn(3.0)
    found = [bench.hear(stream[at : at + 5]) for at in range(0, len(stream), 5)]
    scans = [scan for scan in found if scan is not None]
    assert [scan.ranges[7] for scan in scans] == pytest.approx([2.0])


def test_no_damaged_packet_is_believed(bench: Bench) -> None:
    bench.hear(turn() + turn())
    good = turn(2.0)
    for place in range(0, len(good), 13):
        stream = bytearray(good)
        stream[place] ^= 1 << place % 8
        scan = bench.hear(bytes(stream))
        assert scan is None or set(scan.ranges) <= {1.0, 2.0} or any(map(math.isnan, scan.ranges))
        if scan is not None:
            assert all(math.isnan(r) or r in (1.0, 2.0) for r in scan.ranges)
    assert bench.link.errors > 0


def test_garbage_between_packets_costs_nothing(bench: Bench) -> None:
    bench.hear(turn() + turn())
    data = b"\x54\x2c\x54\x54".join(packet(a, a + 9.2, 2.0) for a in range(0, 360, 10))
    bench.hear(data)
    scan = bench.hear(turn())
    assert scan is not None
    assert list(scan.ranges) == pytest.approx([2.0] * 36)


def test_a_packet_of_impossible_angles_is_left_out(bench: Bench) -> None:
    bench.hear(turn() + turn())
    before = bench.link.errors
    bench.hear(packet(10, 90) + packet(40, 9))
    assert bench.link.errors == before + 2


def test_half_a_turn_is_not_sent_as_a_whole_one(bench: Bench) -> None:
    bench.hear(turn())
    third = b"".join(packet(a, a + 9.2) for a in range(0, 120, 10))
    bench.hear(third)
    assert bench.hear(packet(120, 129) + packet(350, 359) + turn()) is None


# the twin -----------------------------------------------------------------------------------------


def test_the_twins_packets_are_as_the_makers(clock: Any) -> None:
    twin = Ld06Sim(Ld06Config())
    port = LocalSerial([twin], "s0", clock.monotonic_ns, clock.sleep)
    data = b""
    for _ in range(300):
        clock.advance(0.01)
        data += port.read()
    assert len(data) % 47 == 0
    packets = [data[at : at + 47] for at in range(0, len(data), 47)]
    assert all(p[:2] == b"\x54\x2c" and crc(p[:-1]) == p[-1] for p in packets)
    speeds = [struct.unpack_from("<H", p, 2)[0] for p in packets]
    assert speeds[-1] == pytest.approx(3600, abs=2)
    firsts = [struct.unpack_from("<H", p, 4)[0] for p in packets[-100:]]
    assert max(firsts) < 36_000
    per_second = 12 * len(packets) / 3.0
    assert per_second == pytest.approx(4500, rel=0.1)


def test_the_driver_sees_the_room_of_the_twin(clock: Any) -> None:
    options = ScannerSimConfig(noise=0.0, missing=0.0)
    twin = Ld06Sim(Ld06Config(), options)
    twin.stimulate("room", [6.0, 4.0])
    twin.stimulate("pose", [1.0, -0.5, math.pi / 2])
    port = LocalSerial([twin], "s0", clock.monotonic_ns, clock.sleep)
    driver = Ld06(Ld06Config(), SerialLink(port, 0, "lidar", clock.monotonic_ns))
    scan = None
    for _ in range(400):
        clock.advance(0.005)
        scan = driver.read() or scan
    assert scan is not None
    quarter = len(scan.ranges) // 4
    ahead, right, behind, left = (scan.ranges[i * quarter] for i in range(4))
    assert ahead == pytest.approx(2.5, abs=0.05)  # it looks along y
    assert right == pytest.approx(2.0, abs=0.05)  # clockwise: the second quarter is on the right
    assert behind == pytest.approx(1.5, abs=0.05)
    assert left == pytest.approx(4.0, abs=0.05)


@pytest.mark.parametrize(
    ("pose", "angle", "metres"),
    [
        ((0.0, 0.0, 0.0), 0.0, 3.0),
        ((0.0, 0.0, 0.0), math.pi / 2, 2.0),
        ((0.0, 0.0, 0.0), math.pi, 3.0),
        ((0.0, 0.0, 0.0), math.atan2(2.0, 3.0), math.hypot(2.0, 3.0)),
        ((2.0, 1.0, -math.pi / 2), 0.0, 3.0),
        ((5.0, 0.0, 0.0), 0.0, 0.0),  # outside
    ],
)
def test_how_far_the_walls_are(pose: tuple[float, ...], angle: float, metres: float) -> None:
    assert wall((6.0, 4.0), pose, angle) == pytest.approx(metres)
