from __future__ import annotations

import subprocess
import sys

import pytest

from horus.bus.leftovers import TopicEnds
from horus.runtime.typos import notes

NAMES = {1: "sensor", 2: "ctrl", 3: "logger"}


def topics(**ends: tuple[tuple[int, ...], tuple[int, ...]]) -> dict[str, TopicEnds]:
    return {name.replace("__", "/"): TopicEnds(*both) for name, both in ends.items()}


def test_a_topic_read_under_a_near_name_is_told_with_who_reads_it():
    assert notes(topics(pos=((1,), ()), poss=((), (2,))), NAMES) == [
        " Note: nobody publishes 'poss', which [ctrl] reads (did you mean 'pos'?)"
    ]


def test_all_readers_are_named_and_a_published_topic_with_readers_is_near_too():
    assert notes(topics(pos=((1,), (4,)), poss=((), (2, 3, 3))), NAMES) == [
        " Note: nobody publishes 'poss', which [ctrl], [logger] read (did you mean 'pos'?)"
    ]


def test_a_published_topic_that_nobody_reads_comes_first():
    ends = topics(scan_fron=((1,), (3,)), scanfront=((1,), ()), scan_front=((), (2,)))
    assert notes(ends, NAMES)[0].endswith("(did you mean 'scanfront'?)")


@pytest.mark.parametrize(
    "ends",
    [
        topics(imu=((1,), ()), cmd_vel=((), (2,))),  # no near name
        topics(pos=((1,), ())),  # published only
        topics(pos=((), (2,))),  # read only
        topics(pos=((1,), (2,)), poss=((3,), ())),  # somebody publishes it
        topics(wheel1__cmd=((1,), ()), wheel2__cmd=((), (2,))),  # another of several
        topics(cmd_left=((1,), (2,)), cmd_lift=((), (2,))),  # who reads it knows the other as well
        topics(pos=((), ()), poss=((), (2,))),  # the near name is dead
    ],
)
def test_a_topic_that_rightly_has_one_end_is_not_mentioned(ends):
    assert notes(ends, NAMES) == []


def test_a_reader_that_a_process_of_the_run_started_has_its_name():
    helper = subprocess.Popen(
        [sys.executable, "-c", "import os; print(os.getsid(0), flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    leader = int(helper.stdout.readline())
    (line,) = notes(topics(pos=((1,), ()), poss=((), (helper.pid,))), {leader: "ctrl"})
    (other,) = notes(topics(pos=((1,), ()), poss=((), (helper.pid,))), {})
    helper.communicate(b"\n")
    assert "which [ctrl] reads" in line
    assert f"which process {helper.pid} reads" in other
