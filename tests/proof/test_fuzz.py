"""A short form of ``python -m tests.proof fuzz``, and the cases in which it found something."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from horus.bus import CORE_NAME, Publisher, Subscriber
from tests.proof import fuzz

#: The cores disagreed: an age beyond the clock's end, two stamps that are equal, a counter beyond
#: 2**63 beside another damaged ring.
FOUND = (0, 1009949, 2003452)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    fuzz.clean()


def test_damaged_files_give_messages_that_were_sent_or_errors_with_a_name() -> None:
    assert fuzz.run(1500, 5_000_000, CORE_NAME, print) > 1500


@pytest.mark.parametrize("number", FOUND)
def test_what_was_found_once_stays_right(number: int) -> None:
    fuzz.run(1, number, CORE_NAME, print)


def test_a_crash_and_a_wrong_outcome_are_told_with_their_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def crash(live: fuzz.Live, number: int) -> int:
        if number == 12:
            os.kill(os.getpid(), signal.SIGKILL)
        return 1

    monkeypatch.setattr(fuzz, "case", crash)
    with pytest.raises(fuzz.Fault, match=r"case 12 .* status -9"):
        fuzz.run(20, 0, CORE_NAME, print)

    def lie(live: fuzz.Live, number: int) -> None:
        fuzz._judge(live, "recv", [("value", "never sent")] * 2, True)

    monkeypatch.setattr(fuzz, "case", lie)
    with pytest.raises(fuzz.Fault, match=r"(?s)case 3 .* was never sent"):
        fuzz.run(20, 3, CORE_NAME, print)


def test_discarding_what_is_older_than_any_time_discards_all() -> None:
    publisher, subscriber = Publisher("t"), Subscriber("t")
    publisher.send(1)
    publisher.send(2)
    assert subscriber.discard_before(-1) == 0
    assert subscriber.discard_before(2**70) == 2


def test_of_equal_stamps_the_first_ring_is_read_first_and_the_last_ring_is_the_latest() -> None:
    first, second = Publisher("t"), Publisher("t")
    subscriber = Subscriber("t", depth=3)
    order = [ring[0] for ring in subscriber._reader.rings()]
    first, second = sorted((first, second), key=lambda one: order.index(one._id))
    for number in range(3):
        first.send(f"a{number}", 1000)
        second.send(f"b{number}", 1000)
    assert subscriber.recv_all() == ["b0", "b1", "b2"]
    first.send("a", 1000)
    second.send("b", 1000)
    assert subscriber.latest() == "b"
