"""Short forms of ``python -m tests.proof chaos`` and ``reads``."""

from __future__ import annotations

import pytest

from horus.bus import CORE_NAME
from tests.proof.chaos import chaos
from tests.proof.reads import count_reads


def test_publishers_and_readers_killed_at_random_leave_everything_whole() -> None:
    report = chaos(60, seed=20261128)
    assert report.good(), "\n".join([report.line(), *report.faults])
    assert report.sent > 0


@pytest.mark.parametrize("writers", [1, 3])
def test_reads_under_racing_writers_are_whole_in_order_and_counted(writers: int) -> None:
    print(count_reads(50_000, CORE_NAME, writers, print))
