"""Frames, tried exhaustively on a machine with weak memory: `pins.py`.

The machine has no load buffering, so it cannot show what the release of a pin and the acquire of
the pins are for: that a reader's last look is over before the slot is written. LAYOUT.md asks for
both, and the code has them.
"""

from __future__ import annotations

import pytest

from tests.proof import pins
from tests.proof.machine import Wrong


@pytest.mark.parametrize(("readers", "frames", "looks"), [(1, 2, 2), (1, 3, 2), (2, 2, 1)])
def test_what_is_looked_at_never_changes(readers: int, frames: int, looks: int) -> None:
    assert pins.frame("", readers, frames, looks).search() > 1000


@pytest.mark.parametrize(
    "need",
    [
        "full fence after the odd word",
        "full fence after the pin",
        "second look at the pins",
        "look at the word",
    ],
)
def test_each_barrier_of_a_frame_is_missed_when_it_is_left_out(need: str) -> None:
    with pytest.raises(Wrong, match="frame 0 is made of"):
        pins.frame(need).search()


def test_the_pin_of_a_living_reader_is_taken_by_nobody() -> None:
    assert pins.entry().search() > 30


@pytest.mark.parametrize(
    ("need", "wrong"),
    [
        ("the lock while a dead reader's pin is taken back", "the pin of a living reader"),
        ("clearing at the entry's next owner", "a pin that it has not set"),
    ],
)
def test_what_is_done_about_the_dead_is_needed(need: str, wrong: str) -> None:
    with pytest.raises(Wrong, match=wrong):
        pins.entry(need).search()


def test_what_a_reader_has_still_to_take_is_not_given_up() -> None:
    assert pins.given_up(latch=False).search() > 5000
    assert pins.given_up(latch=True).search() > 20_000


@pytest.mark.parametrize(
    "need",
    ["look at what was taken", "full fence after the message", "full fence after the entry"],
)
def test_without_it_a_frame_is_lost_that_was_to_come(need: str) -> None:
    with pytest.raises(Wrong, match="has lost frame"):
        pins.given_up(need).search()
