"""Figures: what a check measured, with the limits that it was judged by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from horus.testing.report.results import Figure


@dataclass
class Recorder:
    """The fixture ``figure``: call it with what was measured; out of its limits, the test fails.

    The upper limit of a figure can be set by the rig's file, under ``limits:`` of the device.
    """

    limits: Mapping[str, float] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)

    def __call__(
        self,
        name: str,
        value: float,
        unit: str = "",
        low: float | None = None,
        high: float | None = None,
        warn: float | None = None,
    ) -> float:
        """Record a figure and return it; one that is out of its limits fails the test.

        ``warn`` is where a value begins to be worth a look; it fails nothing.
        """
        made = Figure(name, float(value), unit, low, self.limits.get(name, high), warn)
        self.figures.append(made)
        if not made.fits:
            pytest.fail(fault(made))
        return made.value


def fault(figure: Figure) -> str:
    """Return in which way a figure is out of its limits, in words."""
    unit = f" {figure.unit}" if figure.unit else ""
    if math.isnan(figure.value):
        return f"{figure.name} is not a number"
    text = f"{figure.name} is {figure.value:.6g}{unit}"
    if figure.low is not None and figure.value < figure.low:
        return f"{text}; at least {figure.low:g}{unit} is needed"
    return f"{text}; at most {figure.high:g}{unit} is allowed"
