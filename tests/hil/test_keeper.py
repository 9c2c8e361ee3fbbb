"""The thread that keeps a node going while a check is busy with something else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from horus.testing.rig.keeper import Keeper

Wait = Callable[..., None]


def test_it_ticks_while_the_check_does_not(wait_for: Wait) -> None:
    ticks: list[None] = []
    keeper = Keeper(lambda: ticks.append(None), 0.001)
    keeper.start()
    wait_for(lambda: len(ticks) > 3)
    keeper.stop()
    before = len(ticks)
    keeper.tick()
    assert len(ticks) == before + 1


def test_what_goes_wrong_in_it_is_raised_where_the_check_ticks(wait_for: Wait) -> None:
    def tick() -> None:
        raise OSError("the adapter is gone")

    keeper = Keeper(tick, 0.001)
    keeper.start()
    wait_for(lambda: keeper.error is not None)
    with pytest.raises(OSError, match="the adapter is gone"):
        keeper.tick()
    keeper.stop()
