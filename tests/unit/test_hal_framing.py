"""Frames in a stream of bytes: found whole, at any split, and again after garbage."""

import random
import struct
from collections.abc import Iterator

import pytest
from horus_drivers.motor.vesc_uart import VescFraming, framed
from horus_drivers.servo._x_series import DynamixelMap
from horus_drivers.servo.feetech import FeetechMap

from horus.hal import Checksum, Deframer, Framing, HeaderFraming
from horus.hal.checksums import (
    crc8,
    crc16_umts,
    crc16_xmodem,
    fletcher8,
    inverted_sum8,
    sum8,
    xor8,
)

SIZED = HeaderFraming(b"\x59\x59", size=9, checksum=Checksum(sum8))
LENGTH = HeaderFraming(b"\xb5\x62", length=(4, "<H", 7), checksum=Checksum(sum8, start=2))


def sized(payload: bytes = bytes(6)) -> bytes:
    head = b"\x59\x59" + payload
    return head + bytes((sum(head) & 0xFF,))


def counted(payload: bytes) -> bytes:
    head = b"\xb5\x62\x01\x07" + struct.pack("<H", len(payload) + 1) + payload + b"\x00"
    return head + bytes((sum(head[2:]) & 0xFF,))


def many(frame: bytes) -> bytes:
    """Return more frames than any wrong length can swallow, and a few."""
    return frame * (1100 // len(frame) + 6)


EXAMPLES: list[tuple[Framing, bytes]] = [
    (SIZED, sized(b"\x59\x59\x00\x01\x02\x03")),
    (LENGTH, counted(b"\xb5\x62\xb5\x00")),
    (DynamixelMap.framing, bytes.fromhex("FFFFFD00 01 0700 55 00 2404 2D F4DF")),
    (DynamixelMap.framing, DynamixelMap.encode(1, 3, b"\x74\x00\xff\xff\xfd\x00")),
    (FeetechMap.framing, bytes.fromhex("FFFF010A032932E8030000600942")),
    (FeetechMap.framing, FeetechMap.encode(2, 0, b"\xff\xff\xff\x01")),
    (VescFraming(), framed(b"\x02\x03\x04")),
    (VescFraming(), framed(bytes(300))),
]


@pytest.fixture(params=range(len(EXAMPLES)))
def example(request: pytest.FixtureRequest) -> Iterator[tuple[Framing, bytes]]:
    yield EXAMPLES[request.param]


def test_a_frame_is_found_at_whatever_byte_it_is_split(example: tuple[Framing, bytes]) -> None:
    framing, frame = example
    for place in range(len(frame) + 1):
        deframer = Deframer(framing)
        found = deframer.feed(frame[:place]) + deframer.feed(frame[place:])
        assert found == [frame]
        assert (deframer.skipped, deframer.damaged, deframer.pending) == (0, 0, b"")


def test_many_frames_come_out_in_order_byte_by_byte(example: tuple[Framing, bytes]) -> None:
    framing, frame = example
    deframer = Deframer(framing)
    found = [each for byte in frame * 5 for each in deframer.feed(bytes((byte,)))]
    assert found == [frame] * 5


@pytest.mark.parametrize("seed", range(8))
def test_after_garbage_the_frames_are_found_again(
    example: tuple[Framing, bytes], seed: int
) -> None:
    """Garbage may swallow the frames that follow it, by a length, but not for ever."""
    framing, frame = example
    chance = random.Random(seed)
    garbage = chance.randbytes(chance.randrange(1, 40))
    found = Deframer(framing).feed(garbage + many(frame))
    assert len(found) >= 5
    assert set(found[-5:]) == {frame}


def test_the_beginning_of_a_frame_is_no_obstacle(example: tuple[Framing, bytes]) -> None:
    framing, frame = example
    for cut in range(1, len(frame)):
        found = Deframer(framing).feed(frame[:cut] + many(frame))
        assert len(found) >= 5
        assert set(found) == {frame}


def test_a_damaged_bit_costs_its_frame_alone(example: tuple[Framing, bytes]) -> None:
    framing, frame = example
    for place in range(len(frame)):
        damaged = bytearray(frame)
        damaged[place] ^= 0x04
        deframer = Deframer(framing)
        found = deframer.feed(frame + bytes(damaged) + many(frame))
        assert bytes(damaged) not in found
        assert found[0] == frame
        assert found[-1] == frame
        assert deframer.skipped > 0


def test_a_lost_byte_costs_its_frame_and_at_most_one_more(example: tuple[Framing, bytes]) -> None:
    framing, frame = example
    for place in range(len(frame)):
        short = frame[:place] + frame[place + 1 :]
        found = Deframer(framing).feed(frame + short + many(frame))
        assert found[0] == frame
        assert found[-1] == frame


def test_a_length_that_cannot_be_is_not_waited_for() -> None:
    framing = HeaderFraming(b"\xb5\x62", length=(4, "<H", 8), checksum=Checksum(sum8), largest=100)
    deframer = Deframer(framing)
    assert deframer.feed(b"\xb5\x62\x01\x07\xff\xff") == []
    assert deframer.pending == b""
    assert deframer.skipped == 6


def test_a_runaway_length_gives_its_bytes_back() -> None:
    """What a wrong length covered is looked at again once it is known to be wrong."""
    frame = counted(b"abc")
    deframer = Deframer(LENGTH)
    assert deframer.feed(b"\xb5\x62\x01\x07\x20\x00" + frame * 2) == []
    assert deframer.feed(frame * 2) == [frame] * 4
    assert deframer.damaged == 1


def test_a_frame_inside_of_a_damaged_one_is_found() -> None:
    frame = sized()
    deframer = Deframer(SIZED)
    assert deframer.feed(b"\x59\x59\x01" + frame) == [frame]


def test_garbage_of_any_length_is_looked_at_in_pieces() -> None:
    class Watched(HeaderFraming):
        longest = 0

        def measure(self, data: bytes) -> int:
            self.longest = max(self.longest, len(data))
            return super().measure(data)

    framing = Watched(b"\x59\x59", size=9, checksum=Checksum(sum8))
    frame = sized(b"abcdef")
    assert Deframer(framing).feed(bytes(100_000) + frame + bytes(100_000) + frame) == [frame] * 2
    assert framing.longest < 2000  # or the time taken grows with the square of the length


def test_forgetting_drops_what_is_pending() -> None:
    deframer = Deframer(SIZED)
    deframer.feed(sized()[:5])
    deframer.clear()
    assert deframer.feed(sized()) == [sized()]


@pytest.mark.parametrize("bad", [{}, {"size": 9, "length": (0, "B", 0)}])
def test_a_frame_has_a_size_or_a_length(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="either a size or a length"):
        HeaderFraming(b"\x00", **bad)  # type: ignore[arg-type]


def test_stuffing_survives_every_mix_of_marks() -> None:
    chance = random.Random(4)
    for _ in range(2000):
        data = bytes(chance.choice(b"\xff\xff\xfd\x00") for _ in range(chance.randrange(20)))
        frame = DynamixelMap.encode(1, 3, data)
        assert b"\xff\xff\xfd\x00" not in frame[4:]
        packet = DynamixelMap.decode(frame)
        assert packet is not None
        assert packet.data == data


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (crc16_umts, 0xFEE8),
        (crc16_xmodem, 0x31C3),
        (crc8(0xD5), 0xBC),
        (xor8, 0x31),
        (sum8, 0xDD),
        (inverted_sum8, 0x22),
        (fletcher8, 0x15DD),
    ],
)
def test_checksums_of_the_catalogue_s_check_value(function: object, expected: int) -> None:
    assert callable(function)
    assert function(b"123456789") == expected


def test_the_checksum_of_a_recorded_scan() -> None:
    scan = bytes.fromhex(
        "542C6808AB7EE000E4DC00E2D900E5D500E3D300E4D000E9CD00E4CA00E2C700E9C500E5C200E5C000E5BE823A1A50"
    )
    assert crc8(0x4D)(scan[:-1]) == scan[-1]
