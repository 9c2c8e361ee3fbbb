"""Dropped messages are filled again: whoever holds one, or a part of it, must not notice."""

import gc
import threading
import time
import weakref
from typing import Annotated

import pytest

from horus.bus import Publisher, Topic
from horus.message import Array, Int32, Str, message


@message
class Pose:
    x: float = 0.0
    y: float = 0.0
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)
    count: Int32 = 0
    label: Annotated[str, Str(16)] = ""
    joints: Annotated[tuple[float, ...], Array("f8", 2)] = (0.0, 0.0)


def pose(n):
    return Pose(n + 0.5, -n, (n, n + 1.0, n + 2.0), n, f"pose {n}", (n * 2.0, n * 3.0))


@pytest.fixture
def topic():
    with Topic("pose", Pose, depth=64) as topic:
        topic.send(pose(0))
        topic.recv()
        yield topic


def exchange(topic, n):
    topic.send(pose(n))
    return topic.recv()


def test_messages_that_are_held_keep_their_values(topic):
    held = [exchange(topic, n) for n in range(1, 50)]
    assert held == [pose(n) for n in range(1, 50)]
    assert len({id(each) for each in held}) == len(held)


def test_every_third_message_held_keeps_its_values(topic):
    held = [got for n in range(1, 100) if (got := exchange(topic, n)) and n % 3 == 0]
    assert held == [pose(n) for n in range(3, 100, 3)]


def test_values_of_dropped_messages_keep_theirs(topic):
    x, turn, inside, label = [], [], [], []
    for n in range(1, 30):
        got = exchange(topic, n)
        x.append(got.x)
        turn.append(got.turn)
        inside.append(got.joints[1])
        label.append(got.label)
        del got
    assert x == [n + 0.5 for n in range(1, 30)]
    assert turn == [(n, n + 1.0, n + 2.0) for n in range(1, 30)]
    assert inside == [n * 3.0 for n in range(1, 30)]
    assert label == [f"pose {n}" for n in range(1, 30)]


def test_lists_of_messages_keep_their_values(topic):
    lists = []
    for start in range(0, 200, 20):
        for n in range(start, start + 20):
            topic.send(pose(n))
        lists.append(topic.recv_all())
        if start % 40:
            lists[-1] = [each.turn for each in lists[-1]]
    for index, got in enumerate(lists):
        numbers = range(index * 20, index * 20 + 20)
        wanted = [pose(n).turn if index % 2 else pose(n) for n in numbers]
        assert got == wanted


def test_what_was_done_to_a_dropped_message_does_not_come_back(topic):
    for n in range(1, 10):
        got = exchange(topic, n)
        assert got == pose(n)
        got.x = "changed"
        got.turn = [1, 2]
        del got.label, got


def test_an_object_put_into_a_message_is_let_go_of_with_the_topic(topic):
    class Guest:
        pass

    guest = Guest()
    seen = weakref.ref(guest)
    got = exchange(topic, 1)
    got.x = guest
    del got, guest
    topic.close()
    gc.collect()
    assert seen() is None


def test_an_object_whose_end_uses_the_topic_does_no_harm(topic):
    ends, over = [], []

    class Last:
        def __del__(self):
            if not over:
                topic.send(pose(100))
                ends.append(topic.recv())

    for n in range(1, 8):
        got = exchange(topic, n)
        assert got.count in (n, 100)
        got.x = Last()
        del got
    topic.recv_all()
    over.append(True)
    assert ends
    assert all(each is None or each == pose(each.count) for each in ends)


def test_a_message_class_with_an_end_of_its_own_gets_it_at_once():
    ended = []

    @message
    class Counted:
        x: float = 0.0

        def __del__(self):
            ended.append(self.x)

    with Topic("counted", Counted) as topic:
        for n in range(5):
            topic.send(Counted(float(n)))
            got = topic.recv()
            assert got.x == n
            ended.clear()
            del got
            assert ended == [n]


def test_classes_with_more_than_their_fields_begin_without_it():
    class Base:  # gives instances a __dict__
        pass

    @message
    class Loose(Base):
        x: float = 0.0

    with Topic("loose", Loose) as topic:
        for n in range(6):
            topic.send(Loose(float(n)))
            got = topic.recv()
            assert not hasattr(got, "extra")
            got.extra = n
            del got


def test_threads_that_send_first_at_one_time_share_one_publisher(shm, monkeypatch):
    ready = threading.Barrier(4)
    made = []

    def slow(*given, **named):
        made.append(given)
        time.sleep(0.05)  # while it opens, the others come
        return Publisher(*given, **named)

    monkeypatch.setattr("horus.bus.topic.Publisher", slow)
    with Topic("shared", depth=64) as topic:
        threads = [
            threading.Thread(target=lambda k=k: (ready.wait(10), topic.send(k))) for k in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(topic.recv_all()) == [0, 1, 2, 3]
    assert len(made) == 1
