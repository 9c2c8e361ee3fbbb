"""What viewers draw is there under its ROS name, as independent readers find it, and comes back."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from horus_plugins.recording import cdr, drawing
from horus_plugins.recording.rostypes import DRAWN, PARTS
from mcap.reader import make_reader
from mcap_ros2._dynamic import generate_dynamic
from mcap_ros2.decoder import DecoderFactory

import horus.msgs
from horus.bus import Publisher, codec
from horus.bus.raw import RawSubscriber, join_frame
from horus.message import message, spec_of
from horus.msgs import (
    CompressedImage,
    DepthImage,
    Image,
    LaserScan,
    NavSatFix,
    Odometry,
    PointCloud,
    Pose2D,
    Pose3D,
    TransformStamped,
)
from tests.recording.conftest import contents

Record = Callable[..., Any]
SOURCE = np.random.default_rng(5)
PIXELS = SOURCE.integers(0, 255, (48, 64, 3), "u1")
POINTS = SOURCE.random((500, 4), "f4")
STAMP = 1_795_000_000.123456
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))

MESSAGES: dict[str, list[Any]] = {
    "Image": [
        Image(PIXELS, "bgr8", frame="eye", stamp=STAMP),
        Image(PIXELS[..., 0].copy(), "mono8", mock=True),
        Image(),
    ],
    "DepthImage": [DepthImage(SOURCE.random((6, 8), "f4"), min_depth=0.2, max_depth=4.0)],
    "CompressedImage": [CompressedImage(np.frombuffer(PNG, "u1"), frame="eye", stamp=STAMP)],
    "PointCloud": [
        PointCloud(POINTS, frame="lidar", stamp=STAMP),
        PointCloud(POINTS.reshape(20, 25, 4), frame="lidar"),
    ],
    "LaserScan": [
        LaserScan(
            ranges=np.linspace(0, 5, 200, dtype="f4"),
            angle_min=-1.0,
            angle_increment=0.01,
            range_max=12.0,
            frame="laser",
            stamp=STAMP,
        )
    ],
    "NavSatFix": [
        NavSatFix(
            latitude=48.1, longitude=11.5, altitude=520.0, status=2, satellites=9, stamp=STAMP
        )
    ],
    "Pose3D": [Pose3D(position=(1, 2, 3), orientation=(0, 0, 0.6, 0.8), frame="map")],
    "Pose2D": [Pose2D(x=1.0, y=2.0, yaw=math.pi / 2, frame="map")],
    "TransformStamped": [
        TransformStamped(translation=(1, 2, 3), frame="base_link", child_frame="eye", stamp=STAMP)
    ],
    "Odometry": [
        Odometry(
            position=(1, 2, 3),
            linear=(0.5, 0, 0),
            pose_covariance=tuple(map(float, range(36))),
            frame="odom",
            child_frame="base_link",
        )
    ],
}


@pytest.fixture
def recorded(record: Record) -> dict[str, Any]:
    """All of these messages in a file: what was on the bus, and the recording."""
    recording = record(compression="lz4")
    wanted: dict[str, list[Any]] = {}
    ends: dict[str, Publisher] = {}
    for name, messages in MESSAGES.items():
        raw = RawSubscriber(name)
        end = ends[name] = Publisher(name, getattr(horus.msgs, name))
        for one in messages:
            assert end.send(one)
        wanted[name] = [(m.kind, m.type_hash, bytes(m.payload)) for m in raw.take()]
        raw.close()
    return {"wanted": wanted, "bag": recording.finish()}


def test_every_one_of_them_is_stored_as_viewers_draw_it_and_comes_back_to_the_last_byte(
    recorded: dict[str, Any],
) -> None:
    bag = recorded["bag"]
    found = contents(bag)
    assert set(MESSAGES) == set(DRAWN)
    for name, wanted in recorded["wanted"].items():
        assert [payload for payload, _ in found[name]] == wanted, name
        shown = {
            bag.definitions[n][0].name for n, stored in bag.channels.items() if stored.topic == name
        }
        assert shown == {DRAWN[name][0]}


def shown_by_mcap_ros2(path: Path) -> dict[str, list[Any]]:
    """Return what the mcap project's own decoder of ROS 2 messages finds."""
    found: dict[str, list[Any]] = {}
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
        for _, channel, _, value in reader.iter_decoded_messages():
            found.setdefault(channel.topic, []).append(value)
    return found


def shown_by_rosbags(path: Path) -> dict[str, list[Any]]:
    """Return what the rosbags package finds, which has a reader of CDR of its own."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    found: dict[str, list[Any]] = {}
    with path.open("rb") as file:
        for schema, channel, record in make_reader(file).iter_messages():
            assert schema is not None
            store = get_typestore(Stores.EMPTY)
            store.register(get_types_from_msg(schema.data.decode(), schema.name))
            value = store.deserialize_cdr(record.data, schema.name)
            found.setdefault(channel.topic, []).append(value)
    return found


@pytest.mark.parametrize("read", [shown_by_mcap_ros2, shown_by_rosbags])
def test_independent_readers_find_pictures_clouds_scans_poses_and_positions(
    recorded: dict[str, Any], read: Callable[[Path], dict[str, list[Any]]]
) -> None:
    found = read(recorded["bag"].path)
    picture, grey, nothing = found["Image"]
    assert (picture.height, picture.width, picture.step) == (48, 64, 192)
    assert (picture.encoding, picture.is_bigendian, picture.header.frame_id) == ("bgr8", 0, "eye")
    assert picture.header.stamp.sec == 1_795_000_000
    assert abs(picture.header.stamp.nanosec - 123_456_000) < 300
    assert np.array_equal(np.frombuffer(bytes(picture.data), "u1").reshape(48, 64, 3), PIXELS)
    assert (grey.encoding, grey.step, grey.horus_mock) == ("mono8", 64, True)
    assert (nothing.height, len(nothing.data)) == (0, 0)

    (depth,) = found["DepthImage"]
    assert (depth.encoding, depth.height, depth.width, depth.step) == ("32FC1", 6, 8, 32)
    assert depth.horus_max_depth == 4.0
    (small,) = found["CompressedImage"]
    assert (small.format, bytes(small.data)) == ("png", PNG)

    flat, organised = found["PointCloud"]
    assert (flat.height, flat.width, flat.point_step, flat.row_step) == (1, 500, 16, 8000)
    assert [(f.name, f.offset, f.datatype, f.count) for f in flat.fields] == [
        ("x", 0, 7, 1),
        ("y", 4, 7, 1),
        ("z", 8, 7, 1),
        ("intensity", 12, 7, 1),
    ]
    assert np.array_equal(np.frombuffer(bytes(flat.data), "<f4").reshape(-1, 4), POINTS)
    assert (organised.height, organised.width) == (20, 25)

    (scan,) = found["LaserScan"]
    assert np.array_equal(np.asarray(scan.ranges, "f4"), np.linspace(0, 5, 200, dtype="f4"))
    assert scan.angle_max == pytest.approx(-1 + 0.01 * 199, abs=1e-6)
    assert scan.header.frame_id == "laser"

    (fix,) = found["NavSatFix"]
    assert (fix.latitude, fix.longitude, fix.altitude) == (48.1, 11.5, 520.0)
    assert (fix.status.status, fix.horus_satellites) == (2, 9)

    (pose,) = found["Pose3D"]
    assert (pose.pose.position.z, pose.pose.orientation.w) == (3.0, 0.8)
    (flat_pose,) = found["Pose2D"]
    assert flat_pose.pose.orientation.z == pytest.approx(math.sqrt(0.5))
    (transform,) = found["TransformStamped"]
    assert (transform.header.frame_id, transform.child_frame_id) == ("base_link", "eye")
    assert transform.transform.translation.y == 2.0
    (odometry,) = found["Odometry"]
    assert list(odometry.pose.covariance) == list(map(float, range(36)))
    assert odometry.twist.twist.linear.x == 0.5


def test_a_reader_that_knows_the_types_by_name_reads_them_without_our_fields(
    recorded: dict[str, Any],
) -> None:
    bag = recorded["bag"]
    seen = set()
    for stored in bag.read(ordered=False):
        name = bag.channels[stored.channel].topic
        title, text, _ = DRAWN[name]
        parts = "".join(f"{'=' * 80}\nMSG: {part}\n{PARTS[part]}\n" for part in PARTS)
        value = generate_dynamic(title, f"{text}\n{parts}")[title](stored.data)
        if name == "Odometry":
            assert value.twist.covariance == [0.0] * 36
        if name == "Image" and value.encoding == "bgr8":
            assert bytes(value.data) == PIXELS.tobytes()
        seen.add(name)
    assert seen == set(DRAWN)


def test_any_bytes_of_a_drawn_type_come_back_or_are_refused() -> None:
    source = random.Random(7)
    for name in DRAWN:
        spec = spec_of(getattr(horus.msgs, name))
        assert spec is not None
        assert drawing.drawn(spec)
        encode, decode = drawing.encoder(spec), drawing.decoder(spec)
        kept = 0
        for _ in range(200):
            payload = bytearray(spec.size)
            for field in spec.fields:
                if field.kind == "str":
                    size = source.randrange(field.count)
                    payload[field.offset : field.offset + size] = bytes(
                        source.randrange(33, 127) for _ in range(size)
                    )
                elif field.kind != "vararray":
                    size = field.end - field.data_offset
                    bits = source.randbytes(size) if field.code[0] in "iu" else b"\1" * size
                    if field.code == "f8":
                        some = [source.gauss(0, 1e3) for _ in range(size // 8)]
                        some[0] = source.choice([some[0], math.nan, math.inf, -0.0])
                        bits = np.array(some).tobytes()
                    payload[field.data_offset : field.data_offset + size] = bits
            whole = bytes(payload)
            if spec.frame is not None:
                shape = [source.randrange(4) for _ in range(source.randrange(4))]
                array = SOURCE.integers(0, 9, shape).astype(source.choice(["u1", "<u2", "<f4"]))
                whole = join_frame(whole, b"".join(codec.encode(array)[1]))
            try:
                data = encode(whole)
            except cdr.Unfit:
                continue
            kept += 1
            assert decode(data) == whole, name
        assert kept > 20, name


def test_damaged_messages_are_refused_and_not_read_beyond_their_end() -> None:
    spec = spec_of(NavSatFix)
    assert spec is not None
    payload = bytearray(spec.size)
    spec.pack_into(payload, 0, NavSatFix(latitude=1.0, frame="gnss"))
    data = drawing.encoder(spec)(payload)
    decode = drawing.decoder(spec)
    for end in range(len(data)):
        with pytest.raises((ValueError, IndexError)):
            found = decode(data[:end])
            if found != payload:
                raise ValueError


@message
class Pose3DOfMine:
    """A class of somebody else that has one of the names by accident."""

    x: float = 0.0


def test_a_type_of_somebody_else_is_not_taken_for_ours() -> None:
    spec = spec_of(Pose3DOfMine)
    assert spec is not None
    object.__setattr__(spec, "name", "Pose3D")
    assert not drawing.drawn(spec)
