"""The plot in the terminal: the last seconds of a few fields, in braille characters."""

from __future__ import annotations

import math
from collections.abc import Iterable

from horus_plugins.monitor.series import SECONDS, Point, Series
from rich.text import Text
from textual.widgets import Static

from horus.cli import braille, live

__all__ = ["Plot", "resampled"]

#: Fields at once.
MOST = 3
_COLOURS = ("cyan", "magenta", "green")
#: A value is shown for so long (s) after it came, when no other comes.
HOLD = 3.0


class Plot(Static):
    """Shows `Series` one above the other."""

    def __init__(self) -> None:
        super().__init__(id="plot", classes="panel")
        self.series: list[Series] = []
        self.border_title = "4 Plot"

    def add(self, series: Series) -> None:
        """Show one more; the oldest goes where there is no room for it."""
        for old in [one for one in self.series if (one.topic, one.path) == _name(series)]:
            self.series.remove(old)
            old.close()
        self.series.append(series)
        while len(self.series) > MOST:
            self.series.pop(0).close()

    def drop(self) -> None:
        """Take the newest away."""
        if self.series:
            self.series.pop().close()

    def look(self, now: float) -> None:
        """Take note of what has come."""
        for series in self.series:
            series.look(now)

    def draw(self, now: float) -> None:
        """Draw it anew."""
        width, height = self.content_size.width, self.content_size.height
        self.border_title = f"4 Plot, the last {SECONDS:.0f} s" if self.series else "4 Plot"
        if not self.series or width < 20 or height < 3:
            self.update(Text("\n  p: choose a topic and a field to plot", style="dim"))
            return
        each = height // len(self.series)
        text = Text(no_wrap=True, overflow="crop")
        for number, series in enumerate(self.series):
            colour = _COLOURS[number % len(_COLOURS)]
            values = resampled(series.points, now, width - 12)
            newest = live.shown(series.points[-1].value) if series.points else ""
            head = f"{series.topic} {series.path}: {newest} {series.unit}".rstrip()
            if series.trouble:
                head += f"  ({series.trouble})"
            text.append(head[:width] + "\n", style=f"bold {colour}")
            for line in braille.chart(values, width - 12, max(2, each - 1)):
                text.append(line[:width] + "\n", style=colour)
        self.update(text)


def _name(series: Series) -> tuple[str, str]:
    return series.topic, series.path


def resampled(
    points: Iterable[Point], now: float, width: int, seconds: float = SECONDS
) -> list[float]:
    """Return two values for each of ``width`` places: lowest and highest, in their order.

    A place without any has the value before it for a while, then NaN.
    """
    places: list[list[Point]] = [[] for _ in range(width)]
    for point in points:
        place = int((point.time - now + seconds) / seconds * width)
        if 0 <= place < width or place == width:
            places[min(place, width - 1)].append(point)
    found: list[float] = []
    last = Point(-math.inf, math.nan)
    for number, here in enumerate(places):
        finite = [point for point in here if math.isfinite(point.value)]
        if finite:
            pair = sorted(
                (min(finite, key=lambda p: p.value), max(finite, key=lambda p: p.value)),
                key=lambda p: p.time,
            )
            found += [point.value for point in pair]
            last = finite[-1]
        elif here or now - seconds + number * seconds / width - last.time > HOLD:
            found += [math.nan, math.nan]
        else:
            found += [last.value, last.value]
    return found
