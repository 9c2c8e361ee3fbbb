"""The bytes on the bus: MessagePack as others write it, and nothing that could do harm."""

from __future__ import annotations

import random
import re
import struct
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

import horus.bus
from horus.bus import Publisher, Subscriber, Topic, codec, rings, session
from horus.bus import layout as L
from horus.errors import CorruptTopicError, MessageTypeError


def last_payload(name: str) -> tuple[int, bytes]:
    """Return kind and payload of the last message of a topic with one publisher, from the file."""
    (ring,) = rings.ring_files(session.topics_dir() / name)
    data = ring.path.read_bytes()
    slots, stride = struct.unpack_from("<II", data, L.RING_SLOTS)
    (number,) = struct.unpack_from("<Q", data, L.RING_NEXT)
    slot = L.RING_HEADER + (number - 1) % slots * stride
    length, kind = struct.unpack_from("<II", data, slot + L.SLOT_LENGTH)
    return kind, data[slot + L.SLOT_HEADER : slot + L.SLOT_HEADER + length]


def overwrite_payload(name: str, kind: int, payload: bytes) -> None:
    """Replace the last message of a topic with one publisher, in the file."""
    (ring,) = rings.ring_files(session.topics_dir() / name)
    with ring.path.open("r+b") as file:
        data = file.read()
        slots, stride = struct.unpack_from("<II", data, L.RING_SLOTS)
        (number,) = struct.unpack_from("<Q", data, L.RING_NEXT)
        file.seek(L.RING_HEADER + (number - 1) % slots * stride + L.SLOT_LENGTH)
        file.write(struct.pack("<II", len(payload), kind) + payload)


def random_value(dice: random.Random, depth: int = 0) -> Any:
    choices: list[Any] = [
        lambda: dice.choice([True, False, None, 0.0, -0.0, 1e300, float("inf")]),
        lambda: dice.randrange(-(2 ** dice.randrange(64)), 2 ** dice.randrange(1, 65)),
        lambda: dice.uniform(-1e6, 1e6),
        lambda: "".join(chr(dice.randrange(1, 0x2FFF)) for _ in range(dice.randrange(300))),
        lambda: "k" * dice.randrange(40),
        lambda: dice.randbytes(dice.randrange(300)),
    ]
    if depth < 3:
        choices += [
            lambda: [random_value(dice, depth + 1) for _ in range(dice.randrange(9))],
            lambda: {
                dice.choice([f"key{i}", i, -i, b"k%d" % i]): random_value(dice, depth + 1)
                for i in range(dice.randrange(9))
            },
        ] * 2
    return dice.choice(choices)()


def test_plain_values_are_the_bytes_that_msgpack_writes_and_come_back_equal() -> None:
    dice = random.Random(1)
    publisher, subscriber = Publisher("t"), Subscriber("t")
    for _ in range(500):
        value = random_value(dice)
        if value is None:
            continue
        publisher.send(value)
        assert last_payload("t") == (L.KIND_MSGPACK, msgpack.packb(value))
        assert repr(subscriber.recv()) == repr(value)


def test_deep_nesting_passes_and_keeps_its_shape() -> None:
    value: Any = []
    for _ in range(300):
        value = [value]
    publisher, subscriber = Publisher("t"), Subscriber("t")
    publisher.send(value)
    got = subscriber.recv()
    for _ in range(300):
        assert len(got) == 1
        got = got[0]
    assert got == []


def test_damaged_payloads_are_errors_or_plain_values_and_the_topic_goes_on() -> None:
    dice = random.Random(2)
    publisher, subscriber = Publisher("t"), Subscriber("t")
    errors = 0
    for _ in range(1500):
        good = msgpack.packb([random_value(dice) for _ in range(3)])[:180]
        bad = bytearray(good)
        for _ in range(dice.randrange(1, 6)):
            bad[dice.randrange(len(bad))] = dice.randrange(256)
        publisher.send("x" * 200)
        overwrite_payload(
            "t", dice.choice([1, 2, 2, 2, 3, 9]), bytes(bad[: dice.randrange(len(bad))])
        )
        try:
            subscriber.recv()
        except (CorruptTopicError, horus.errors.MessageTypeError):
            errors += 1
    assert errors > 500
    publisher.send("good")
    assert subscriber.recv() == "good"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff\x01",
        b"\xdb\xff\xff\xff\xffabc",
        b"\xc6\x7f\xff\xff\xff",
        b"\x81\x90\x01",
        b"\x01\x02",
        b"\xa1\xff",
        b"\x91" * 100_000,
        b"\xc7\x02\x05ab",
        b"\xc1",
    ],
    ids=[
        "empty",
        "list",
        "map",
        "str",
        "bin",
        "key",
        "trailing",
        "utf8",
        "deep",
        "ext",
        "reserved",
    ],
)
def test_hostile_messagepack_is_an_error(payload: bytes) -> None:
    publisher, subscriber = Publisher("t"), Subscriber("t")
    publisher.send(b"x" * 120_000)
    overwrite_payload("t", L.KIND_MSGPACK, payload)
    with pytest.raises(CorruptTopicError, match="a damaged message came in and was skipped"):
        subscriber.recv()


def array_payload(dtype: bytes, shape: tuple[int, ...], data: bytes) -> bytes:
    head = struct.pack(f"<BB6x{len(shape)}Q", len(dtype), len(shape), *shape) + dtype
    return head + bytes(-len(head) % 16) + data


@pytest.mark.parametrize(
    "payload",
    [
        b"\x03",
        array_payload(b"|O", (1,), bytes(8)),
        array_payload(b"<f8,O", (1,), bytes(16)),
        array_payload(b"(2,)f8", (1,), bytes(16)),
        array_payload(b"|V8", (1,), bytes(8)),
        array_payload(b"<f8", (3,), bytes(8)),
        array_payload(b"<f8", (2**62, 2**62), b""),
        array_payload(b"<f8", (0, 2**63), b""),
        array_payload(b"<f8", (2**32, 2**32), bytes(8)),
        array_payload(b"\xff\xfe", (1,), bytes(8)),
        b"\x03\xff" + bytes(6),
    ],
    ids=[
        "cut",
        "object",
        "record",
        "sub",
        "void",
        "short",
        "huge",
        "empty",
        "wrap",
        "text",
        "dims",
    ],
)
def test_hostile_arrays_are_errors(payload: bytes) -> None:
    publisher, subscriber = Publisher("t"), Subscriber("t")
    publisher.send(b"x" * 4000)
    overwrite_payload("t", L.KIND_ARRAY, payload)
    with pytest.raises(CorruptTopicError):
        subscriber.recv()
    with pytest.raises(ValueError):
        codec.decode_array(payload)


def test_the_elements_of_an_array_start_on_a_multiple_of_16() -> None:
    for shape in ((1,), (1, 2), (1, 2, 3), ()):
        publisher = Publisher("t")
        publisher.send(np.full(shape, 7, np.uint8))
        kind, payload = last_payload("t")
        assert kind == L.KIND_ARRAY
        assert payload.index(7, 16) % 16 == 0
        publisher.close()


# ---- the layout is written down in one place ------------------------------------------------


def test_the_c_core_and_layout_py_have_the_same_numbers() -> None:
    core = pytest.importorskip("horus.bus._core", reason="the C core was not built")
    shared = {name for name in dir(core) if name.isupper()}
    assert len(shared) >= 19
    for name in shared:
        assert getattr(core, name) == getattr(L, name), name


def test_layout_md_shows_the_offsets_of_layout_py() -> None:
    text = Path(horus.bus.__file__).with_name("LAYOUT.md").read_text()
    tables = {}
    for title in ("control", "ring", "slot", "frames"):
        section = re.search(rf"^## {title}\n(.*?)^## ", text, re.M | re.S)
        assert section
        tables[title] = {int(m) for m in re.findall(r"^\| (\d+) \|", section[1], re.M)}
    expected = {
        "control": {0, 8, 12}
        | {
            getattr(L, f"CONTROL_{name}")
            for name in (
                "TYPE_HASH",
                "GENERATION",
                "DEPTH",
                "READERS",
                "UNLISTED",
                "NAMESPACE",
                "TYPE_NAME",
                "WAITING",
                "ENTRIES",
            )
        },
        "ring": {0, 8, 12}
        | {
            getattr(L, f"RING_{name}")
            for name in (
                "SLOTS",
                "STRIDE",
                "PUBLISHER",
                "PID",
                "START",
                "BASE",
                "DEPTH",
                "NEXT",
                "CLOSED",
                "HEADER",
            )
        },
        "slot": {
            L.SLOT_SEQUENCE,
            L.SLOT_STAMP,
            L.SLOT_HASH,
            L.SLOT_LENGTH,
            L.SLOT_KIND,
            L.SLOT_HEADER,
        },
        "frames": {0, 8, 12, 20, L.FRAMES_SLOTS, L.FRAMES_PUBLISHER}
        | {L.FRAMES_CAPACITY, L.FRAMES_TAKEN},
    }
    assert tables == expected


def test_an_array_of_empty_items_has_no_memory_however_many_it_claims() -> None:
    text = b"|S0"
    head = struct.pack("<BB6xQ", len(text), 1, 2**40) + text
    payload = head + bytes(-len(head) % 16)
    got = codec.decode_array(bytearray(payload))
    assert (got.shape, got.nbytes, got.dtype.str) == ((2**40,), 0, "|S0")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({(1, 2): 3}, "key \\(1, 2\\) cannot be sent"),
        ([{"a": ({(): 1},)}], "key \\(\\) cannot be sent"),
        (np.zeros((1,) * 33), "33 dimensions cannot be sent: at most 32"),
        (np.zeros((8192,) + (1,) * 32, np.uint8), "33 dimensions cannot be sent: at most 32"),
        ({"a": np.zeros((1,) * 40)}, "40 dimensions cannot be sent: at most 32"),
    ],
    ids=["key", "key-inside", "array", "frame", "array-inside"],
)
def test_what_no_reader_could_take_is_refused_where_it_is_sent(message: Any, text: str) -> None:
    with Topic("t") as topic:
        with pytest.raises(MessageTypeError, match=f"topic 't'.*{text}"):
            topic.send(message)
        topic.send({1: [(2, 3)], "whole": np.zeros((1,) * 32)})
        got = topic.recv()
        assert (got[1], got["whole"].ndim) == ([[2, 3]], 32)
