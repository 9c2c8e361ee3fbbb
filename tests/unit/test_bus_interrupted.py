"""What is used in the middle of something: by threads, signal handlers, finalizers, children."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import signal
import subprocess
import sys
import threading
import weakref
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from horus.bus import CORE_NAME, Publisher, Subscriber, Topic, ends, frames, loans, session
from horus.bus.control import Control
from horus.bus.pure import writer as pure_writer
from horus.errors import CorruptTopicError, SharedMemoryError, TopicError

LARGE = np.zeros(8192, "uint8")


@contextmanager
def lock_of_another(topics: Path):
    """Hold the lock of a topics folder as another process would."""
    fd = os.open(topics / session.LOCK_FILE, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def test_threads_that_send_the_first_arrays_at_once_mix_up_no_pixels(monkeypatch):
    both = threading.Barrier(2)
    make = loans.Frames.__init__

    def make_together(self, *args):
        both.wait(10)
        make(self, *args)

    monkeypatch.setattr(loans.Frames, "__init__", make_together)
    with closing(Publisher("image")) as publisher, closing(Subscriber("image")) as subscriber:

        def send(value):
            with publisher.loan((8192,)) as array:
                array[:] = value

        senders = [threading.Thread(target=send, args=(value,)) for value in (1, 2)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(20)
        got = subscriber.recv_all()
        assert sorted(set(map(int, array)).pop() for array in got) == [1, 2]
        assert len(frames.pool_files(publisher._folder)) == 1


def test_a_child_that_ends_takes_no_pin_of_its_parent(shm):
    program = """
import os, numpy as np
from horus.bus import Publisher, Subscriber
publisher, reader = Publisher("image"), Subscriber("image", depth=1)
publisher.send(np.full(8192, 7, "uint8"))
array = reader.recv()
reader.close()  # its entry stays, for the array
if (child := os.fork()) == 0:
    raise SystemExit
assert os.waitpid(child, 0)[1] == 0
with_its_entry = Subscriber("image", depth=1)
for value in range(100):
    publisher.send(np.full(8192, value, "uint8"))
assert set(array.tolist()) == {7}, "the pinned array has changed"
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_an_entry_is_given_back_by_its_own_process_only():
    with closing(Subscriber("t")) as reader:
        control = Control.look(reader._folder)
        ((index, pid, serial, start),) = control.entries()
        reader._control.memory[512 : 512 + 4] = (pid + 1).to_bytes(4, "little")
        reader._control.leave(index)
        assert list(reader._control.entries()) == [(index, pid + 1, serial, start)]
        reader._control.memory[512 : 512 + 4] = pid.to_bytes(4, "little")
        reader._control.leave(index)
        assert list(reader._control.entries()) == []


def test_what_could_not_be_given_back_for_a_lock_is_given_back_later(monkeypatch):
    monkeypatch.setattr(session, "GROW_TIMEOUT", 0.01)
    with closing(Publisher("t")) as publisher:
        reader = Subscriber("t")
        with lock_of_another(publisher._topics):
            reader.close()
        assert len(list(publisher._control.entries())) == 1
        Publisher("other").close()
        assert list(publisher._control.entries()) == []
        assert not ends._untidy


def test_an_array_that_needs_a_pool_waits_no_longer_than_any_message(monkeypatch):
    waited = []
    take = session.structure_lock

    def noted(topics, timeout=session.LOCK_TIMEOUT):
        waited.append(timeout)
        return take(topics, timeout)

    with closing(Publisher("image")) as publisher:
        monkeypatch.setattr(session, "structure_lock", noted)
        publisher.send(LARGE)
        assert waited and max(waited) <= session.GROW_TIMEOUT


def test_a_signal_handler_that_opens_a_topic_while_one_is_opened_is_told_so_at_once():
    with (
        closing(Publisher("t")) as publisher,
        session.structure_lock(publisher._topics),
        pytest.raises(SharedMemoryError, match="signal handler"),
    ):
        Publisher("other")
    Publisher("other").close()


@pytest.mark.skipif(CORE_NAME != "pure", reason="the C core cannot be interrupted there")
@pytest.mark.parametrize("inner", [{"stop": 1}, LARGE, LARGE[:8], b"stop"])
def test_what_a_handler_sends_in_the_middle_of_a_message_comes_after_it(monkeypatch, inner):
    clock = pure_writer.now_ns
    with closing(Publisher("t")) as publisher, closing(Subscriber("t")) as subscriber:

        def interrupted():
            monkeypatch.setattr(pure_writer, "now_ns", clock)
            assert publisher.send(inner)
            return clock()

        publisher.send(LARGE)
        monkeypatch.setattr(pure_writer, "now_ns", interrupted)
        publisher.send({"text": "x" * 50})
        publisher.send(3)
        _, first, second, third = subscriber.recv_all()
        assert first == {"text": "x" * 50}
        assert np.array_equal(second, inner) if isinstance(inner, np.ndarray) else second == inner
        assert third == 3
        assert subscriber.dropped == 0


@pytest.mark.skipif(CORE_NAME != "pure", reason="the C core cannot be interrupted there")
def test_what_a_handler_sends_goes_even_if_the_message_that_it_interrupted_does_not(monkeypatch):
    clock = pure_writer.now_ns
    with closing(Publisher("t")) as publisher, closing(Subscriber("t")) as subscriber:

        def interrupted():
            monkeypatch.setattr(pure_writer, "now_ns", clock)
            publisher.send("stop")
            raise KeyboardInterrupt

        monkeypatch.setattr(pure_writer, "now_ns", interrupted)
        with pytest.raises(KeyboardInterrupt):
            publisher.send("go on")
        assert subscriber.recv_all() == ["stop"]


def test_an_array_that_a_handler_sends_while_a_pool_is_made_is_lost_with_words(monkeypatch, caplog):
    create = frames.create_pool
    with closing(Publisher("image")) as publisher, closing(Subscriber("image")) as subscriber:

        def interrupted(*args):
            monkeypatch.setattr(frames, "create_pool", create)
            assert publisher.send(LARGE) is False
            return create(*args)

        monkeypatch.setattr(frames, "create_pool", interrupted)
        assert publisher.send(LARGE + 1)
        assert "a signal handler or a finalizer sent an array" in caplog.text
        assert publisher.frames_dropped == 1
        assert [int(array[0]) for array in subscriber.recv_all()] == [1]


def test_the_array_of_a_loan_that_was_dropped_is_written_no_more():
    with closing(Publisher("image")) as publisher:
        loan = publisher.loan((8192,))
        array = loan.__enter__()
        del loan
        gc.collect()
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 9


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="there nothing is collected at that point")
def test_a_loan_keeps_its_shape_while_the_collector_lends_others():
    publisher = Publisher("image")
    with publisher.loan((64,)):
        pass
    loan, more, armed = publisher.loan, 0, False

    def lend_others(phase: str, info: object) -> None:
        nonlocal more, armed
        if armed and phase == "start":
            armed = False
            for _ in range(6):
                more += 1
                loan((1000 + more,))

    thresholds = gc.get_threshold()
    gc.callbacks.append(lend_others)
    gc.set_threshold(5, 1000, 1000)
    try:
        for _ in range(300):
            with loan((64,)):
                pass
            gc.disable()
            rubbish = [[] for _ in range(60)]
            armed = True
            gc.enable()
            lent = loan((64,))
            armed = False
            with lent as array:
                assert array.shape == (64,)
            del rubbish
    finally:
        gc.callbacks.remove(lend_others)
        gc.set_threshold(*thresholds)
        publisher.close()
    assert more > 0


def test_a_loan_entered_after_the_end_of_its_topic_is_refused(shm):
    publisher = Publisher("image")
    with publisher.loan((8192,)):
        pass
    loan = publisher.loan((8192,))
    publisher.close()
    with pytest.raises(TopicError, match="'image' was closed"):
        loan.__enter__()
    assert not frames.pool_files(publisher._folder)


def test_methods_that_were_bound_before_the_end_name_the_topic():
    subscriber = Subscriber("t")
    methods = [subscriber.recv, subscriber.recv_all, subscriber.latest, subscriber.unread]
    subscriber.close()
    for method in methods:
        with pytest.raises(TopicError, match="topic 't' is closed"):
            method()


def test_a_callback_that_raises_when_messages_are_lost_loses_none():
    def refuse() -> None:
        raise RuntimeError("lost")

    with (
        closing(Publisher("t")) as publisher,
        closing(Subscriber("t", depth=4, on_drop=refuse)) as subscriber,
    ):
        for number in range(10):
            publisher.send(number)
        with pytest.raises(RuntimeError, match="lost"):
            subscriber.recv()
        assert subscriber.recv_all() == [6, 7, 8, 9]
        assert subscriber.dropped == 6


def test_an_error_that_was_put_off_keeps_no_array_of_its_callers():
    """Else what a caller holds, and the pins of that, stay until the collector comes."""
    gc.disable()
    try:
        with closing(Publisher("t")) as publisher, closing(Subscriber("t")) as subscriber:
            publisher.send(1)
            publisher.send({"x": 1})
            text = bytes(publisher._ring).index(b"\x81\xa1x\x01")
            publisher._ring[text : text + 1] = b"\xc1"  # with which no MessagePack begins
            assert subscriber.recv_all() == [1]

            def receive() -> weakref.ref[Any]:
                array = np.zeros(4)
                with contextlib.suppress(CorruptTopicError):
                    subscriber.recv()
                    raise AssertionError("the damage went unnoticed")
                return weakref.ref(array)

            assert receive()() is None
    finally:
        gc.enable()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # 3.12 warns of threads
def test_a_child_sends_though_a_thread_of_its_parent_was_just_opening():
    with Topic("t") as topic, closing(Subscriber("t")) as subscriber:
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            with topic._opening:
                held.set()
                done.wait(60)

        holder = threading.Thread(target=hold)
        holder.start()
        assert held.wait(20)
        child = os.fork()
        if not child:
            signal.alarm(20)
            os._exit(0 if topic.send("from the child") else 1)
        done.set()
        holder.join()
        assert os.waitpid(child, 0)[1] == 0
        assert subscriber.recv() == "from the child"
