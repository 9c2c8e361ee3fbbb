"""What is called flat, and what is not."""

from __future__ import annotations

import random

import pytest

from .judge import slope, trend


def noisy(growth: float, seed: int = 1) -> list[tuple[float, float]]:
    """Return a figure over 1,000 s that grows so much in all, with noise and some wild points."""
    chance = random.Random(seed)
    points = [(float(t), 5000 + growth * t / 1000 + chance.gauss(0, 20)) for t in range(1000)]
    for place in chance.sample(range(1000), 50):
        points[place] = (points[place][0], points[place][1] + 1e5)
    return points


@pytest.mark.parametrize("seed", range(5))
def test_noise_and_wild_points_are_flat(seed):
    assert trend("memory", "B", noisy(0.0, seed), bound=100.0).flat


@pytest.mark.parametrize("seed", range(5))
def test_a_slow_leak_is_found(seed):
    found = trend("memory", "B", noisy(300.0, seed), bound=100.0)
    assert not found.flat
    assert found.growth == pytest.approx(300.0, abs=60.0)


def test_a_step_near_the_end_is_found_by_the_ends():
    points = [(float(t), 10.0 if t < 850 else 11.0) for t in range(1000)]
    assert not trend("descriptors", "", points, bound=0.5).flat


def test_what_falls_is_flat_unless_both_ways_count():
    falling = [(float(t), -float(t)) for t in range(100)]
    assert trend("memory", "B", falling, bound=1.0).flat
    assert not trend("grid", "ns", falling, bound=1.0, both_ways=True).flat


def test_one_point_has_no_slope_and_none_is_an_error():
    assert slope([(1.0, 2.0)]) == 0.0
    with pytest.raises(ValueError, match="no figure"):
        trend("memory", "B", [], bound=1.0)


def test_what_a_busy_machine_makes_larger_is_judged_by_its_least():
    points = [(float(t), 1.0 if t % 3 else 50.0 + t) for t in range(100)]
    late = [(float(t), 1.0 if t < 50 or t % 10 == 0 else 50.0) for t in range(100)]
    assert trend("grid", "ns", late, bound=2.0, least=True).last == 1.0
    assert trend("grid", "ns", points, bound=2.0, both_ways=True, least=True).flat
    moved = [(t, y + 5.0 * (t > 50)) for t, y in points]
    assert not trend("grid", "ns", moved, bound=2.0, both_ways=True, least=True).flat
