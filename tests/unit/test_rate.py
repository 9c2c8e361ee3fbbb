"""`Rate`: a loop of one's own on the grid."""

from __future__ import annotations

import pytest

import horus


def test_turns_come_on_an_absolute_grid(clock):
    rate = horus.Rate(100, clock=clock)
    start, times = clock.now_ns, []
    for work in (0.001, 0.009, 0.0, 0.005):
        clock.advance(work)
        assert rate.sleep() is True
        times.append(round((clock.now_ns - start) * 1e-6))
    assert times == [10, 20, 30, 40]
    assert rate.overruns == 0
    assert rate.period == pytest.approx(0.01)


def test_a_turn_that_takes_too_long_skips_and_is_on_the_grid_again(clock):
    rate = horus.Rate(100, clock=clock)
    start = clock.now_ns
    clock.advance(0.035)
    assert rate.sleep() is False
    assert round((clock.now_ns - start) * 1e-6) == 40
    assert rate.overruns == 3
    assert rate.sleep() is True
    assert round((clock.now_ns - start) * 1e-6) == 50


def test_the_time_left_is_known_and_a_new_grid_can_begin(clock):
    rate = horus.Rate(10, clock=clock)
    clock.advance(0.03)
    assert rate.remaining() == pytest.approx(0.07)
    clock.advance(0.1)
    assert rate.remaining() == pytest.approx(-0.03)
    rate.reset()
    assert rate.remaining() == pytest.approx(0.1)


def test_a_rate_of_zero_is_refused():
    with pytest.raises(ValueError, match="must be greater than 0 Hz"):
        horus.Rate(0)


def test_the_machines_clock_serves_by_default():
    rate = horus.Rate(1000)
    assert rate.sleep() in (True, False)
