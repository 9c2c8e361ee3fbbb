"""Simulated time: rates, stamps and ages follow it, as fast as they can be computed."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time

import pytest

import horus
from horus import SimClock
from horus.bus import Publisher, Subscriber, monotonic_ns, wall_time
from horus.msgs import Imu
from horus.scheduler import loop
from horus.scheduler.programs import ProgramError, nodes_of


def test_it_moves_only_when_told_to():
    clock = SimClock(start=5.0)
    assert clock.monotonic_ns() == 5_000_000_000
    clock.advance(0.25)
    clock.sleep(0.5)
    assert clock.seconds == 0.75
    clock.sleep(0.0)
    assert clock.monotonic_ns() == 5_750_001_000, "who waits awake comes to an end"


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_it_does_not_go_back(seconds):
    with pytest.raises(ValueError, match=r"SimClock.advance: seconds is .*; it is seconds, from"):
        SimClock().advance(seconds)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: SimClock().advance("1"), TypeError, r"advance: seconds is '1'; it must be a nu"),
        (lambda: SimClock().sleep("1"), TypeError, r"sleep: seconds is '1'; it must be a number"),
        (lambda: SimClock().sleep(float("nan")), ValueError, "sleep: seconds is nan; it is sec"),
        (lambda: SimClock().sleep(float("inf")), ValueError, "sleep: seconds is inf; it is sec"),
        (lambda: SimClock("1"), TypeError, "SimClock: start is '1'; it must be a number of sec"),
        (lambda: SimClock(0), ValueError, "SimClock: start is 0; it is seconds, above 0"),
        (lambda: SimClock(epoch="now"), ValueError, "SimClock: epoch is 'now'; it is unix time"),
    ],
)
def test_what_is_no_time_is_refused_by_name(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_stamps_follow_it_while_it_is_in_use():
    publisher, subscriber = Publisher("a"), Subscriber("a")
    with SimClock(start=100.0) as clock:
        publisher.send({"n": 1})
        clock.advance(3600)
        publisher.send({"n": 2})
        publisher.send({"n": 3}, clock.monotonic_ns() - 1)
        with pytest.raises(ValueError, match="not ahead of now"):
            publisher.send({"n": 4}, clock.monotonic_ns() + 2_000_000_000)
        assert monotonic_ns() == clock.monotonic_ns()
        assert wall_time(monotonic_ns()) == clock.epoch + 3700
    stamps = [subscriber.recv_stamped()[1] for _ in range(3)]
    assert stamps == [100_000_000_000, 3_700_000_000_000, 3_699_999_999_999]
    before = time.monotonic_ns()
    publisher.send({"n": 5})
    assert before <= subscriber.recv_stamped()[1] <= time.monotonic_ns()


def test_the_pure_core_follows_it_too():
    code = """
from horus import SimClock
from horus.bus import CORE_NAME, Publisher, Subscriber
publisher, subscriber = Publisher("a"), Subscriber("a")
with SimClock(start=7.0):
    publisher.send(1)
print(CORE_NAME, subscriber.recv_stamped()[1])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"HORUS_CORE": "pure"}
    )
    assert (done.stdout, done.stderr) == ("pure 7000000000\n", "")


def test_there_is_one_in_a_process():
    with SimClock() as clock:
        with clock:
            pass
        assert horus.bus.monotonic_ns() == clock.monotonic_ns()
        with pytest.raises(RuntimeError, match="another simulated clock is in use"):
            SimClock().__enter__()


def test_a_scheduler_ticks_an_hour_in_a_moment():
    ticks: list[int] = []
    clock = SimClock()
    node = horus.Node("n", tick=lambda node: ticks.append(clock.monotonic_ns()), rate=10)
    horus.Scheduler(clock=clock).add(node).run(3600)
    assert len(ticks) == 36_000
    assert {b - a for a, b in itertools.pairwise(ticks)} == {100_000_000}


def test_ages_follow_it():
    ages: list[float | None] = []
    stale: list[bool] = []

    def tick(node: horus.Node) -> None:
        if not ages:
            node.send("imu", Imu())
        ages.append(node.get_message_age("imu"))
        stale.append(node.is_stale("imu", 0.25))

    node = horus.Node("n", pubs=horus.Pub("imu", Imu), subs="imu", tick=tick, rate=10)
    horus.Scheduler(clock=SimClock()).add(node).run(0.6)
    assert [round(age, 3) for age in ages[:3]] == [0.0, 0.1, 0.2]
    assert stale == [False, False, False, True, True, True]
    assert ages[4] is None


def test_advance_goes_on_where_it_was():
    ticks: list[float] = []
    clock = SimClock(start=1.0)
    node = horus.Node("n", tick=lambda node: ticks.append(clock.seconds), rate=10)
    with horus.Scheduler(clock=clock) as scheduler:
        scheduler.add(node)
        for _ in range(8):
            scheduler.advance(0.03)
        assert node.info.state == "running"
    assert ticks == [0.0, 0.1, 0.2]
    assert clock.seconds == pytest.approx(0.24)
    assert node.info.state == "stopped"


def test_nobody_tunes_the_sleep_of_the_thread_where_it_sleeps_in_simulated_time(monkeypatch):
    tuned = []
    fine = loop._fine_sleep
    monkeypatch.setattr(loop, "_fine_sleep", lambda: tuned.append("tuned") or fine())
    with horus.Scheduler(clock=SimClock()) as scheduler:
        scheduler.add(horus.Node("n", tick=lambda node: None)).advance(0.1)
    assert not tuned
    horus.run(horus.Node("n", tick=lambda node: None), duration=0.01)
    assert tuned


def test_advance_raises_what_a_tick_raised():
    def tick(node: horus.Node) -> None:
        raise ZeroDivisionError

    with horus.Scheduler(clock=SimClock()) as scheduler:
        scheduler.add(horus.Node("n", tick=tick))
        with pytest.raises(ZeroDivisionError):
            scheduler.advance(1)


def test_advance_ends_when_a_node_asks_for_it():
    clock = SimClock()
    node = horus.Node("n", tick=lambda node: node.request_stop(), rate=10)
    scheduler = horus.Scheduler(clock=clock).add(node)
    scheduler.advance(10)
    assert node.info.state == "stopped"
    assert clock.seconds < 1


def test_the_nodes_of_a_file_on_a_clock(tmp_path):
    file = tmp_path / "node.py"
    file.write_text("""
import time
from time import monotonic
import horus
from beside import NAME

def tick(node):
    print(NAME, time.time(), monotonic(), time.strftime("%Y", time.gmtime(0)))

if __name__ == "__main__":
    horus.Scheduler().add(horus.Node("a", tick=tick, rate=1), priority=7).run()
""")
    (tmp_path / "beside.py").write_text("NAME = 'beside'\n")
    clock = SimClock(start=3.0)
    ((node, order),) = nodes_of(file, clock)
    assert (node.name, order) == ("a", 7)
    assert "__main__" in sys.modules
    assert str(tmp_path) not in sys.path


def test_a_nodes_own_look_at_the_time_follows(tmp_path, capsys):
    file = tmp_path / "node.py"
    file.write_text("""
import time
from time import monotonic
import horus
horus.run(horus.Node("a", tick=lambda n: print(time.time(), monotonic(), time.gmtime(0)[0])))
""")
    clock = SimClock(start=3.0)
    ((node, _),) = nodes_of(file, clock)
    horus.Scheduler(clock=clock).add(node).run(0.01)
    assert capsys.readouterr().out == "946684803.0 3.0 1970\n"


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("a.rs", "", "only Python nodes"),
        ("a.py", "x = 1", "runs no node"),
        ("a.py", "raise SystemExit('no')", "ends with 'no'"),
    ],
)
def test_a_file_without_nodes_is_told(tmp_path, name, text, match):
    (tmp_path / name).write_text(text)
    with pytest.raises(ProgramError, match=match):
        nodes_of(tmp_path / name)
