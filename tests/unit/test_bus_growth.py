"""What others do while a publisher's ring is being replaced by a larger part."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from horus.bus import Publisher, Subscriber, Topic, publisher, rings
from horus.errors import SharedMemoryError

LARGE = "x" * 1000  # does not fit a first ring


@pytest.fixture
def while_copying(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Let something happen once, when the messages have just been copied to the next part."""

    def arrange(happening: Callable[[], Any]) -> None:
        copy = publisher._copy

        def copy_and_more(*arguments: Any) -> None:
            copy(*arguments)
            monkeypatch.setattr(publisher, "_copy", copy)
            happening()

        monkeypatch.setattr(publisher, "_copy", copy_and_more)

    return arrange


def test_a_reader_that_looks_meanwhile_goes_on_in_the_old_part(
    while_copying: Callable[[Callable[[], Any]], None],
) -> None:
    sender, reader = Publisher("t"), Subscriber("t")
    seen = []

    def look() -> None:
        reader._control.raise_generation()  # as another publisher that comes or goes does it
        seen.append(reader.recv())

    sender.send(1)
    sender.send(2)
    assert reader.recv() == 1
    while_copying(look)
    sender.send(LARGE)
    assert seen == [2]
    assert reader.recv_all() == [LARGE]
    assert reader.dropped == 0


def test_a_message_that_another_thread_sends_meanwhile_is_neither_lost_nor_reordered(
    while_copying: Callable[[Callable[[], Any]], None],
) -> None:
    sender, reader = Publisher("t"), Subscriber("t", depth=64)
    seen = []

    def send_two_and_read_one() -> None:
        sender.send(2)
        sender.send(3)
        seen.extend([reader.recv(), reader.recv()])

    sender.send(1)
    while_copying(send_two_and_read_one)
    sender.send(LARGE)
    sender.send(5)
    assert seen == [1, 2]
    assert reader.recv_all() == [3, LARGE, 5]
    assert reader.dropped == 0


def test_what_fell_out_before_a_new_publisher_was_noticed_is_counted_as_lost() -> None:
    reader = Subscriber("t")
    sender = Publisher("t")
    for number in range(100):
        sender.send(number)
    sender.send(LARGE)  # the next part takes over the last messages only
    assert rings.ring_files(reader._folder)[0].part == 1
    received = reader.recv_all()
    assert received[-2:] == [99, LARGE]
    assert len(received) + reader.dropped == 101


def test_a_publisher_killed_meanwhile_leaves_its_messages_to_be_read(
    while_copying: Callable[[Callable[[], Any]], None],
) -> None:
    reader = Subscriber("t")
    pid = os.fork()
    if not pid:
        try:
            sender = Publisher("t")
            sender.send(1)
            while_copying(lambda: os._exit(3))
            sender.send(LARGE)
        finally:
            os._exit(4)
    assert os.waitpid(pid, 0)[1] >> 8 == 3
    assert reader.recv_all() == [1]
    with Topic("t") as later:  # tidies what the dead one left
        later.send(2)
        assert reader.recv_all() == [2]


def test_a_part_that_cannot_be_named_is_given_up_and_the_next_message_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sender, reader = Publisher("t"), Subscriber("t")
    sender.send(1)
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if ".ring" in self.name:
            raise PermissionError(13, "no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(SharedMemoryError):
        sender.send(LARGE)
    monkeypatch.undo()
    sender.send(2)
    sender.send(LARGE)
    assert reader.recv_all() == [1, 2, LARGE]
    assert not [path for path in reader._folder.iterdir() if path.name.startswith(".")]
    assert len(rings.ring_files(reader._folder)) == 2
