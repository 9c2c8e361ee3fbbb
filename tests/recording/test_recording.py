"""What was on the bus is in the file to the last byte, and others can read it."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from horus_plugins.recording.bag import Bag
from horus_plugins.recording.replaying import Replay
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory

from horus.bus import Publisher, Subscriber, codec, session
from horus.bus.ends import close_all
from horus.bus.raw import RawPublisher, RawSubscriber
from horus.message import EMPTY, Array, Float32Array, Str, UInt8, VarArray, message, spec_of
from horus.msgs import Image, Imu, LaserScan, MotorCommand, Odometry, PointCloud
from tests.recording.conftest import contents, spaced

Record = Callable[..., Any]


@message
class Mixed:
    flag: bool = False
    label: Annotated[str, Str(11)] = ""
    small: UInt8 = 0
    values: Annotated[Float32Array, VarArray("f4", 7)] = EMPTY
    big: float = 0.0
    nine: Annotated[tuple[float, ...], Array("f8", 9)] = (0.0,) * 9
    BigName_: int = 0


PLAIN = [
    {"on": True, "n": 3, "x": 1.5, "none": None, "list": [1, 2.0, "three"]},
    {"nan": math.nan, "inf": -math.inf, "bytes": b"\x00\x68", "long": bytes(200)},
    {1: "int keys", "two": {"$hex": "no"}},
    {"huge": 2**70, "array": np.arange(6, dtype="<i2").reshape(2, 3), "scalar": np.float32(0.1)},
    {"text": "µ \ud800", "": 0},
    7,
    2.5,
    "words",
    b"bytes",
    [1, [2, {"three": 3}]],
    False,
]


def test_declared_messages_come_back_to_the_last_byte_and_read_by_name_elsewhere(
    record: Record, tmp_path: Path
) -> None:
    recording = record()
    mixed = Publisher("mixed", Mixed)
    sent = [
        Mixed(True, "µ" * k, k, [0.1] * k, -1.0 / 3, tuple(map(float, range(9))), -k)
        for k in range(6)
    ]
    for one in sent:
        mixed.send(one)
    imu, scan = Publisher("imu", Imu), Publisher("scan", LaserScan)
    imu.send(Imu(accel_z=9.81, frame="imu_link", stamp=1.25))
    scan.send(LaserScan(ranges=np.linspace(0, 5, 200, dtype="f4")))
    found = contents(recording.finish())
    spec = spec_of(Mixed)
    assert spec is not None
    for one, (payload, _) in zip(sent, found["mixed"], strict=True):
        wanted = bytearray(spec.size)
        spec.pack_into(wanted, 0, one)
        assert payload == (1, spec.hash, bytes(wanted))

    with (tmp_path / "a.mcap").open("rb") as file:
        reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
        decoded: dict[str, list[Any]] = {}
        for schema, channel, _, value in reader.iter_decoded_messages():
            assert schema is not None and schema.encoding == "ros2msg"
            decoded.setdefault(channel.topic, []).append(value)
    last = decoded["mixed"][5]
    assert (last.flag, last.label, last.small, last.bigname) == (True, "µµµµµ", 5, -5)
    assert list(last.values) == [np.float32(0.1)] * 5
    assert (last.big, list(last.nine)) == (-1.0 / 3, list(map(float, range(9))))
    assert decoded["imu"][0].accel_z == 9.81
    assert decoded["imu"][0].frame == "imu_link"
    assert len(decoded["scan"][0].ranges) == 200


def test_every_standard_message_comes_back_from_cdr_and_is_read_elsewhere() -> None:
    from horus_plugins.recording import formats
    from horus_plugins.recording.cdr import Cdr, schema_name, schema_text
    from mcap_ros2._dynamic import generate_dynamic

    import horus.msgs

    for name in horus.msgs.__all__:
        spec = (
            spec_of(getattr(horus.msgs, name))
            if isinstance(getattr(horus.msgs, name), type)
            else None
        )
        if spec is None:
            continue
        payload = bytearray(spec.size)
        made = spec.cls()
        for field in spec.fields:
            if field.kind == "scalar" and field.code in ("f8", "f4"):
                setattr(made, field.name, 0.5)
            elif field.kind == "str":
                setattr(made, field.name, "abc"[: field.count])
        spec.pack_into(payload, 0, made)
        coder = Cdr(spec)
        data = coder.encode(payload)
        assert coder.decode(data) == payload, name
        if spec.frame is not None:  # the array follows
            _, parts = codec.encode(np.arange(6, dtype="<u2").reshape(2, 3))
            data = formats.encode_array(b"".join(parts), data)
        title = schema_name(spec.name)
        decode = generate_dynamic(title, schema_text(spec, {}))[title]
        read = decode(data)
        for field in spec.fields:
            if field.kind in ("scalar", "str"):
                assert getattr(read, field.name) == getattr(made, field.name), (name, field)
        if spec.frame is not None:
            assert (read.data_dtype, list(read.data_shape)) == ("<u2", [2, 3])
            assert bytes(read.data) == bytes([0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0])


def test_images_and_large_arrays_come_back_and_are_replayed_to_the_last_byte(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = record()
    pixels = np.random.default_rng(1).integers(0, 255, (240, 321, 3), np.uint8)
    cloud = np.random.default_rng(2).random((1000, 4), np.float32)
    sent: dict[str, list[Any]] = {
        "array": [np.arange(1 << 18, dtype="<f4"), pixels],
        "camera": [
            Image(pixels, "bgr8", frame="eye", stamp=1.5),
            Image(),
            Image(pixels[:2, :, 0]),
        ],
        "lidar": [PointCloud(cloud)],
    }
    raw = {topic: RawSubscriber(topic) for topic in sent}
    ends = {
        "array": Publisher("array"),
        "camera": Publisher("camera", Image),
        "lidar": Publisher("lidar"),
    }
    for topic, messages in sent.items():
        assert all(map(ends[topic].send, messages))
    wanted = {
        topic: [(m.kind, m.type_hash, bytes(m.payload)) for m in one.take()]
        for topic, one in raw.items()
    }
    bag = recording.finish()
    found = contents(bag)
    assert {topic: [payload for payload, _ in some] for topic, some in found.items()} == wanted
    forms = {stored.topic: stored.form for stored in bag.channels.values()}
    assert forms == {"array": "array", "camera": "drawn", "lidar": "drawn"}
    close_all()
    played = session.new_session()
    monkeypatch.setenv("HORUS_SESSION_ID", played.id)
    try:
        replay = Replay(bag, (), {}, 1000.0)
        readers = {topic: Subscriber(topic, latch=True) for topic in sent}
        replay.run(0.0, None, lambda: False, lambda at: None)
        for topic, messages in sent.items():
            got = readers[topic].recv_all()
            assert len(got) == len(messages)
            for one, other in zip(got, messages, strict=True):
                assert type(one) is type(other)
                array, before = np.asarray(one), np.asarray(other)
                assert array.dtype == before.dtype
                assert np.array_equal(array, before)
                assert isinstance(other, np.ndarray) or one == other
        replay.close()
    finally:
        close_all()
        session.end_session(played.id)


def test_images_are_exported_as_numbers(record: Record, tmp_path: Path) -> None:
    from horus_plugins.recording.parts import export_csv

    recording = record()
    end = Publisher("camera", Image)
    end.send(Image(np.array([[1, 2], [3, 4]], np.uint8)))
    bag = recording.finish()
    bag.summary()
    ((path, rows, damaged),) = export_csv(bag, tmp_path / "csv", (), 0.0, None)
    assert (rows, damaged) == (1, 0)
    assert path.read_text().splitlines()[-1].endswith(",0.0,False,1 2 3 4,mono8,")


def test_plain_messages_and_arrays_come_back_to_the_last_byte(
    record: Record, tmp_path: Path
) -> None:
    recording = record()
    raw = RawSubscriber("plain")
    plain, frames = Publisher("plain"), Publisher("frames")
    arrays = [np.arange(12, dtype=d).reshape(3, 4) for d in ("u1", "<f4", "<i8")]
    arrays += [np.zeros((0, 3)), np.array(5.0), np.array(["ab", "c"])]
    for one in PLAIN:
        plain.send(one)
    for array in arrays:
        frames.send(array)
    wanted = [(m.kind, m.type_hash, bytes(m.payload)) for m in raw.take()]
    bag = recording.finish()
    found = contents(bag)
    assert [payload for payload, _ in found["plain"]] == wanted
    assert len(found["frames"]) == len(arrays)
    assert {stored.form for stored in bag.channels.values()} == {"json", "value", "array"}
    with (tmp_path / "a.mcap").open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        shown = [v for _, c, _, v in reader.iter_decoded_messages(topics=["frames"])]
    assert list(shown[0].shape) == [3, 4]
    assert bytes(shown[0].data) == bytes(range(12))


def test_what_no_format_would_give_back_is_kept_as_it_is(record: Record) -> None:
    recording = record()
    odd = RawPublisher("odd")
    payloads = [b"\xca\x3f\x80\x00\x00", b"\xc1", b"\x93\x01"]  # float32; never used; cut short
    for payload in payloads:
        odd.send_raw(2, payload)
    unknown = RawPublisher("unknown", ("Secret", 0x1234, 16))
    unknown.send_raw(1, bytes(range(16)))
    spec = spec_of(Mixed)
    assert spec is not None
    dirty = bytearray(spec.size)
    spec.pack_into(dirty, 0, Mixed(label="ab"))
    dirty[spec.fields[1].offset + 4] = 0x55  # behind the text's end
    unclean = RawPublisher("dirty", (spec.name, spec.hash, spec.size), spec)
    unclean.send_raw(1, bytes(dirty))
    found = contents(recording.finish())
    assert [payload for payload, _ in found["odd"]] == [(2, 0, p) for p in payloads]
    assert found["unknown"][0][0] == (1, 0x1234, bytes(range(16)))
    assert found["dirty"][0][0] == (1, spec.hash, bytes(dirty))


def test_a_recording_replayed_and_recorded_again_is_the_same_stamps_included(
    record: Record, tmp_path: Path
) -> None:
    recording = record("first.mcap")
    ends = [Publisher("command", MotorCommand), Publisher("odom", Odometry), Publisher("plain")]
    second = Publisher("plain")  # a second publisher of a topic
    source = random.Random(1)
    for k in spaced(range(100), 0.002):
        now = time.monotonic_ns()
        ends[0].send(MotorCommand(velocity=source.gauss(0, 1)), now - source.randrange(1_000_000))
        ends[1].send(Odometry(position=(k, source.random(), 0.0)))
        ends[2].send({"k": k})
        second.send({"second": k})
        recording.recorder.look()
    for end in (*ends, second):
        end.close()
    first = recording.finish()
    assert recording.recorder.lost == {}
    wanted = contents(first)

    again = record("again.mcap")
    replay = Replay(first, (), {}, 1.0)
    again.recorder._search()
    replay.run(0.0, None, lambda: False, lambda at: again.recorder.look())
    found = contents(again.finish())
    assert again.recorder.lost == {}
    assert {t: [p for p, _ in m] for t, m in found.items()} == {
        t: [p for p, _ in m] for t, m in wanted.items()
    }
    shifts = {
        b - a
        for topic in wanted
        for (_, a), (_, b) in zip(wanted[topic], found[topic], strict=True)
    }
    assert len(shifts) == 1  # every stamp moved by the same nanoseconds


def test_what_the_recorder_was_too_slow_for_is_counted(record: Record) -> None:
    recording = record()
    publisher = Publisher("fast")
    for k in range(10):
        publisher.send({"k": k})
    recording.recorder._search()
    recording.recorder.look()
    for k in range(10_000):
        publisher.send({"k": k})
    bag = recording.finish()
    lost = recording.recorder.lost["fast"]
    assert lost > 0
    summary = bag.summary()
    assert summary.topics["fast"].count + lost == 10_010
    assert summary.topics["fast"].gaps == lost


def test_a_message_sent_before_its_topic_was_noticed_is_not_missed(record: Record) -> None:
    recording = record()
    publisher = Publisher("late")
    publisher.send({"k": 0})
    assert len(contents(recording.finish())["late"]) == 1
    publisher.close()


def test_large_frames_are_recorded_whole(record: Record) -> None:
    recording = record(compression="lz4")
    publisher = Publisher("camera")
    frame = np.random.default_rng(1).integers(0, 255, (480, 640, 3), "u1")
    publisher.send(frame)
    recording.recorder.look()
    recording.recorder._search()
    for k in range(5):
        publisher.send(frame + k)
        recording.recorder.look()
    found = contents(recording.finish())["camera"]
    assert len(found) == 6
    assert all(len(payload) >= frame.nbytes for (_, _, payload), _ in found)


@pytest.mark.parametrize("compression", ["zstd", "lz4", "none"])
def test_a_file_that_was_cut_anywhere_is_read_up_to_the_last_whole_chunk(
    record: Record, compression: str
) -> None:
    recording = record(compression=compression)
    publisher = Publisher("plain")
    for k in range(60):
        publisher.send({"k": k})
        if not k:
            recording.recorder._search()
        recording.recorder.look()
        if k % 10 == 9:
            recording.sink.put(recording.recorder.channels.take())
    bag = recording.finish()
    assert bag.summary().count == 60
    assert bag.damage == ""
    whole = bag.path.read_bytes()
    counts = []
    for cut in random.Random(2).sample(range(8, len(whole) - 60), 40):
        bag.path.write_bytes(whole[:cut])
        part = Bag(bag.path)
        counts.append((cut, part.summary().count))
        assert part.damage
    counts.sort()
    assert [n for _, n in counts] == sorted(n for _, n in counts)
    assert {n for _, n in counts} <= {0, 10, 20, 30, 40, 50, 60}
    damaged = bytearray(whole)
    damaged[len(whole) // 3] ^= 0xFF
    bag.path.write_bytes(damaged)
    part = Bag(bag.path)
    assert part.summary().count < 60
    assert part.damage
