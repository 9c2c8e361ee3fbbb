"""What the checks of a rig are made of."""

from __future__ import annotations

from math import inf, nan

import pytest
from horus_hil.checks.measuring import measures

from horus.message import message
from horus.msgs import Imu, LaserScan, NavSatFix
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
