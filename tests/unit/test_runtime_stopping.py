from __future__ import annotations

import signal
from types import SimpleNamespace

import pytest

from horus.runtime import stopping
from horus.runtime.report import describe
from horus.runtime.stopping import StopSequence

GRACE = 3.0


class FakeProcess:
    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ended = False
        self.lost = False
        self.asked = None
        self.hurried = ""

    @property
    def running(self) -> bool:
        return not (self.ended or self.lost)


@pytest.fixture
def sent(monkeypatch):
    """Every signal that is sent: (pid, signal)."""
    signals: list[tuple[int, int]] = []
    monkeypatch.setattr(stopping, "signal_group", lambda *what: signals.append(what))
    return signals


def test_each_step_waits_for_the_grace(sent):
    process = FakeProcess(7)
    sequence = StopSequence([[process]], GRACE)
    for now, count in [(0.0, 1), (2.9, 1), (3.0, 2), (5.9, 2), (6.0, 3)]:
        assert sequence.advance(now) is False
        assert len(sent) == count
    assert sent == [(7, signal.SIGINT), (7, signal.SIGTERM), (7, signal.SIGKILL)]
    assert process.asked == signal.SIGKILL
    process.ended = True
    assert sequence.advance(6.1) is True


def test_only_those_that_still_run_are_asked_again(sent):
    quick, slow = FakeProcess(1), FakeProcess(2)
    sequence = StopSequence([[quick, slow]], GRACE)
    sequence.advance(0.0)
    quick.ended = True
    sequence.advance(GRACE)
    assert sent == [(1, signal.SIGINT), (2, signal.SIGINT), (2, signal.SIGTERM)]
    assert quick.asked == signal.SIGINT


def test_simulated_devices_are_asked_when_all_others_have_ended(sent):
    driver, twin = FakeProcess(1), FakeProcess(2)
    sequence = StopSequence([[driver], [twin]], GRACE)
    sequence.advance(0.0)
    assert sent == [(1, signal.SIGINT)]
    driver.ended = True
    sequence.advance(0.1)
    assert sent == [(1, signal.SIGINT), (2, signal.SIGINT)]
    assert sequence.deadline == pytest.approx(0.1 + GRACE)


def test_in_a_hurry_the_next_step_comes_at_once(sent):
    process = FakeProcess(1)
    sequence = StopSequence([[process]], GRACE)
    sequence.advance(0.0)
    sequence.hurry(0.5, "Ctrl+C again")
    sequence.advance(0.5)
    assert process.hurried == "Ctrl+C again"
    assert sent[-1] == (1, signal.SIGTERM)
    assert sequence.deadline < 0.5 + GRACE


def test_without_a_hurry_nobody_is_said_to_have_been_in_one(sent):
    driver, twin = FakeProcess(1), FakeProcess(2)
    sequence = StopSequence([[driver], [twin]], GRACE)
    sequence.advance(0.0)
    sequence.advance(GRACE)
    assert driver.hurried == ""
    sequence.hurry(GRACE + 0.1, "Ctrl+C again")
    driver.ended = True
    sequence.advance(GRACE + 0.2)  # the twin's first step, which no hurry brought forward
    assert (driver.hurried, twin.hurried) == ("", "")


@pytest.mark.parametrize(
    ("asked", "code", "hurried", "line"),
    [
        (signal.SIGTERM, -15, "", "Stopped [a] by SIGTERM: it did not end on SIGINT"),
        (signal.SIGTERM, -15, "Ctrl+C again", "Stopped [a] by SIGTERM (Ctrl+C again)"),
        (signal.SIGKILL, -9, "", "Killed [a]: it ended neither on SIGINT nor on SIGTERM"),
        (signal.SIGKILL, -9, "Ctrl+C again", "Killed [a] (Ctrl+C again)"),
    ],
)
def test_a_process_is_not_blamed_for_time_it_was_not_given(asked, code, hurried, line):
    process = SimpleNamespace(
        hung="",
        name="a",
        lost=False,
        asked=asked,
        code=code,
        hurried=hurried,
        ended_well=code == -15,
    )
    assert describe(process) == f"   {line}"


def test_a_process_that_cannot_be_killed_is_given_up_at_last(sent):
    process = FakeProcess(1)
    sequence = StopSequence([[process]], GRACE)
    for now in (0.0, 3.0, 6.0):
        sequence.advance(now)
    sequence.hurry(6.1, "Ctrl+C again")  # does not shorten what the kernel may take
    assert sequence.advance(6.2) is False
    assert sequence.advance(60.0) is True
    assert process.lost


def test_nothing_to_stop_is_stopped(sent):
    assert StopSequence([[], []], GRACE).advance(0.0) is True
    assert sent == []
