"""Declared messages with an array: it lies in shared memory, the message is whole all the same."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

import horus
from horus.bus import Publisher, Subscriber, Topic, codec
from horus.bus.observer import Observer
from horus.bus.probe import Probe, state_of
from horus.cli.main import main
from horus.errors import CorruptTopicError, MessageTypeError, TypeMismatchError
from horus.message import EMPTY, AnyArray, Float32Array, Str, VarArray, message, spec_of
from horus.message.schema import Schema, schema_of
from horus.msgs import CompressedImage, DepthImage, Image, Imu, PointCloud
from tests.unit.test_bus_frames import pins, used

PIXELS = np.arange(120 * 160 * 3, dtype="<u4").astype("u1").reshape(120, 160, 3)
JPEG = b"\xff\xd8\xff\xe0 and so on"


@message
class Spectrum:
    device: Annotated[str, Str(8)] = ""
    levels: AnyArray = EMPTY
    peaks: Annotated[Float32Array, VarArray("f4", 4)] = EMPTY
    gain: float = 1.0


#: A program that declares a type of its own with an array, and sends one message of it.
PUBLISHER = """
import sys
from typing import Annotated
import numpy as np
from horus.bus import Publisher
from horus.message import EMPTY, AnyArray, message

@message
class Heat:
    ambient: Annotated[float, "°C"] = 0.0
    field: AnyArray = EMPTY

end = Publisher("heat")
end.send(Heat(21.5, np.arange(6000, dtype="<i2").reshape(60, 100)))
print("sent", flush=True)
sys.stdin.read()
"""


# on the bus


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(5.0),
        np.zeros((0, 3), "u2"),
        np.array(7, "<c8"),
        PIXELS,
        PIXELS[::2, ::-3],
        PIXELS.T,
    ],
    ids=["small", "empty", "one", "large", "strided", "transposed"],
)
def test_a_message_comes_out_with_its_array(array: Any, typed: bool):
    with Topic("levels", Spectrum if typed else None) as topic:
        assert topic.send(Spectrum("µ", array, [1.0, 2.5], 0.5))
        got = topic.recv()
        assert type(got) is Spectrum
        assert (got.device, got.gain, got.peaks.tolist()) == ("µ", 0.5, [1.0, 2.5])
        assert (got.levels.dtype, got.levels.shape) == (array.dtype, array.shape)
        assert np.array_equal(got.levels, array)
        assert not got.levels.flags.writeable or not array.size


def test_other_ends_of_the_topic_see_it_too(shm: Path):
    with closing(Publisher("image", Image)) as out:
        ends = [Subscriber("image", Image), Subscriber("image")]
        out.send(Image(PIXELS, "bgr8", frame="eye"))
        for end in ends:
            assert end.recv() == Image(PIXELS, "bgr8", frame="eye")
            end.close()


def test_what_was_received_stays_as_it_is_while_its_array_lives(shm: Path):
    with Topic("image", Image) as topic:
        topic.send(Image(PIXELS, "rgb8"))
        held = np.asarray(topic.recv())
        for value in range(50):
            topic.send(Image(np.full_like(PIXELS, value), "rgb8"))
            topic.latest()
        assert np.array_equal(held, PIXELS)
        assert pins(shm) == 1
        del held
        gc.collect()
        assert pins(shm) == 0


def test_dlpack_and_numpy_get_the_array_itself(shm: Path):
    with Topic("image", Image) as topic:
        topic.send(Image(PIXELS, "rgb8"))
        got = topic.recv()
        assert np.asarray(got) is got.data
        assert np.array(got).flags.writeable
        assert np.asarray(got, dtype="f4").dtype == np.float32
        if np.lib.NumpyVersion(np.__version__) >= "2.1.0":
            there = np.from_dlpack(got)
            assert np.shares_memory(there, got.data)
            del got
            gc.collect()
            assert pins(shm) == 1
            assert np.array_equal(there, PIXELS)


def test_who_cannot_be_told_that_an_array_is_read_only_gets_a_copy():
    with Topic("image", Image) as topic:
        topic.send(Image(PIXELS, "rgb8"))
        got = topic.recv()
        assert "dltensor" in repr(got.__dlpack__())  # as asked for before DLPack 1.0
        if np.lib.NumpyVersion(np.__version__) >= "2.1.0":
            with pytest.raises(BufferError):
                got.__dlpack__(copy=False)


def test_a_damaged_message_is_skipped_and_leaves_no_pin(shm: Path):
    with closing(Publisher("image")) as out, closing(Subscriber("image")) as reader:
        head = codec.array_head(PIXELS.shape, PIXELS.dtype)
        image, imu = spec_of(Image), spec_of(Imu)
        assert image is not None
        assert imu is not None
        for spec, rest, why in (
            (image, b"short", "Image has 64 bytes, got 5"),
            (image, bytes(200), "Image has 64 bytes, got 200"),
            (imu, bytes(imu.size), "Imu with an array"),
        ):
            out.send(out._pool().put(head, PIXELS, spec.hash, rest))
            with pytest.raises(CorruptTopicError, match=why):
                reader.recv()
            gc.collect()
            assert pins(shm) == 0
        out.send(Image(PIXELS, "rgb8"))
        assert reader.recv() == Image(PIXELS, "rgb8")


def test_a_look_at_the_headers_counts_the_array_too(shm: Path):
    with closing(Publisher("image")) as out:
        probe = Probe(shm / "topics" / "image")
        out.send(Image(PIXELS, "rgb8"))
        (sent,) = probe.take()
        assert PIXELS.nbytes < sent.size < PIXELS.nbytes + 500
        assert state_of(probe.folder, sent).type == "Image"
        probe.close()


def test_a_reader_of_another_type_is_told_what_comes(shm: Path):
    with closing(Publisher("image")) as out, closing(Subscriber("image", Imu)) as reader:
        out.send(Image(PIXELS, "rgb8"))
        with pytest.raises(TypeMismatchError, match=r"expects Imu, its publisher\s+sends Image"):
            reader.recv()
        assert pins(shm) == 0
    with closing(Publisher("scan")) as out, closing(Subscriber("scan", Image)) as reader:
        out.send(PIXELS)
        with pytest.raises(TypeMismatchError, match="sends an array"):
            reader.recv()


def test_an_array_that_cannot_be_sent_is_named():
    with pytest.raises(MessageTypeError, match=r"Spectrum\.levels: expected an array of numbers"):
        Spectrum(levels="loud")
    with pytest.raises(MessageTypeError, match=r"Spectrum\.levels: .*dtype object"):
        Spectrum(levels=np.array([None]))
    with Topic("levels", Spectrum) as topic:
        bad = Spectrum()
        bad.levels = ["a", "b"]
        with pytest.raises(MessageTypeError, match=r"'levels': Spectrum\.levels"):
            topic.send(bad)
        bad = Spectrum()
        bad.gain = "high"  # type: ignore[assignment]
        with pytest.raises(MessageTypeError, match=r"Spectrum\.gain: expected float"):
            topic.send(bad)


# loans


def test_a_message_is_lent_and_sent_without_a_copy():
    with Topic("image", Image) as topic:
        with topic.loan(Image, (4, 6, 3), encoding="rgb8", frame="eye") as image:
            image.data[:] = 9
            image.stamp = 4.0
        got = topic.recv()
        assert got == Image(np.full((4, 6, 3), 9, "u1"), "rgb8", "eye", stamp=4.0)
        with pytest.raises(ValueError, match="read-only"):
            image.data[:] = 0


def test_an_array_that_was_lent_is_not_copied_into_another_place(shm: Path):
    with Topic("image", Image) as topic:
        topic.send(Image(PIXELS, "rgb8"))
        got = topic.recv()
        with topic.loan(Image, PIXELS.shape, encoding="rgb8") as image:
            image.data[:] = 1
        assert topic.recv().data.max() == 1
        assert used(shm) == 2
        with topic.loan(Image, PIXELS.shape, encoding="rgb8") as image:
            image.data[:] = 2
            with pytest.raises(ValueError, match="read-only"):
                got.data[:] = 0
            topic.send(got)  # what was received may be sent again, and is copied
        assert np.array_equal(topic.recv(), PIXELS)
        assert topic.recv().data.max() == 2


def test_messages_of_several_classes_with_arrays_come_out_as_what_they_are(shm: Path):
    sent = [
        Image(PIXELS, "rgb8", frame="é" * 5),
        DepthImage(np.ones((3, 4), "f4"), frame="eye"),
        Image(PIXELS[:, :, 0].copy(), "mono8", stamp=3.5, mock=True),
        PointCloud(np.arange(30, dtype="f4").reshape(10, 3)),
        Spectrum("x", np.arange(3), [1.0]),
        Image(PIXELS, "bgr8"),
    ]
    with Topic("any", depth=20) as topic:
        for _ in range(2):
            for one in sent:
                assert topic.send(one)
            for one in sent:
                got = topic.recv()
                assert type(got) is type(one)
                assert got == one or isinstance(one, Spectrum)
                del got
        assert pins(shm, "any") == 0
        wrong = Image(PIXELS, "rgb8")
        wrong.encoding = "rgb8" * 9
        with pytest.raises(MessageTypeError, match=r"Image\.encoding"):
            topic.send(wrong)
        wrong = Image(PIXELS, "rgb8")
        wrong.data = np.array(["text"] * 2000)
        with pytest.raises(MessageTypeError, match=r"Image\.data"):
            topic.send(wrong)
        del wrong.data
        with pytest.raises(MessageTypeError, match=r"Image\.data"):
            topic.send(wrong)
        assert topic.recv() is None


def test_the_dtype_of_a_loan_is_that_of_the_encoding():
    with Topic("image") as topic:
        for cls, fields, dtype in (
            (Image, {"encoding": "mono16"}, "uint16"),
            (DepthImage, {}, "float32"),
            (DepthImage, {"encoding": "16UC1"}, "uint16"),
        ):
            with topic.loan(cls, (3, 4), **fields) as image:
                assert image.data.dtype == dtype
                image.data[:] = 0
        with topic.loan(PointCloud, (10, 4)) as cloud:
            cloud.data[:] = 0
        with topic.loan(Spectrum, 5, "float64", gain=2.0) as spectrum:
            spectrum.levels[:] = 1
        assert [type(one).__name__ for one in topic.recv_all()] == [
            *("Image", "DepthImage", "DepthImage", "PointCloud", "Spectrum")
        ]


def test_a_loan_that_fails_sends_nothing():
    with Topic("image", Image) as topic:
        loan = topic.loan(Image, (4, 6, 3), encoding="bgr8")
        with pytest.raises(ZeroDivisionError), loan:
            raise ZeroDivisionError
        assert not loan.sent
        with pytest.raises(MessageTypeError, match=r"mono8 is height×width uint8, got 4×6×3"):
            topic.loan(Image, (4, 6, 3), encoding="mono8").__enter__()
        with pytest.raises(MessageTypeError, match=r"unknown encoding 'rbg8' \(did you mean"):
            topic.loan(Image, (4, 6, 3), encoding="rbg8")
        with pytest.raises(MessageTypeError, match="another type"):
            topic.loan(DepthImage, (4, 6))
        with pytest.raises(MessageTypeError, match="carries Image"):
            topic.loan((4, 6))
        with pytest.raises(MessageTypeError, match="say the shape of its array"):
            topic.loan(Image)
        assert topic.recv() is None
    with Topic("imu") as topic, pytest.raises(MessageTypeError, match=r"loan\(Imu\)"):
        topic.loan(Imu, 3)
    with Topic("imu") as topic, pytest.raises(MessageTypeError, match=r"loan\(Imu\)"):
        topic.loan(Imu)


def test_another_array_in_the_place_of_the_lent_one_is_sent():
    with Topic("image", Image) as topic:
        with topic.loan(Image, (2, 3, 3), encoding="bgr8") as image:
            image.data = PIXELS
        assert np.array_equal(topic.recv(), PIXELS)


def test_a_node_lends_messages_too():
    def tick(node: horus.Node) -> None:
        with node.loan("image", Image, (2, 3), encoding="mono8") as image:
            image.data[:] = node.info.get_metrics()["total_ticks"]
        node.request_stop()

    with closing(Subscriber("image", Image)) as reader:
        horus.run(horus.Node("eye", pubs=horus.Pub("image", Image), tick=tick, rate=100))
        assert reader.recv().data.shape == (2, 3)


# without the class


@pytest.mark.parametrize("core", ["native", "pure"])
def test_tools_show_a_message_whose_class_they_lack(core: str, capsys: pytest.CaptureFixture[str]):
    if core == "native":
        pytest.importorskip("horus.bus._core", reason="the C core was not built")
    with subprocess.Popen(
        [sys.executable, "-c", PUBLISHER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"HORUS_CORE": core},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "sent\n"
        with closing(Observer("heat", latch=True)) as observer:
            got = observer.recv()
            assert (type(got).__name__, got.ambient) == ("Heat", 21.5)
            assert np.array_equal(got.field, np.arange(6000).reshape(60, 100))
        words = ["topic", "echo", "heat", "--last", "--once", "--session", "plain"]
        assert main(words) == 0
        shown = capsys.readouterr().out
        assert "ambient: 21.5 °C\n" in shown
        assert "field: [0, 1, 2, 3, 4, 5, 6, 7, ... 5992 more, shape 60×100]" in shown
        assert main([*words, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["message"]["ambient"] == 21.5
        assert main(["topic", "info", "heat", "--session", "plain"]) == 0
        shown = capsys.readouterr().out
        assert "type: Heat" in shown
        assert "array" in shown
        process.communicate("")


def test_a_description_makes_the_same_type_again():
    @message
    class Other:
        gain: float = 0.0
        levels: AnyArray = EMPTY

    spec = spec_of(Other)
    assert spec is not None
    assert (spec.frame, spec.names) == ("levels", ("gain", "levels"))
    text = schema_of(spec).to_json()
    assert Schema.from_json(text).hash == spec.hash
    bare = json.loads(text)
    bare["fields"].pop()
    with pytest.raises(MessageTypeError, match="do not give its hash"):
        Schema.from_json(json.dumps(bare))


def test_two_arrays_are_refused():
    with pytest.raises(MessageTypeError, match="left and right are AnyArray, and only one"):

        @message
        class Pair:
            left: AnyArray = EMPTY
            right: AnyArray = EMPTY


def test_what_is_printed_of_an_array_is_what_it_is():
    assert "data=<120×160×3 uint8>, encoding='rgb8'" in repr(Image(PIXELS, "rgb8"))
    assert Image(PIXELS, "rgb8") != Image(PIXELS + 1, "rgb8")


# what they are


def test_a_list_becomes_what_the_class_says():
    assert Image([[1, 2], [3, 255]], "mono8").data.dtype == np.uint8
    assert Image([[1, 2], [3, 65535]], "mono16").data.dtype == np.uint16
    assert PointCloud([[0, 1, 2.5], (1, 2, 3)]).points.dtype == np.float32
    assert Spectrum(levels=[1, 2]).levels.dtype == np.int64
    with pytest.raises(MessageTypeError, match=r"Image\.data: has values out of range for UInt8"):
        Image([[1, 256]], "mono8")
    with pytest.raises(MessageTypeError, match=r"Image\.data: expected int values"):
        Image([[0.5]], "mono8")


def test_an_image_knows_its_size():
    image = Image(PIXELS, "bgr8")
    assert (image.height, image.width, image.channels, image.step) == (120, 160, 3, 480)
    assert Image(np.zeros((4, 5), "u2")).encoding == "mono16"
    assert Image(np.zeros((4, 5), "u2")).step == 10
    assert (Image().height, Image().width, Image().step) == (0, 0, 0)
    with pytest.raises(MessageTypeError, match="encoding='rgb8' or 'bgr8'"):
        Image(PIXELS)
    with pytest.raises(MessageTypeError, match="rgb8 is height×width×3 uint8, got 120×160×3 fl"):
        Image(PIXELS.astype("f4"), "rgb8")


def test_depth_is_metres_whatever_the_camera_sends():
    depth = DepthImage(np.array([[0, 1500]], "u2"))
    assert depth.encoding == "16UC1"
    assert np.array_equal(depth.metres(), np.array([[np.nan, 1.5]], "f4"), equal_nan=True)
    direct = DepthImage(np.ones((2, 3), "f4"))
    assert direct.metres() is direct.data
    assert (direct.height, direct.width, direct.step) == (2, 3, 12)
    with pytest.raises(MessageTypeError, match="float32 in m, or uint16 in mm"):
        DepthImage(np.ones((2, 3)))


def test_a_cloud_has_columns_with_names():
    points = np.arange(12, dtype="f4").reshape(3, 4)
    cloud = PointCloud(points)
    assert (cloud.fields, len(cloud)) == ("x,y,z,intensity", 3)
    assert cloud.column("intensity").tolist() == [3, 7, 11]
    assert cloud.points.tolist() == points[:, :3].tolist()
    assert np.shares_memory(cloud.points, points)
    with pytest.raises(KeyError, match="intensity"):
        cloud.column("intensitty")
    with pytest.raises(MessageTypeError, match="give the names"):
        PointCloud(np.zeros((3, 5), "f4"))
    assert PointCloud(np.zeros((2, 3, 5), "f4"), "x,y,z,intensity,ring").column("ring").shape == (
        2,
        3,
    )
    with pytest.raises(MessageTypeError, match=r"float32 in m, got 3×3 float64: use \.astype"):
        PointCloud(np.zeros((3, 3)))


def test_a_file_tells_its_format():
    picture = CompressedImage(JPEG)
    assert (picture.format, picture.data.tobytes()) == ("jpeg", JPEG)
    assert CompressedImage(b"\x89PNG\r\n\x1a\n...").format == "png"
    assert CompressedImage(b"qoif...", "qoi").format == "qoi"
    with pytest.raises(MessageTypeError, match="say format="):
        CompressedImage(b"qoif...")
