"""Fixtures for a ``conftest.py``: ``clock``, moved by hand, and ``make_bench``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from horus.hardware.lastwords import BusAddress
from horus.testing.bench import Bench, HandClock

__all__ = ["clock", "make_bench"]

# So that a contract that is broken says with which values.
pytest.register_assert_rewrite("horus.testing.driver_contract", "horus.testing.actuator_contract")


@pytest.fixture
def clock() -> HandClock:
    """Return a clock that moves only by hand."""
    return HandClock()


@pytest.fixture
def make_bench(
    clock: HandClock, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Bench]]:
    """Return a function that puts a device on a bench; all are made safe and closed at the end."""
    monkeypatch.setenv("HORUS_CALIBRATION_DIR", str(tmp_path / "calibration"))
    made: list[Bench] = []

    def make(use: str, address: BusAddress | None = None, **options: Any) -> Bench:
        made.append(Bench(use, clock, address, **options))
        return made[-1]

    with clock:
        yield make
        for bench in made:
            bench.close()
