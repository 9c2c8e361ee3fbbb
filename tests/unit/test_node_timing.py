"""How well a node kept time: histograms, what a node tells of itself, and the table of a run."""

from __future__ import annotations

import random

import pytest

import horus
from horus.node import times
from horus.scheduler import stats

KINDS = {"TickTimes": times.TickTimes, "twin": times.PureTickTimes}


@pytest.mark.parametrize("kind", KINDS)
def test_quantiles_are_right_within_three_percent_over_nine_decades(kind: str) -> None:
    recorder, source = KINDS[kind](), random.Random(4)
    taken = [round(10 ** source.uniform(1, 10)) for _ in range(5000)]
    for duration in taken:
        recorder.record(-1, duration)
    tick = times.timing_of(recorder, 5000, 1.0, 0, 1.0).tick
    taken.sort()
    assert tick.p50 == pytest.approx(taken[2500] * 1e-6, rel=0.032)
    assert tick.p99 == pytest.approx(taken[4950] * 1e-6, rel=0.032)
    assert tick.max == pytest.approx(taken[-1] * 1e-6, rel=1e-9)


def test_both_recorders_count_the_same() -> None:
    one, other, source = times.TickTimes(), times.PureTickTimes(), random.Random(5)
    edges = [2**power + more for power in range(45) for more in (-1, 0, 1)]
    for late in [-1, *edges, *(source.randrange(10**12) for _ in range(1000)), -7, 3, 3]:
        duration = source.choice(edges)
        one.record(late, duration)
        other.record(late, duration)
    for what in (times.TICK, times.LATENESS, times.JITTER):
        assert one.counts(what) == other.counts(what)
        assert one.largest(what) == other.largest(what)


@pytest.mark.parametrize("kind", KINDS)
def test_jitter_compares_only_ticks_that_were_due(kind: str) -> None:
    recorder = KINDS[kind]()
    for late in (5, 9, -1, 3, 1):  # distances: 4; none; none; 2
        recorder.record(late, 0)
    assert recorder.counts(times.JITTER) == {4: 1, 2: 1}
    assert recorder.counts(times.LATENESS) == {5: 1, 9: 1, 3: 1, 1: 1}


@pytest.mark.skipif(times.TickTimes is times.PureTickTimes, reason="not built here")
def test_the_c_recorder_refuses_what_is_no_time() -> None:
    recorder = times.TickTimes()
    with pytest.raises(TypeError, match="two numbers"):
        recorder.record(1)
    with pytest.raises(TypeError):
        recorder.record("1", 2)
    with pytest.raises(OverflowError):
        recorder.record(2**70, 1)
    with pytest.raises(IndexError):
        recorder.counts(3)
    assert recorder.counts(0) == {}


def test_a_node_tells_its_lateness_jitter_and_use_of_its_budget() -> None:
    clock = horus.SimClock()
    turns = iter([2, 1, 3] * 10)
    first = horus.Node("first", tick=lambda n: clock.advance(next(turns) * 1e-3), rate=100, order=0)
    second = horus.Node("second", rate=100, tick=lambda n: None, budget=0.5, order=1)
    horus.Scheduler(clock=clock).add(first, second).run(0.3)
    timing = first.info.timing()
    assert timing.ticks == 30
    assert timing.rate == pytest.approx(100, rel=0.02)
    assert timing.tick.p50 == pytest.approx(2, rel=0.04)
    assert timing.tick.max == 3
    assert timing.lateness.max == timing.jitter.max == 0
    assert timing.budget == 10  # ms: its period
    assert timing.use.max == pytest.approx(0.3)
    late = second.info.timing()  # its turn comes when the first one's is over
    assert late.lateness.max == 3
    assert late.lateness.p50 == pytest.approx(2, rel=0.04)
    assert late.jitter.max == 2
    assert late.budget == 500


def test_ticks_that_raise_are_timed_and_skipped_ones_are_overruns() -> None:
    clock = horus.SimClock()

    def tick(node: horus.Node) -> None:
        clock.advance(0.025)
        raise ValueError

    node = horus.Node("n", tick=tick, rate=100, failure_policy="ignore")
    horus.Scheduler(clock=clock).add(node).run(0.3)
    timing = node.info.timing()
    assert timing.ticks == 10
    assert timing.overruns == 20
    assert timing.tick.max == 25
    assert timing.use.p50 == pytest.approx(2.5, rel=0.04)
    assert timing.rate == pytest.approx(33, rel=0.05)


def test_before_it_runs_a_node_has_no_times() -> None:
    timing = horus.Node("n", rate=50).info.timing()
    assert timing.ticks == timing.rate == 0
    assert timing.tick == timing.jitter == times.Spread(0, 0, 0)
    assert timing.budget == 20


def test_get_metrics_has_the_eight_figures_and_the_stats_the_others_too() -> None:
    node = horus.Node("n", tick=lambda n: None, rate=100)
    scheduler = horus.Scheduler(clock=horus.SimClock()).add(node)
    scheduler.run(0.1)
    assert len(node.info.get_metrics()) == 8
    found = scheduler.get_node_stats("n")
    assert {"rate_held_hz", "jitter_p99_ms", "lateness_max_ms", "budget_use_p50"} <= set(found)


def test_the_table_has_a_line_for_each_node(capsys: pytest.CaptureFixture[str]) -> None:
    clock = horus.SimClock()
    slow = horus.Node("slow", tick=lambda n: clock.advance(4e-3), rate=100)
    other = horus.Node("other", tick=lambda n: None, rate=10)
    with horus.Scheduler(clock=clock).add(slow, other) as scheduler:
        scheduler.run(1.0, stats=True)
    _, _, head, first, second = capsys.readouterr().err.splitlines()
    assert head.split()[:6] == ["node", "Hz", "ticks", "runs", "p50", "p99"]
    assert first.split()[:4] == ["slow", "100", "100", "0"]
    assert first.split()[-2:] == ["40.0%", "40.0%"]
    assert second.split()[:3] == ["other", "10", "10"]


def test_durations_are_shown_with_three_digits_and_a_unit() -> None:
    ms = {0.0: "0", 0.000162: "162 ns", 0.0123: "12.3 µs", 4.0: "4 ms", 0.99999: "1 ms"}
    assert {value: stats._time(value) for value in ms} == ms
    assert stats._time(2500) == "2.5 s"
