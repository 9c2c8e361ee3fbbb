"""Arrays in shared memory: lent to be written, looked at where they lie, unchanged meanwhile."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from contextlib import closing, nullcontext
from pathlib import Path

import numpy as np
import pytest

import horus
from horus.bus import Publisher, Subscriber, Topic, codec, leftovers
from horus.bus import layout as L
from horus.bus.core import CORE_NAME
from horus.bus.frames import FrameRef, pool_files
from horus.bus.loans import Frames
from horus.errors import CorruptTopicError, MessageTooLargeError, MessageTypeError, TopicError

SHAPE = (100, 100)


def frames_of(shm: Path, topic: str = "image") -> list[Path]:
    return [pool.path for pool in pool_files(shm / "topics" / topic)]


def pins(shm: Path, topic: str = "image") -> int:
    """Return how many pins are set in the pools of a topic."""
    count = 0
    for path in frames_of(shm, topic):
        data = path.read_bytes()
        slots = int.from_bytes(data[L.FRAMES_SLOTS : L.FRAMES_SLOTS + 4], "little")
        for slot in range(slots):
            start = L.FRAMES_BLOCKS + slot * L.FRAMES_BLOCK + L.BLOCK_PINS
            count += sum(data[start : start + L.MAX_READERS])
    return count


def used(shm: Path, topic: str = "image") -> int:
    """Return how many slots have ever held a frame."""
    count = 0
    for path in frames_of(shm, topic):
        data = path.read_bytes()
        slots = int.from_bytes(data[L.FRAMES_SLOTS : L.FRAMES_SLOTS + 4], "little")
        blocks = (L.FRAMES_BLOCKS + slot * L.FRAMES_BLOCK for slot in range(slots))
        count += sum(any(data[at : at + 8]) for at in blocks)
    return count


def lend(topic: Topic, value: int, shape: tuple[int, ...] = SHAPE) -> None:
    with topic.loan(shape) as array:
        array[:] = value


# lending


def test_what_is_written_into_a_loan_is_received():
    with Topic("image") as topic:
        with topic.loan((3, 4, 1000), "float32") as array:
            array[:] = np.arange(12000).reshape(3, 4, 1000)
        got = topic.recv()
        assert got.dtype == np.float32
        assert np.array_equal(got, np.arange(12000).reshape(3, 4, 1000))


def test_small_and_empty_arrays_can_be_lent_too():
    with Topic("image") as topic:
        for shape in ((), (1,), (0, 5), 7):
            with topic.loan(shape, "int16") as array:
                array[...] = 3
            got = topic.recv()
            assert got.shape == ((shape,) if isinstance(shape, int) else shape)
            assert (got == 3).all()


def test_an_exception_sends_nothing_and_gives_the_place_back():
    with Topic("image") as topic:
        for _ in range(100):
            with pytest.raises(KeyError), topic.loan(SHAPE):
                raise KeyError
        assert topic.recv() is None
        lend(topic, 1)
        assert topic.recv().max() == 1
        assert len(topic._publisher._frames.slots.pools()) == 1


def test_several_loans_at_once_are_several_places():
    with Topic("image") as topic:
        with topic.loan(SHAPE) as one, topic.loan(SHAPE) as two:
            one[:], two[:] = 1, 2
        assert [int(a.max()) for a in topic.recv_all()] == [2, 1]  # sent as the blocks end


def test_a_loan_that_is_never_left_gives_its_place_back_when_it_goes():
    with Topic("image") as topic:
        for _ in range(50):
            loan = topic.loan(SHAPE)
            loan.__enter__()
            del loan
        assert len(topic._publisher._frames.slots.pools()) == 1
        assert topic.recv() is None


def test_a_loan_is_used_once_and_cannot_be_written_afterwards():
    with Topic("image") as topic:
        loan = topic.loan(SHAPE)
        with loan as array:
            array[:] = 1
        assert loan.sent
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 2
        with pytest.raises(TopicError, match="a loan is used once"):
            loan.__enter__()


def test_a_loan_that_is_open_when_its_topic_closes_is_refused():
    with Topic("image") as topic:
        lend(topic, 1)
        loan = topic.loan(SHAPE)
        array = loan.__enter__()
        topic._publisher.close()
        with pytest.raises(TopicError, match="closed while a loan was open"):
            loan.__exit__(None, None, None)
        assert not loan.sent
        assert not array.flags.writeable


def test_a_loan_of_the_parent_is_refused_in_its_child(shm):
    with Topic("image") as topic:
        lend(topic, 1)
        loan, lend_more = topic.loan(SHAPE), topic.loan
        loan.__enter__()[:] = 2
        pid = os.fork()
        if not pid:
            status = 1
            try:
                loan.__exit__(None, None, None)
            except TopicError:
                with lend_more(SHAPE) as array:  # of the child's own, by what was bound before
                    array[:] = 3
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        loan.__exit__(None, None, None)
        assert [int(a.max()) for a in topic.recv_all()] == [1, 3, 2]


def test_shapes_and_dtypes_may_be_given_in_any_way_again_and_again():
    shape, kind = [3, 4], np.dtype("f4")
    with Topic("image") as topic:
        for dtype in ("f4", "float32", np.float32, kind, "".join(("f", "4"))):
            for given in ((3, 4), shape, np.array([3, 4]), (np.int64(3), 4), tuple(shape)):
                with topic.loan(given, dtype) as array:
                    assert (array.shape, array.dtype) == ((3, 4), kind)
                    assert array.flags.c_contiguous
                    assert array.flags.aligned
                got = topic.recv()
                assert (got.shape, got.dtype) == ((3, 4), kind)
        shape.append(5)
        with topic.loan(shape, "f4") as array:
            assert array.shape == (3, 4, 5)
        with topic.loan(True) as array:
            assert array.shape == (1,)
        with topic.loan(np.int64(5)) as array:
            assert array.shape == (5,)
        with topic.loan(2**13, dtype="u1", stamp_ns=None) as array:
            assert array.nbytes == 2**13
        with pytest.raises(TypeError):
            topic.loan(1, "u1", 3)
        with pytest.raises(ValueError, match="stamp_ns"), topic.loan(5, stamp_ns=-1):
            pass
        lend(topic, 1)


@pytest.mark.skipif(CORE_NAME != "native", reason="the pure core asks each time")
def test_what_is_asked_for_again_is_lent_without_python_code(monkeypatch):
    asked = []
    form = Frames.form
    monkeypatch.setattr(Frames, "form", lambda *args: asked.append(args[1:]) or form(*args))
    like = np.zeros((3, 4), "f4")
    with Topic("image") as topic:
        lend(topic, 1)
        del asked[:]
        for _ in range(5):
            with topic.loan(like.shape, like.dtype) as array:
                assert (array.shape, array.dtype) == ((3, 4), "f4")
            with topic.loan(shape=(3, 4), stamp_ns=None, dtype="f4") as array:
                assert (array.shape, array.dtype) == ((3, 4), "f4")
            with topic.loan([3, 4], dtype=like.dtype) as array:
                assert (array.shape, array.dtype) == ((3, 4), "f4")
        assert len(asked) <= 2
        for wrong in ({}, {"shape": 3}, {"size": 3}):
            with pytest.raises(TypeError):
                topic.loan(*((4,) if "shape" in wrong or "size" in wrong else ()), **wrong)


@pytest.mark.parametrize("known", [True, False])
def test_arrays_are_the_same_where_numpys_interface_is_not_known(known, shm):
    native = pytest.importorskip("horus.bus._core")
    was = native.use_numpy(True)
    try:
        native.use_numpy(known)
        with Topic("image", depth=4) as topic:
            for array in (np.arange(5), np.arange(6000.0).reshape(2, 3000), np.zeros((0, 2))):
                topic.send(array)
                got = topic.recv()
                assert np.array_equal(got, array)
                assert (got.shape, got.dtype) == (array.shape, array.dtype)
                assert not got.flags.writeable
            with topic.loan((5, 1000), "f8") as lent:
                lent[:] = 4
            got = topic.recv()
            with pytest.raises(ValueError, match="read-only"):
                lent[:] = 5
            with pytest.raises(ValueError, match="WRITEABLE"):
                got.flags.writeable = True
            assert pins(shm) == 1
            del got
            assert pins(shm) == 0
    finally:
        native.use_numpy(was)


def test_a_loan_carries_the_moment_of_sampling():
    from horus.clock import now_ns

    with Topic("image") as topic:
        moment = now_ns() - 1_000_000
        with topic.loan(SHAPE, stamp_ns=moment):
            pass
        assert topic._subscriber.recv_stamped()[1] == moment


@pytest.mark.parametrize(
    ("shape", "dtype", "text"),
    [
        ((2, -1), "uint8", "negative"),
        ((1,) * 70, "uint8", "at most 32 sizes"),
        ((0, 2**70), "uint8", "beyond"),
        ("ab", "uint8", "loan\\('ab'"),
        ((2.5,), "O", "dtype object cannot be sent"),
        ((2,), "no_such", "no_such"),
        ((2,), [("x", "f4")], "cannot be sent"),
        (None, "uint8", "loan\\(None"),
    ],
)
def test_what_cannot_be_lent_is_refused_by_name(shape, dtype, text):
    with Topic("image") as topic, pytest.raises(MessageTypeError, match=text):
        topic.loan(shape, dtype)


def test_a_loan_that_is_too_large_is_refused():
    with Topic("image") as topic, pytest.raises(MessageTooLargeError, match="too large"):
        topic.loan((L.MAX_MESSAGE + 1,)).__enter__()


def test_a_closed_topic_and_one_of_a_declared_type_lend_nothing():
    @horus.message
    class Lent:
        x: float = 0.0

    topic = Topic("image")
    topic.send(1)
    topic.close()
    with pytest.raises(TopicError, match="closed"):
        topic.loan(SHAPE)
    with Topic("lent", Lent) as declared, pytest.raises(MessageTypeError, match="carries Lent"):
        declared.loan(SHAPE)


def test_a_node_lends_on_topics_that_it_declares():
    seen = []
    camera = horus.Node("camera", pubs="image", tick=lambda n: snap(n), rate=100)
    viewer = horus.Node(
        "viewer", subs="image", on="image", tick=lambda n: seen.append(n.get_latest("image"))
    )

    def snap(node: horus.Node) -> None:
        with node.loan("image", SHAPE) as pixels:
            pixels[:] = node.info.tick_count()

    horus.Scheduler(clock=horus.SimClock()).add(camera, viewer).run(0.05)
    assert [int(image.max()) for image in seen] == [0, 1, 2, 3, 4]
    with pytest.raises(KeyError, match="imagge"):
        camera.loan("imagge", SHAPE)


# looking


def test_a_received_array_is_a_read_only_look_at_shared_memory(shm):
    with Topic("image") as topic:
        topic.send(np.full(SHAPE, 9.0))
        got = topic.recv()
        assert not got.flags.writeable
        assert not got.flags.owndata
        with pytest.raises(ValueError, match="cannot set WRITEABLE"):
            got.flags.writeable = True
        assert pins(shm) == 1
        part = got[3:5]
        del got
        gc.collect()
        assert pins(shm) == 1, "what was made of it looks at the same memory"
        assert part.max() == 9.0
        del part
        gc.collect()
        assert pins(shm) == 0


def test_what_is_looked_at_never_changes_however_fast_others_come():
    kept = {}
    with Topic("image", depth=4) as topic:
        for number in range(1, 500):
            lend(topic, number % 251)
            got = topic.recv()
            if number % 50 == 0:
                kept[number] = got
            for n, image in kept.items():
                assert image.min() == image.max() == n % 251
        assert topic._publisher.frames_dropped == 0


def test_a_place_that_everybody_has_let_go_is_written_again_at_once(shm):
    with Topic("image", depth=8) as topic, closing(Subscriber("image")) as slow:
        publisher, fast = topic._publishing(), topic._subscriber
        publisher.send(np.full(SHAPE, 0, np.uint8))
        assert slow.recv().max() == fast.recv().max() == 0
        for number in range(1, 20):
            publisher.send(np.full(SHAPE, number, np.uint8))
            assert slow.recv().max() == fast.recv().max() == number
        assert used(shm) == 2, "the newest stays for who comes later, the other one is warm"
        with closing(Subscriber("image", latch=True)) as late:
            assert late.recv().max() == 19
        for number in range(8):  # now one of them does not read
            publisher.send(np.full(SHAPE, number, np.uint8))
            assert fast.recv().max() == number
        assert [int(a.max()) for a in slow.recv_all()] == list(range(8))
        assert used(shm) == 8


def test_a_reader_that_holds_an_array_does_not_keep_others_from_warm_places(shm):
    with Topic("image", depth=8) as topic:
        lend(topic, 100)
        held = topic.recv()
        for number in range(20):
            lend(topic, number)
            assert topic.recv().max() == number
        assert used(shm) == 3
        assert held.min() == held.max() == 100


def test_for_readers_without_an_entry_frames_are_kept_as_long_as_they_can_be(shm):
    with Topic("image", depth=4) as topic, closing(Subscriber("image", depth=4)) as other:
        other._entry = None  # as in a child by fork
        topic._publishing()
        lend(topic, 100)
        assert topic.recv().max() == other.recv().max() == 100
        for number in range(4):
            lend(topic, number)
            assert topic.recv().max() == number
        assert [int(a.max()) for a in other.recv_all()] == [0, 1, 2, 3]


def test_an_entry_begins_with_nothing_taken(shm):
    def taken(entry: int) -> list[int]:
        at = L.FRAMES_TAKEN + 8 * entry
        found = [path.read_bytes()[at : at + 8] for path in frames_of(shm)]
        return sorted(int.from_bytes(word, "little") for word in found)

    with Topic("image", depth=4) as topic:
        for number in range(4):
            lend(topic, number)
        with closing(Subscriber("image", latch=True)) as first:
            entry = first._entry
            assert first.recv().max() == 3
            assert taken(entry) == [4]
        with closing(Subscriber("image")) as second:
            assert second._entry == entry
            assert taken(entry) == [0]


def test_arrays_of_any_layout_come_out_as_they_went_in():
    base = np.arange(40000, dtype=">i4").reshape(200, 200)
    for array in (base, base.T, base[::2, ::-1], np.asfortranarray(base), base > 7):
        with Topic("image") as topic:
            topic.send(array)
            got = topic.recv()
            assert got.dtype == array.dtype
            assert np.array_equal(got, array)


def test_frames_that_nobody_reads_are_lost_and_counted_like_other_messages():
    with Topic("image", depth=3) as topic:
        for number in range(10):
            lend(topic, number)
        assert [int(a.max()) for a in topic.recv_all()] == [7, 8, 9]
        assert topic.dropped == 7


def test_a_frame_that_has_given_way_is_lost_and_the_next_one_comes(monkeypatch):
    monkeypatch.setattr(L, "FRAME_BUDGET", 4 * 4096 * 3)
    with Topic("image", depth=8) as topic:
        for number in range(8):  # more than there are places: the oldest give way
            lend(topic, number)
        seen = [int(a.max()) for a in topic.recv_all()]
        assert seen == list(range(8))[-len(seen) :]
        assert 0 < len(seen) < 8
        assert topic.dropped == 8 - len(seen)
        for number in range(8):
            lend(topic, number)
        assert topic.latest().max() == 7
        assert topic.recv() is None


def test_when_readers_hold_every_place_the_sender_goes_on_and_counts(monkeypatch, caplog):
    monkeypatch.setattr(L, "FRAME_BUDGET", 8 * 4096 * 3)
    kept = []
    with Topic("image") as topic:
        while topic._publisher is None or not topic._publisher.frames_dropped:
            sent = topic.send(np.zeros(SHAPE, np.uint8))
            kept.append(topic.recv())
            assert len(kept) < 50
        assert sent is False
        assert kept.pop() is None
        assert "readers hold all" in caplog.text
        loan = topic.loan(SHAPE)
        with loan as array:
            array[:] = 1
        assert not loan.sent
        kept.clear()
        gc.collect()
        assert topic.send(np.ones(SHAPE, np.uint8))
        assert topic.recv().max() == 1


def test_frames_of_growing_size_leave_no_trail(shm):
    with Topic("image", depth=1) as topic:
        for size in range(5000, 100_000, 5000):
            topic.send(np.full(size, 7, np.uint8))
            assert topic.recv().size == size
        assert len(frames_of(shm)) <= 3


def test_a_pool_is_not_given_up_while_a_place_of_it_is_lent(shm):
    large = np.full((1000, 1000), 9, np.uint8)
    with closing(Publisher("image")) as publisher, closing(Subscriber("image")) as reader:
        with publisher.loan((300, 300)) as small:
            small[:] = 1
            assert publisher.send(large)
        assert [int(a.max()) for a in reader.recv_all()] == [9, 1]
        with pytest.raises(KeyError), publisher.loan((300, 300)):
            publisher.send(np.full((2000, 1000), 8, np.uint8))
            raise KeyError
        for number in range(6):
            publisher.send(np.full((300, 300), number, np.uint8))
        assert [int(a.max()) for a in reader.recv_all()] == [8, *range(6)]
        assert reader.dropped == 0


def test_a_loan_in_the_hands_of_the_collector_waits_for_no_lock():
    with Topic("image") as topic:
        loan = topic.loan(SHAPE)
        loan.__enter__()
        pool = topic._publisher._pool()
        with pool._growing, getattr(pool.slots, "_lock", nullcontext()):
            del loan
            gc.collect()
        lend(topic, 1)
        assert topic.recv().max() == 1
        assert len(topic._publisher._pool().slots.pools()) == 1


def test_an_interrupted_copy_gives_its_place_back(monkeypatch):
    class Interrupt(BaseException):
        pass

    with Topic("image") as topic:
        for _ in range(10):
            with monkeypatch.context() as patch:
                patch.setattr(np, "copyto", _raiser(Interrupt))
                with pytest.raises(Interrupt):
                    topic.send(np.zeros(SHAPE).T)
        assert topic.send(np.ones(SHAPE))
        assert topic.recv().max() == 1
        assert len(topic._publisher._pool().slots.pools()) == 1


def _raiser(kind: type[BaseException]):
    def raising(*_: object, **__: object) -> None:
        raise kind

    return raising


def test_threads_that_share_a_reader_share_no_torn_frame():
    import threading

    wrong, stop = [], threading.Event()
    with Topic("image", depth=3) as topic:

        def look() -> None:
            while not stop.is_set():
                got = topic.recv()
                if got is not None and got.min() != got.max():
                    wrong.append(got.copy())

        threads = [threading.Thread(target=look) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(1500):
            lend(topic, number % 251)
        stop.set()
        for thread in threads:
            thread.join(30)
        assert not wrong


def test_latest_latch_and_all_see_frames():
    with closing(Publisher("image")) as publisher, closing(Subscriber("image")) as early:
        for number in range(5):
            publisher.send(np.full(SHAPE, number, np.uint8))
        with closing(Subscriber("image", latch=True)) as late:
            assert late.recv().max() == 4
        assert early.latest().max() == 4
        assert early.recv() is None


def test_a_view_outlives_its_reader_and_its_topic(shm):
    topic = Topic("image")
    topic.send(np.full(SHAPE, 5, np.uint8))
    got = topic.recv()
    subscriber = topic._subscriber
    subscriber.close()
    with closing(Subscriber("image")):  # a new reader does not get the entry that pins it
        for _ in range(50):
            topic._publisher.send(np.zeros(SHAPE, np.uint8))
        assert got.min() == got.max() == 5
    topic.close()
    assert got.min() == 5
    del got
    gc.collect()
    Topic("other").close()  # the next use of the bus tidies
    assert not (shm / "topics" / "image").exists()


def test_pools_go_with_their_publisher(shm):
    with closing(Subscriber("image")):
        publisher = Publisher("image")
        publisher.send(np.zeros(SHAPE))
        assert frames_of(shm)
        publisher.close()
    assert frames_of(shm) == []


# other processes

READER = """
import sys, numpy as np
from contextlib import closing
from horus.bus import Subscriber
with closing(Subscriber("image", depth=1)) as reader:
    print("ready", flush=True)
    held = []
    while len(held) < int(sys.argv[1]):
        if reader.wait(30) and (got := reader.recv()) is not None:
            held.append(got)
    print("held", flush=True)
    sys.stdin.readline()
    print(all(h.min() == h.max() for h in held), flush=True)
"""


def start_reader(count: int, core: str = "") -> subprocess.Popen[str]:
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **({"HORUS_CORE": core} if core else {})},
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "ready\n"
    return reader


def said(reader: subprocess.Popen[str], publisher: Publisher, text: str) -> None:
    """Send until the reader has said something."""
    import select

    assert reader.stdout is not None
    number = 0
    while not select.select([reader.stdout], [], [], 0.0)[0]:
        number += 1
        with publisher.loan(SHAPE) as pixels:
            pixels[:] = number % 251
        assert number < 1_000_000
    assert reader.stdout.readline() == text


@pytest.mark.parametrize("core", ["pure", ""])
def test_what_another_process_holds_stays_as_it_was(core, shm):
    with closing(Publisher("image")) as publisher:
        reader = start_reader(3, core)
        said(reader, publisher, "held\n")
        for number in range(300):
            with publisher.loan(SHAPE) as pixels:
                pixels[: SHAPE[0] // 2] = number % 251
                pixels[SHAPE[0] // 2 :] = number % 251
        out, _ = reader.communicate("go\n", timeout=60)
        assert out == "True\n"


def test_the_pins_of_a_killed_reader_are_taken_back(monkeypatch, shm):
    monkeypatch.setattr(L, "FRAME_BUDGET", 4 * 4096 * 3)
    with closing(Publisher("image")) as publisher:
        reader = start_reader(4)
        said(reader, publisher, "held\n")
        assert not publisher.send(np.zeros(SHAPE, np.uint8)), "all places are held"
        reader.send_signal(signal.SIGKILL)
        reader.wait(30)
        assert publisher.send(np.zeros(SHAPE, np.uint8))
        assert pins(shm) == 0
        reader.stdin.close()
        reader.stdout.close()


def test_a_child_by_fork_does_not_release_what_its_parent_looks_at(shm):
    with Topic("image") as topic:
        topic.send(np.full(SHAPE, 3, np.uint8))
        got = topic.recv()
        pid = os.fork()
        if not pid:
            del got
            gc.collect()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert pins(shm) == 1
        assert got.max() == 3


def test_views_at_the_end_of_a_process_leave_nothing(shm):
    code = (
        "import numpy as np\nfrom horus import Topic\n"
        "topic = Topic('image')\ntopic.send(np.ones(10000))\nkept = topic.recv()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert not (shm / "topics").exists()


# damage


def test_a_damaged_pool_and_a_damaged_reference_are_named(shm):
    with Topic("image") as topic:
        topic.send(np.zeros(SHAPE))
        (path,) = frames_of(shm)
        with path.open("r+b") as file:
            file.write(b"X")
        with pytest.raises(CorruptTopicError, match="pool .* is damaged"):
            topic.recv()
    for payload in (b"", b"\0" * 10, FrameRef(1, 2, 3, 4, 5, b"head").pack()[:-1]):
        with pytest.raises(ValueError, match="reference"):
            FrameRef.unpack(payload)


def test_a_reference_beyond_its_pool_is_refused():
    with Topic("image") as topic:
        topic.send(np.zeros(SHAPE))
        pool, subscriber = topic._publisher._pool(), topic._subscriber
        array = np.ones(SHAPE, np.uint8)
        ref = FrameRef.unpack(pool.put(codec.array_head(SHAPE, array.dtype), array).payload)
        for wrong in ({"slot": 99}, {"length": 2**40}, {"length": 3}, {"head": b"\xff" * 8}):
            bad = ref._replace(**wrong)
            with pytest.raises(ValueError, match=r"fit|short|dimensions"):
                subscriber._pins.view(bad)
        assert subscriber._pins.view(ref).min() == 1
        old = ref._replace(serial=ref.serial - 1)
        assert subscriber._pins.view(old) is None, "another frame is there now"


def test_a_reader_without_an_entry_gets_a_copy(shm):
    with Topic("image") as topic:
        topic._subscriber._entry = None
        topic.send(np.full(SHAPE, 4, np.uint8))
        got = topic.recv()
        assert got.max() == 4
        assert got.flags.owndata
        assert pins(shm) == 0


def test_clean_takes_the_pools_of_the_dead(shm):
    code = (
        "import os, numpy as np\nfrom horus.bus import Publisher\n"
        "Publisher('image').send(np.ones(10000))\nos.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert frames_of(shm)
    leftovers.clean(at_once=True)
    assert not (shm / "topics" / "image").exists()


def test_a_loan_bound_before_the_first_one_is_served_as_later_ones_are():
    with Topic("image") as topic, closing(Publisher("image")) as publisher:
        early, early_of_topic = publisher.loan, topic.loan
        for lend in (early, early_of_topic):
            with lend(SHAPE):
                pass
        assert type(early(SHAPE)) is type(publisher.loan(SHAPE))
        assert type(early_of_topic(SHAPE)) is type(topic.loan(SHAPE))
        with early(SHAPE) as array:
            array[:] = 7
        topic.recv(), topic.recv()
        assert (topic.recv() == 7).all()
        with pytest.raises(MessageTypeError, match="loan\\(dict\\)"):
            early(dict, SHAPE)


def test_a_frame_whose_number_is_damaged_is_not_there():
    with closing(Publisher("image")) as publisher, closing(Subscriber("image")) as subscriber:
        publisher.send(np.ones(SHAPE))
        payload = publisher._ring.find(publisher._id.to_bytes(8, "little"), L.RING_HEADER)
        publisher._ring[payload + 15] ^= 0x80  # the highest bit, which doubling loses
        assert subscriber.recv() is None
        assert subscriber.dropped == 1
