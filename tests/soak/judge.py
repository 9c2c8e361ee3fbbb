"""Whether a series of figures is flat: a robust fit, and a bound that is stated."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

#: Points of a fit: its cost grows with their square.
MOST_POINTS = 200


@dataclass(frozen=True)
class Trend:
    """How a figure moved in the time that is judged."""

    name: str
    unit: str
    first: float  #: median of the first tenth, or its least
    last: float  #: median of the last tenth, or its least
    growth: float  #: by the fit, over the whole time
    bound: float  #: the most that growth, and last - first, may be
    both_ways: bool = False  #: that it falls is as bad as that it grows

    @property
    def flat(self) -> bool:
        """Whether neither the fit nor the ends show more growth than the bound."""
        moves = (self.growth, self.last - self.first)
        return max(map(abs, moves) if self.both_ways else moves) <= self.bound


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the Theil-Sen slope: the median of the slopes between all pairs of points.

    Up to 29 % of the points may be anything at all without moving it far.
    """
    points = thinned(points)
    slopes = [
        (y2 - y1) / (x2 - x1)
        for index, (x1, y1) in enumerate(points)
        for x2, y2 in points[index + 1 :]
        if x2 != x1
    ]
    return statistics.median(slopes) if slopes else 0.0


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return at most `MOST_POINTS` points, each the median of neighbours."""
    group = -(-len(points) // MOST_POINTS) or 1
    return [
        (statistics.median(x for x, _ in part), statistics.median(y for _, y in part))
        for part in (points[i : i + group] for i in range(0, len(points), group))
    ]


def trend(
    name: str,
    unit: str,
    points: Sequence[tuple[float, float]],
    bound: float,
    *,
    both_ways: bool = False,
    least: bool = False,
) -> Trend:
    """Judge a series of (seconds, figure).

    With ``least``, the ends are the least of a tenth each: for a figure that a busy machine can
    only make larger.
    """
    values = [y for _, y in points]
    if not values:
        raise ValueError(f"{name}: there is no figure to judge")
    tenth = max(1, len(values) // 10)
    of = min if least else statistics.median
    first, last = of(values[:tenth]), of(values[-tenth:])
    growth = slope(points) * (points[-1][0] - points[0][0])
    return Trend(name, unit, first, last, growth, bound, both_ways)
