"""What the checks of a rig are made of."""

from __future__ import annotations

from math import inf, nan, pi
from typing import Any

import pytest
from horus_hil.checks.measuring import Seen, measures, moved_meanwhile, unlike
from horus_hil.checks.quantities import quantity

from horus.message import message
from horus.msgs import Encoder, Imu, LaserScan, NavSatFix
from horus.msgs._base import Stamped


@message
class Weight(Stamped):
    """A message that no check knows."""

    grams: float = 0.0


@pytest.mark.parametrize(
    ("sample", "does"),
    [
        (NavSatFix(latitude=nan, longitude=nan), False),  # as receivers send it without a fix
        (NavSatFix(latitude=0.0, longitude=0.0), True),
        (NavSatFix(latitude=10.0, longitude=nan, altitude=nan), True),
        (LaserScan(ranges=[inf, inf]), False),
        (LaserScan(ranges=[inf, 2.0]), True),
        (Imu(), True),
        (Weight(), True),
    ],
)
def test_a_sample_measures_something_or_nothing(sample: object, does: bool) -> None:
    assert measures(sample) is does


class Looked:
    """What is known of a device: the step of its twin (s)."""

    def __init__(self, truth_step: float) -> None:
        self.truth_step = truth_step


ANGLE = quantity("position", ["position"], "rad", 0.1, 0.0, turn=2 * pi)


def turning(rate: float, wrong: float, age: float) -> list[Seen]:
    """Return samples of a shaft that turns (rad/s), by a twin that moves on 20 times a second."""
    seen = []
    for number in range(30):
        at = number * 0.01
        known = int(at / 0.05) * 0.05
        message = Encoder(position=rate * (at - age) + wrong)
        seen.append(Seen(message, {"position": rate * known}, at, at - age))
    return seen


def judged(rate: float, wrong: float = 0.0, age: float = 0.02) -> list[float]:
    """Return the errors of these samples as C5 sees them."""
    seen = turning(rate, wrong, age)
    device: Any = Looked(0.05)
    moved = moved_meanwhile(device, ANGLE, seen)
    return [
        ANGLE.error(ANGLE.measured(s.message), ANGLE.true(s.truth or {}, s.message) or (), moved)
        for s in seen
    ]


@pytest.mark.parametrize("rate", [0.0, 2.0, -6.0, 20.0])
def test_a_truth_may_be_off_by_its_rate_times_its_age(rate: float) -> None:
    assert max(judged(rate)) <= 1.0


@pytest.mark.parametrize(("rate", "wrong"), [(0.0, 0.11), (2.0, 0.5), (-6.0, -1.2)])
def test_what_is_wrong_by_more_is_wrong_though_it_turns(rate: float, wrong: float) -> None:
    assert max(judged(rate, wrong)) > 1.0


def test_what_stands_still_is_allowed_nothing_more() -> None:
    device: Any = Looked(0.05)
    assert moved_meanwhile(device, ANGLE, turning(0.0, 0.0, 0.5)) == [0.0]


def test_a_body_turns_no_further_than_it_did_meanwhile() -> None:
    before, after = Encoder(position=0.0), Encoder(position=1.5)
    device: Any = Looked(0.05)
    for now, same in ((1.5, True), (0.0, False)):
        device.truth = lambda now=now: {"position": now}
        assert (unlike(device, before, after, {"position": 0.0}) == "") is same
