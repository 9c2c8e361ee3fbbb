"""Figures: what a check measured, with the limits that it was judged by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest


@dataclass(frozen=True)
class Figure:
    """One number that was measured; None is no limit."""

    name: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    warn: float | None = None

    @property
    def fault(self) -> str:
        """Return in which way it is out of its limits, or ""."""
        unit = f" {self.unit}" if self.unit else ""
        if math.isnan(self.value):
            return f"{self.name} is not a number"
        if self.low is not None and self.value < self.low:
            return f"{self.name} is {self.value:.6g}{unit}, at least {self.low:g}{unit} is needed"
        if self.high is not None and self.value > self.high:
            return f"{self.name} is {self.value:.6g}{unit}, at most {self.high:g}{unit} is allowed"
        return ""


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
        high = self.limits.get(name, high)
        made = Figure(name, float(value), unit, low, high, warn)
        self.figures.append(made)
        if made.fault:
            pytest.fail(made.fault)
        return made.value
