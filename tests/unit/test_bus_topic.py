"""What a topic does in one process, on both cores (the suite runs once with each)."""

from __future__ import annotations

import errno
import fcntl
import math
import mmap
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from horus.bus import (
    Publisher,
    Subscriber,
    Topic,
    core,
    ends,
    leftovers,
    rings,
    session,
    waiting,
    wall_time,
)
from horus.bus import layout as L
from horus.bus.control import Control
from horus.errors import (
    CorruptTopicError,
    MessageTooLargeError,
    MessageTypeError,
    SharedMemoryError,
    TopicError,
    TopicNameError,
    TypeMismatchError,
)
from horus.message import Float32, message


@message
class Sample:
    number: int = 0
    value: float = 0.0
    ok: bool = False


@message
class Other:
    value: float = 0.0


@message
class Narrow:
    wide: float = 0.0
    narrow: Float32 = 0.0
    three: tuple[float, float, float] = (0.0, 0.0, 0.0)


# ---- messages come out as they went in ------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        "",
        b"",
        0,
        0.0,
        False,
        True,
        -1,
        2**63 - 1,
        -(2**63),
        2**64,
        2**200,
        -(2**200),
        1.5,
        math.inf,
        -math.inf,
        "grüße \0 \ud800",
        b"\x00\xff",
        {"a": {"b": [1, None, {"c": b"x"}]}, 1: "int key", b"k": "bytes key"},
        list(range(2000)),
        "x" * 100_000,
    ],
    ids=lambda v: f"{type(v).__name__}-{str(v)[:12]}",
)
def test_plain_values_come_out_as_they_went_in(value: object) -> None:
    with Topic("t") as topic:
        assert topic.send(value) is True
        got = topic.recv()
        assert got == value
        assert type(got) is type(value)
        assert topic.recv() is None


def test_nan_comes_out_as_nan() -> None:
    with Topic("t") as topic:
        topic.send({"x": math.nan})
        assert math.isnan(topic.recv()["x"])


def test_a_tuple_comes_out_as_a_list() -> None:
    with Topic("t") as topic:
        topic.send({"t": (1, (2, 3))})
        topic.send((1, 2))
        assert topic.recv_all() == [{"t": [1, [2, 3]]}, [1, 2]]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.float32).reshape(3, 4),
        np.zeros((0, 3)),
        np.array(7, dtype=np.int16),
        np.arange(20)[::3],
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array([True, False]),
        np.array([1 + 2j]),
        np.array(["ab", "cde"]),
        np.array([b"ab"]),
        np.array(["2026-01-01"], dtype="M8[D]"),
        np.arange(3, dtype=">i4"),
        np.ones((300, 400), dtype=np.uint8),
    ],
    ids=lambda a: f"{a.dtype.str}-{a.shape}",
)
def test_arrays_come_out_as_they_went_in_alone_and_inside_a_dict(
    array: np.ndarray[Any, Any],
) -> None:
    with Topic("t") as topic:
        topic.send(array)
        topic.send({"a": array, "n": 1})
        alone, inside = topic.recv(), topic.recv()["a"]
        for got in (alone, inside):
            assert isinstance(got, np.ndarray)
            assert got.dtype == array.dtype
            assert got.shape == array.shape
            assert np.array_equal(got, array)
        assert not alone.flags.writeable, "where it lies, others may look at it too"
        inside[...] = array  # what is inside another message is the receiver's own


def test_a_numpy_scalar_keeps_its_type() -> None:
    with Topic("t") as topic:
        topic.send({"x": np.float32(0.5)})
        got = topic.recv()["x"]
        assert got == 0.5
        assert type(got) is np.float32


def test_a_declared_message_comes_out_as_its_type_on_a_declared_and_on_an_open_topic() -> None:
    sent = Sample(3, 2.5, True)
    for topic in (Topic("declared", Sample), Topic("open")):
        with topic:
            topic.send(sent)
            got = topic.recv()
            assert type(got) is Sample
            assert got == sent
            assert got is not sent


# ---- what is refused ------------------------------------------------------------------------


class Unknown:
    pass


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None cannot be sent"),
        (Unknown(), "Unknown cannot be sent. Allowed are dict, list"),
        ({"a": Unknown()}, r"Unknown \(inside a dict\) cannot be sent"),
        ({1, 2}, "a set cannot be sent. Send a sorted list"),
        (np.array([object()]), "dtype object cannot be sent"),
        (lambda: 1, "function cannot be sent"),
        ({"m": Other()}, "is sent by itself, not inside another one"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_its_type_and_a_cure(value: object, text: str) -> None:
    with Topic("t") as topic:
        with pytest.raises(MessageTypeError, match=text):
            topic.send(value)
        assert topic.recv() is None
        topic.send(1)
        assert topic.recv() == 1


def test_a_message_that_contains_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    with Topic("t") as topic, pytest.raises(MessageTypeError, match="contains itself"):
        topic.send(loop)


def test_a_field_of_the_wrong_type_is_refused_by_name_and_sends_nothing() -> None:
    with Topic("t", Sample) as topic:
        with pytest.raises(MessageTypeError, match=r"Sample\.value: expected float, got str"):
            topic.send(Sample(1, "abc"))  # type: ignore[arg-type]
        with pytest.raises(MessageTypeError, match=r"Sample\.number"):
            topic.send(Sample(2**63))
        assert topic.recv() is None
        topic.send(Sample(1, np.float64(2.0)))
        topic.send(Sample(np.int32(4), 3))  # type: ignore[arg-type]
        assert topic.recv_all() == [Sample(1, 2.0), Sample(4, 3.0)]


def test_several_types_in_turn_on_an_open_topic_come_out_as_what_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow: list[int] = []
    decode = Subscriber._decode
    monkeypatch.setattr(Subscriber, "_decode", lambda *args: slow.append(args[1]) or decode(*args))
    kinds = [type(f"Kind{n}", (), {"__annotations__": {"x": float}, "x": 0.0}) for n in range(6)]
    classes = [Sample, Other, Narrow, *map(message, kinds)]
    with Topic("t") as topic:
        for count in (1, 2, 4, len(classes)):
            for _ in range(3):
                for cls in classes[:count]:
                    topic.send(cls())
                    got = topic.recv()
                    assert type(got) is cls and got == cls()
            if core.CORE_NAME == "native" and count <= 4:
                assert len(slow) <= 4  # each once


def test_floats_of_numpy_and_whole_numbers_are_values_of_float_fields(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if core.CORE_NAME == "native":  # it needs no Python code for them
        monkeypatch.setattr(Publisher, "_pack", None)
    with Topic("t", Narrow) as topic:
        for value in (np.float64(0.1), 3, -7.5):
            topic.send(Narrow(value, value, (value, 1, np.float64(2.5))))
            wide, narrow = float(value), float(np.float32(value))
            assert topic.recv() == Narrow(wide, narrow, (wide, 1.0, 2.5))


def test_another_type_than_declared_is_refused_at_send_naming_both() -> None:
    with Topic("t", Sample) as topic:
        with pytest.raises(MessageTypeError, match=r"'t' carries Sample, got dict"):
            topic.send({"number": 1})
        with pytest.raises(MessageTypeError, match=r"'t' carries Sample, got Other"):
            topic.send(Other())
        with pytest.raises(MessageTypeError, match="None cannot be sent"):
            topic.send(None)


def test_a_topic_opened_with_another_type_is_refused_naming_both() -> None:
    with (
        Topic("t", Sample),
        pytest.raises(TypeMismatchError, match=r"'t' carries Sample, .* for Other"),
    ):
        Topic("t", Other)


def test_a_subscriber_is_told_when_its_publisher_sends_another_type() -> None:
    publisher = Publisher("t")
    subscriber = Subscriber("t", Sample)
    publisher.send({"number": 1})
    publisher.send(Other(1.0))
    publisher.send(Sample(5))
    with pytest.raises(TypeMismatchError, match="expects Sample, its publisher sends dict"):
        subscriber.recv()
    with pytest.raises(TypeMismatchError, match="expects Sample, its publisher sends Other"):
        subscriber.recv()
    assert subscriber.recv() == Sample(5)


def test_a_class_that_is_no_message_is_refused_as_a_type() -> None:
    with pytest.raises(MessageTypeError, match=r"Unknown is not a message type: .*@horus.message"):
        Topic("t", Unknown)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../x",
        "a/../b",
        "/abs",
        "a//b",
        "a/",
        ".hidden",
        "a/.b",
        "a b",
        "a~b",
        "ä",
        "a\0b",
        "a\n",
    ],
)
def test_a_name_that_could_leave_the_folder_or_confuse_is_refused(name: str, shm: Path) -> None:
    with pytest.raises(TopicNameError, match="cannot be used"):
        Topic(name)
    assert not list(shm.rglob("control"))


def test_a_name_too_long_or_of_another_type_is_refused() -> None:
    with pytest.raises(TopicNameError, match="has 129 characters: at most 128"):
        Topic("x" * 129)
    with pytest.raises(TopicNameError, match="must be a str, got int"):
        Topic(5)  # type: ignore[arg-type]
    Topic("x" * 128).close()


def test_a_message_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(L, "MAX_MESSAGE", 1000)
    with Topic("t") as topic:
        with pytest.raises(
            MessageTooLargeError, match=r"'t': a message of \d+ bytes is too large, at most 1000"
        ):
            topic.send(b"x" * 2000)
        topic.send(b"x" * 900)
        assert topic.recv() == b"x" * 900


@pytest.mark.parametrize("depth", [0, -1, 1.5, True, 10**9])
def test_a_depth_that_makes_no_sense_is_refused(depth: Any) -> None:
    with pytest.raises(ValueError, match="depth must be a number from 1"):
        Topic("t", depth=depth)


def test_a_closed_topic_says_so() -> None:
    topic = Topic("t")
    topic.send(1)
    topic.close()
    topic.close()
    for call in (lambda: topic.send(1), topic.recv, topic.latest, topic.recv_all):
        with pytest.raises(TopicError, match="'t' is closed"):
            call()


# ---- depth, loss, latest, latch -------------------------------------------------------------


def test_a_reader_keeps_the_last_depth_messages_and_counts_the_others() -> None:
    with Topic("t", depth=4) as topic:
        for number in range(10):
            topic.send(number)
        assert topic.recv_all() == [6, 7, 8, 9]
        assert topic.dropped == 6


def test_the_depth_holds_over_all_publishers_together_and_the_oldest_go_first() -> None:
    subscriber = Subscriber("t", depth=5)
    one, two = Publisher("t"), Publisher("t")
    for number in range(4):
        one.send(("one", number))
        two.send(("two", number))
    assert subscriber.unread() == 5
    assert subscriber.recv_all() == [["two", 1], ["one", 2], ["two", 2], ["one", 3], ["two", 3]]
    assert subscriber.dropped == 3


def test_readers_have_cursors_and_loss_counts_of_their_own() -> None:
    slow, deep = Subscriber("t", depth=2), Subscriber("t", depth=100)
    publisher = Publisher("t")
    for number in range(50):
        publisher.send(number)
    assert deep.recv_all() == list(range(50))
    assert slow.recv_all() == [48, 49]
    assert (slow.dropped, deep.dropped) == (48, 0)


def test_a_deeper_reader_that_comes_later_gets_its_depth() -> None:
    publisher = Publisher("t")
    publisher.send("before")
    deep = Subscriber("t", depth=1000)
    for number in range(1000):
        publisher.send(number)
    assert deep.recv_all() == list(range(1000))
    assert deep.dropped == 0


def test_the_first_loss_is_told_once() -> None:
    told: list[int] = []
    subscriber = Subscriber("t", depth=1, on_drop=lambda: told.append(1))
    publisher = Publisher("t")
    for number in range(5):
        publisher.send(number)
        publisher.send(number)
        subscriber.recv()
    assert told == [1]


def test_latest_returns_the_newest_and_counts_nothing_as_lost() -> None:
    with Topic("t", depth=4) as topic:
        assert topic.latest() is None
        for number in range(100):
            topic.send(number)
        assert topic.latest() == 99
        assert topic.latest() is None
        assert topic.recv() is None
        assert topic.dropped == 0


def test_latest_of_several_publishers_is_the_newest_of_all() -> None:
    subscriber = Subscriber("t")
    one, two = Publisher("t"), Publisher("t")
    two.send("old")
    one.send("new")
    assert subscriber.latest() == "new"
    assert subscriber.unread() == 0


def test_messages_of_several_publishers_come_by_their_stamps() -> None:
    subscriber = Subscriber("t")
    one, two = Publisher("t"), Publisher("t")
    one.send("c", stamp_ns=30)
    two.send("a", stamp_ns=10)
    two.send("b", stamp_ns=20)
    assert subscriber.recv_all() == ["a", "b", "c"]


def test_a_late_reader_gets_no_history() -> None:
    with Topic("t") as topic:
        topic.send(1)
        late = Subscriber("t")
        assert late.recv() is None
        topic.send(2)
        assert late.recv() == 2


def test_a_late_reader_with_latch_gets_the_last_value_only() -> None:
    first, second = Publisher("t"), Publisher("t")
    for number in range(3):
        first.send(number)
    second.send("last")
    late = Subscriber("t", latch=True)
    assert late.recv() == "last"
    assert late.recv() is None
    assert late.dropped == 0


def test_latch_on_a_topic_without_messages_gives_none() -> None:
    Publisher("t")
    assert Subscriber("t", latch=True).recv() is None


def test_a_publisher_that_comes_later_is_read_from_its_first_message() -> None:
    subscriber = Subscriber("t")
    publisher = Publisher("t")
    publisher.send(1)
    publisher.send(2)
    assert subscriber.recv_all() == [1, 2]


def test_the_last_messages_of_a_publisher_that_has_closed_are_still_read() -> None:
    subscriber = Subscriber("t")
    publisher = Publisher("t")
    publisher.send("goodbye")
    publisher.close()
    assert subscriber.recv() == "goodbye"


def test_growing_for_a_longer_message_loses_and_reorders_nothing() -> None:
    with Topic("t", depth=100) as topic:
        sent = [b"x" * (2**n) for n in range(18)]
        for message_ in sent:
            topic.send(message_)
        assert topic.recv_all() == sent
        assert topic.dropped == 0


def test_unread_and_peek_consume_nothing() -> None:
    with Topic("t") as topic:
        topic.send(1, stamp_ns=5)
        topic.send(2, stamp_ns=6)
        subscriber = topic._subscriber
        for _ in range(3):
            assert subscriber.unread() == 2
            assert subscriber.peek_stamp() == 5
        assert subscriber.recv_stamped() == (1, 5)
        assert subscriber.last_stamp == 5


def test_discard_before_skips_only_what_is_older_and_counts_no_loss() -> None:
    subscriber = Subscriber("t")
    publisher = Publisher("t")
    for stamp in (10, 20, 30):
        publisher.send(stamp, stamp_ns=stamp)
    assert subscriber.discard_before(25) == 2
    assert subscriber.last_stamp == 20
    assert subscriber.recv_all() == [30]
    assert subscriber.dropped == 0
    assert subscriber.discard_before(-5) == 0


def test_the_stamp_is_the_moment_of_sending() -> None:
    with Topic("t") as topic:
        before = time.monotonic_ns()
        topic.send(1)
        after = time.monotonic_ns()
        found = topic._subscriber.recv_stamped()
        assert found is not None
        assert before <= found[1] <= after
        assert abs(wall_time(found[1]) - time.time()) < 60


# ---- waiting --------------------------------------------------------------------------------


def test_wait_returns_at_once_when_something_is_unread() -> None:
    with Topic("t") as topic:
        topic.send(1)
        assert topic.wait(0) is True
        assert topic.wait() is True


def test_wait_gives_up_after_its_timeout() -> None:
    with Topic("t") as topic:
        assert topic.wait(0.01) is False
        assert topic.wait(0) is False


def test_wait_is_woken_by_a_message_of_a_publisher_that_did_not_exist(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "SLICE", 30.0)  # only a post can end the wait in time
    subscriber = Subscriber("t")
    result: list[bool] = []
    waiter = threading.Thread(target=lambda: result.append(subscriber.wait(30)))
    waiter.start()
    until(lambda: bool(subscriber._control.memory[L.CONTROL_WAITING]))
    Publisher("t").send("come")
    waiter.join(20)
    assert result == [True]
    assert subscriber.recv() == "come"


def test_every_one_of_several_waiters_is_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SLICE", 30.0)
    publisher = Publisher("t")
    subscribers = [Subscriber("t") for _ in range(5)]
    results: list[bool] = []
    threads = [threading.Thread(target=lambda s=s: results.append(s.wait(30))) for s in subscribers]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    memory = subscribers[0]._control.memory
    until(lambda: all(memory[L.CONTROL_WAITING + i] for i in range(5)))
    publisher.send(1)
    for thread in threads:
        thread.join(20)
    assert results == [True] * 5


def test_a_reader_without_a_free_entry_still_reads_and_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(L, "MAX_READERS", 1)
    first, second = Subscriber("t"), Subscriber("t")
    assert (first._entry, second._entry) == (0, None)
    publisher = Publisher("t")
    timer = threading.Timer(0.02, publisher.send, [7])
    timer.start()
    assert second.wait(20) is True
    assert second.recv() == first.recv() == 7
    timer.join()


# ---- files ----------------------------------------------------------------------------------


def test_files_and_folders_are_private(shm: Path) -> None:
    with Topic("a/b") as topic:
        topic.send(1)
        for path in shm.rglob("*"):
            assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
        assert (shm / "topics" / "a~b" / "control").exists()


def test_nothing_is_left_when_every_end_is_closed(shm: Path) -> None:
    topics = [Topic("t"), Topic("t"), Topic("u")]
    for topic in topics:
        topic.send(1)
        assert topic.wait(0.001) in (True, False)
    for topic in topics:
        topic.close()
    assert not list(shm.glob("*"))
    assert not [n for n in os.listdir("/dev/shm") if n.startswith(f"sem.horus.{os.getpid()}.")]


def test_a_topic_that_is_forgotten_is_closed(shm: Path) -> None:
    import gc

    topic = Topic("t")
    topic.send(1)
    del topic
    gc.collect()
    assert not list(shm.rglob("*.ring"))


def test_topics_of_different_sessions_do_not_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Topic("t")
    monkeypatch.setenv("HORUS_SESSION_ID", "abc-123-def")
    other = Topic("t")
    plain.send("plain")
    assert other.recv() is None
    assert plain.recv() == "plain"


def test_a_session_id_that_is_a_path_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HORUS_SESSION_ID", "../../etc")
    with pytest.raises(SharedMemoryError, match="HORUS_SESSION_ID.*not a plain name"):
        Topic("t")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is empty"),
        (b"HOR", "is damaged"),
        (b"X" * L.CONTROL_SIZE, "is damaged"),
        (
            b"HORUSTPC" + L.VERSION.to_bytes(4, "little") + (8192).to_bytes(4, "little"),
            "is damaged",
        ),
        (
            (b"HORUSTPC" + (99).to_bytes(4, "little") + (8192).to_bytes(4, "little")).ljust(
                8192, b"\0"
            ),
            f"layout version 99, this HORUS speaks {L.VERSION}",
        ),
    ],
    ids=["empty", "short", "garbage", "truncated", "version"],
)
def test_a_damaged_topic_file_is_refused_by_name_and_clean_removes_it(
    shm: Path, content: bytes, text: str
) -> None:
    Topic("other").close()  # what is damaged before a process's first topic is cleaned away by it
    folder = session.make_dir(shm / "topics" / "t")
    (folder / "control").write_bytes(content)
    with pytest.raises(CorruptTopicError, match=text) as caught:
        Topic("t")
    assert str(folder / "control") in str(caught.value)
    assert leftovers.clean().topics == ["t"]
    Topic("t").close()


def damage(change: Callable[[bytearray], object]) -> None:
    """Change the file of the only ring of topic t through a mapping of its own."""
    (ring,) = rings.ring_files(session.topics_dir() / "t")
    data = bytearray(ring.path.read_bytes())
    change(data)
    with ring.path.open("r+b") as file:
        file.write(data)


def put(data: bytearray, offset: int, value: int, size: int = 8) -> None:
    data[offset : offset + size] = value.to_bytes(size, "little")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: put(d, 0, 0),
        lambda d: put(d, 8, 7, 4),
        lambda d: put(d, L.RING_SLOTS, 33, 4),
        lambda d: put(d, L.RING_SLOTS, 2**30, 4),
        lambda d: put(d, L.RING_STRIDE, 2**31, 4),
        lambda d: put(d, L.RING_STRIDE, 0, 4),
        lambda d: put(d, L.RING_PUBLISHER, 5),
    ],
    ids=["magic", "version", "slots", "slots-huge", "stride-huge", "stride-0", "publisher"],
)
def test_a_ring_with_a_damaged_head_is_refused_once_and_the_others_are_read(
    change: Callable[[bytearray], object],
) -> None:
    subscriber = Subscriber("t")
    bad = Publisher("t")
    bad.send(1)
    damage(change)
    good = Publisher("t")
    good.send(2)
    with pytest.raises(CorruptTopicError, match="is damaged"):
        subscriber.recv()
    assert subscriber.recv() == 2
    good.send(3)
    assert subscriber.recv() == 3


def test_a_ring_cut_short_is_refused() -> None:
    subscriber = Subscriber("t")
    Publisher("t").send(1)
    (ring,) = rings.ring_files(session.topics_dir() / "t")
    copy = ring.path.with_name(f"{1:016x}.0000.ring")
    copy.write_bytes(ring.path.read_bytes()[:100])
    with pytest.raises(CorruptTopicError, match="cut short"):
        subscriber.recv()
    assert subscriber.recv() == 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: put(d, L.RING_NEXT, 0), "went backwards"),
        (lambda d: put(d, L.RING_HEADER + 64 * 0, 0), "sequence word"),
        (lambda d: put(d, L.RING_HEADER + L.SLOT_LENGTH, 2**31, 4), "length of message|claims"),
        (lambda d: put(d, L.RING_HEADER + L.SLOT_KIND, 77, 4), "unknown kind 77"),
        (lambda d: put(d, L.RING_HEADER + L.SLOT_HEADER, 0xC1, 1), "damaged message"),
        (lambda d: put(d, L.RING_NEXT, 2**62), "sequence word"),
    ],
    ids=["next-back", "sequence", "length", "kind", "payload", "next-far"],
)
def test_a_live_ring_that_is_damaged_is_an_error_and_never_a_message(
    change: Callable[[bytearray], object], text: str
) -> None:
    keep = Publisher("t")
    keep.send({"first": 1})
    damage(lambda d: None)
    subscriber = Subscriber("t")
    keep.close()
    victim = Publisher("t")
    assert subscriber.recv() is None
    (path,) = [
        r.path for r in rings.ring_files(session.topics_dir() / "t") if r.publisher == victim._id
    ]
    victim.send({"x": 1})
    assert subscriber.unread() == 1
    if "NEXT" in text or text == "went backwards":
        assert subscriber.recv() == {"x": 1}
    data = bytearray(path.read_bytes())
    change(data)
    with path.open("r+b") as file:
        file.write(data)
    with pytest.raises(CorruptTopicError, match=text):
        for _ in range(3):
            subscriber.recv()
    good = Publisher("t")
    good.send("good")
    assert subscriber.recv() == "good"


def test_messages_before_one_that_cannot_be_read_are_not_lost_with_it() -> None:
    publisher, subscriber = Publisher("t"), Subscriber("t")
    for number in range(5):
        publisher.send([number])
    bad = L.RING_HEADER + 2 * publisher._shape[1]
    publisher._ring[bad + L.SLOT_KIND] = 77
    assert subscriber.recv_all() == [[0], [1]]
    publisher.send([5])
    with pytest.raises(CorruptTopicError, match="unknown kind 77"):
        subscriber.recv_all()
    assert subscriber.recv_all() == [[3], [4], [5]]
    publisher.send([6])
    publisher._ring[L.RING_HEADER + 6 * publisher._shape[1] + L.SLOT_KIND] = 77
    with pytest.raises(CorruptTopicError, match="unknown kind 77"):
        subscriber.recv_all()
    assert subscriber.recv_all() == []


@pytest.mark.parametrize("how", ["recv", "latest"])
def test_a_message_counter_so_high_that_sequence_words_start_anew_is_an_error(how: str) -> None:
    publisher, subscriber = Publisher("t"), Subscriber("t")
    for number in range(100):
        publisher.send(number)
    with memoryview(publisher._ring) as view, view.cast("Q") as words:
        words[L.RING_NEXT // 8] = 2**63 + 100
    with pytest.raises(CorruptTopicError, match="message counter|sequence word"):
        getattr(subscriber, how)()


def test_shared_memory_that_is_full_is_said_and_nothing_is_half_made(
    shm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, offset: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(SharedMemoryError, match=r"cannot be used: it is full: .*horus clean"):
        Topic("t")
    assert not [p for p in shm.rglob("*") if p.is_file() and p.name != ".lock"]


def test_shared_memory_that_becomes_full_leaves_the_topic_working(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Topic("t") as topic:
        topic.send(1)
        real = os.posix_fallocate

        def full(fd: int, offset: int, size: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "posix_fallocate", full)
        with pytest.raises(SharedMemoryError, match="it is full"):
            topic.send(b"x" * 100_000)
        topic.send(2)
        monkeypatch.setattr(os, "posix_fallocate", real)
        topic.send(b"y" * 100_000)
        assert topic.recv_all() == [1, 2, b"y" * 100_000]


def test_a_root_that_is_a_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HORUS_SHM_DIR", str(tmp_path / "file"))
    with pytest.raises(SharedMemoryError, match="a file stands where a folder is needed"):
        Topic("t")


@pytest.mark.parametrize(
    ("number", "text"), [(30, "read-only"), (13, "belongs to the user"), (24, "ulimit")]
)
def test_other_troubles_of_shared_memory_name_their_cure(
    number: int, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(SharedMemoryError, match=text) as caught:
        Topic("t")
    assert caught.value.errno == number


def test_clean_leaves_what_lives_and_removes_what_died(shm: Path) -> None:
    with Topic("alive") as topic:
        topic.send(1)
        dead = shm / "topics" / "dead"
        session.make_dir(dead)
        opened = Control.open(dead)
        rings.create_ring(dead, 7, 0, 4, 64, 4)
        ring = rings.ring_path(dead, 7, 0)
        data = bytearray(ring.read_bytes())
        put(data, L.RING_PID, 2**22 + 5)
        ring.write_bytes(data)
        del opened
        stale = session.new_session()
        (stale.path / session.OWNER_FILE).write_text('{"pid": 4194309, "start": 5}')
        live = session.new_session()
        report = leftovers.clean()
        assert report.topics == ["dead"]
        assert report.sessions == [stale.id]
        assert sorted(report.in_use) == [f"session {live.id}", "topic alive"]
        topic.send(2)
        assert topic.recv_all() == [1, 2]
        session.end_session(live.id)


def test_a_pid_that_another_process_has_now_counts_as_dead() -> None:
    start = session.process_start_time(os.getpid())
    assert start
    assert session.is_alive(os.getpid(), start)
    assert not session.is_alive(os.getpid(), start + 1)
    assert not session.is_alive(0, 0)


def test_a_forked_child_writes_into_a_ring_of_its_own() -> None:

    with Topic("t", depth=64) as topic:
        topic.send("parent 1")
        send = topic.send
        read, write = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of threads
            pid = os.fork()
        if not pid:
            try:
                send("child 1")
                topic.send("child 2")
                os.write(write, b"ok")
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert os.read(read, 2) == b"ok"
        send("parent 2")
        got = topic.recv_all()
        assert [m for m in got if "parent" in m] == ["parent 1", "parent 2"]
        assert [m for m in got if "child" in m] == ["child 1", "child 2"]


def test_threads_that_share_a_topic_lose_nothing() -> None:
    with Topic("t", depth=5000) as topic:
        threads = [
            threading.Thread(target=lambda k=k: [topic.send((k, i)) for i in range(500)])  # type: ignore[misc]
            for k in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        got = topic.recv_all()
        assert len(got) == 2000
        for k in range(4):
            assert [i for who, i in got if who == k] == list(range(500))


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for a condition with a deadline."""
    deadline = time.monotonic() + seconds
    event = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "the condition never came"
        event.wait(0.001)


def test_a_topic_collected_while_the_lock_is_held_waits_for_nothing_and_is_tidied_later(
    shm: Path,
) -> None:
    publisher = Publisher("forgotten")
    publisher.send(1)
    keep = Publisher("kept")
    with session.structure_lock(session.topics_dir()):
        publisher.__del__()
        assert ends._untidy
        assert list(shm.rglob("forgotten/*.ring"))
    Publisher("another").close()
    assert not list(shm.rglob("forgotten"))
    keep.close()


def test_a_topic_closed_when_no_file_can_be_opened_is_tidied_later(
    shm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, other = Subscriber("left"), Subscriber("kept")

    def none_left(folder: Path) -> list[rings.RingFile]:
        raise OSError(errno.EMFILE, "Too many open files", str(folder))

    with monkeypatch.context() as patched:
        patched.setattr(rings, "ring_files", none_left)
        reader.close()
    assert [entry for _, _, entry in ends._untidy] == [None], "its entry is given back only once"
    Publisher("another").close()
    assert not ends._untidy
    assert not list(shm.rglob("left"))
    other.close()


# ---- what an attacker or an accident may do -------------------------------------------------


def test_closing_a_topic_wakes_a_thread_that_waits_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SLICE", 30.0)
    subscriber = Subscriber("t")
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            subscriber.wait(30)
        except TopicError as error:
            ended.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    until(lambda: subscriber._bell._sleepers == 1)
    subscriber.close()
    waiter.join(20)
    assert "'t' is closed" in str(ended[0])


def test_more_depth_is_not_waited_for_while_the_lock_is_taken() -> None:
    publisher, reader = Publisher("t"), Subscriber("t", depth=300)
    fd = os.open(session.topics_dir() / session.LOCK_FILE, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    shape = publisher._shape
    for number in range(200):
        publisher.send(number)
    assert publisher._shape == shape  # it went on with the ring it had
    os.close(fd)
    for number in range(200):
        publisher.send(number)
    assert publisher._shape[0] >= 300
    assert reader.recv_all()[-1] == 199


def test_a_message_that_does_not_fit_is_refused_when_the_lock_stays_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "GROW_TIMEOUT", 0.01)
    with Topic("t") as topic:
        topic.send(1)
        fd = os.open(session.topics_dir() / session.LOCK_FILE, os.O_RDWR)
        fcntl.flock(fd, fcntl.LOCK_EX)
        with pytest.raises(SharedMemoryError, match="stays locked by another process"):
            topic.send(b"x" * 10_000)
        topic.send(2)
        os.close(fd)
        assert topic.recv_all() == [1, 2]


def test_a_lock_taken_while_a_child_was_forked_is_free_after_its_release() -> None:
    topics = session.make_dir(session.topics_dir())
    with session.structure_lock(topics):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if not pid:
            signal.pause()
            os._exit(0)
    try:
        with session.structure_lock(topics, 0.0):
            pass
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("stamp", [0, -1, 2**64, 1.5, "a", 2**62])
def test_a_stamp_that_is_no_moment_of_the_past_is_refused(stamp: Any) -> None:
    with Topic("t") as topic:
        for _ in range(2):
            with pytest.raises(ValueError, match=r"stamp_ns is .*time.monotonic_ns"):
                topic.send(1, stamp_ns=stamp)
        assert topic.recv() is None


def test_a_folder_that_others_may_write_is_refused(shm: Path) -> None:
    shm.chmod(0o777)
    with pytest.raises(SharedMemoryError, match="not safe to use: .* mode 777"):
        Topic("t")
    shm.chmod(0o700)


def test_a_pipe_or_a_link_in_place_of_a_ring_is_refused_and_cleaned(shm: Path) -> None:
    subscriber = Subscriber("t")
    folder = session.topics_dir() / "t"
    target = shm / "target"
    target.write_bytes(bytes(1000))
    os.mkfifo(folder / f"{1:016x}.0000.ring")
    (folder / f"{2:016x}.0000.ring").symlink_to(target)
    Publisher("t").send("good")
    for _ in range(2):
        try:
            assert subscriber.recv() == "good"
        except CorruptTopicError as error:
            assert "no regular file" in str(error)
        else:
            break
    assert target.read_bytes() == bytes(1000)
    subscriber.close()
    assert leftovers.clean().topics in (["t"], [])


def test_a_core_used_after_it_was_closed_says_so() -> None:
    publisher, subscriber = Publisher("t"), Subscriber("t")
    send, recv, writer = publisher.send, subscriber.recv, publisher._writer
    publisher.close()
    subscriber.close()
    with pytest.raises(TopicError, match="'t' is closed"):
        send(1)
    with pytest.raises((TopicError, ValueError)):
        recv()
    with pytest.raises((TopicError, ValueError, AttributeError)):
        writer.attach(mmap.mmap(-1, 4096), 4, 64, 0, 16)
        writer.send(1)


def test_numpy_is_imported_when_a_topic_is_opened_that_needs_it(shm):
    code = """
import sys
from horus import Topic
from horus.msgs import Imu, JointCommand
with Topic("imu", Imu):
    assert "numpy" not in sys.modules
with Topic("arm.command", JointCommand):
    assert "numpy" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
