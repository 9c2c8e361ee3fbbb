"""A figure as a small drawing: where its value lies in what is allowed."""

from __future__ import annotations

import math

from horus.testing.report import words
from horus.testing.report.markup import Markup, tag
from horus.testing.report.results import Figure

_WIDTH, _HEIGHT = 120.0, 12.0
#: The part of the width that is outside the limits, on the side of each.
_OUTSIDE = 0.2


def bar(figure: Figure) -> Markup:
    """Return an SVG; nothing for a figure without limits."""
    if not any(limit is not None and math.isfinite(limit) for limit in (figure.low, figure.high)):
        return Markup("")
    allowed, at = scale(figure)
    left, right = (share * _WIDTH for share in allowed)
    state = "bad" if not figure.fits else "warned" if figure.warned else "good"
    parts = [
        _rect("track", 0, 4, _WIDTH, 4),
        _rect("allowed", left, 4, right - left, 4),
        *(
            _rect("limit", share * _WIDTH - 0.5, 1, 1, 10)
            for share, limit in zip(allowed, (figure.low, figure.high), strict=True)
            if limit is not None
        ),
    ]
    if at is not None:
        parts.append(_marker(at, state))
    said = f"{words.quantity(figure.value, figure.unit)}, allowed {words.limits(figure)}"
    return tag(
        "svg",
        *parts,
        class_=f"bar {state}",
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        role="img",
        aria_label=said,
    )


def scale(figure: Figure) -> tuple[tuple[float, float], float | None]:
    """Return where what is allowed begins and ends and where the value is, each from 0 to 1.

    A value beyond the drawing is less than 0 or more than 1; one that is no number is None.
    """
    low, high = (None if v is None or math.isinf(v) else v for v in (figure.low, figure.high))
    begin, end = (0.0 if low is None else _OUTSIDE), (1.0 if high is None else 1.0 - _OUTSIDE)
    shown = figure.value if figure.fits and math.isfinite(figure.value) else None
    if low is None and high is not None:
        least = 0.0 if high > 0 else high - (abs(high) or 1.0)
        low = least if shown is None else min(least, shown)
    elif high is None and low is not None:
        most = 0.0 if low < 0 else low + (abs(low) or 1.0)
        high = most if shown is None else max(most, shown)
    assert low is not None and high is not None
    if math.isnan(figure.value):
        return (begin, end), None
    if high <= low:  # exactly one value is allowed
        middle = (begin + end) / 2
        side = (figure.value > high) - (figure.value < low)
        return (middle - 0.02, middle + 0.02), middle + side * 0.3
    return (begin, end), begin + (figure.value - low) / (high - low) * (end - begin)


def _marker(at: float, state: str) -> Markup:
    """Return a mark at the value, or an arrow at the end of the drawing that it is beyond."""
    if at < 0:
        return tag("path", class_=f"mark {state}", d="M1 6 L9 1 L9 11 Z")
    if at > 1:
        return tag("path", class_=f"mark {state}", d=f"M{_WIDTH - 1:g} 6 l-8 -5 l0 10 Z")
    x = min(max(at * _WIDTH, 3.0), _WIDTH - 3.0)
    if state == "bad":  # another shape, not only another colour
        return tag("path", class_=f"mark {state}", d=f"M{x:.1f} 0 l5 6 l-5 6 l-5 -6 Z")
    return tag("circle", class_=f"mark {state}", cx=f"{x:.1f}", cy="6", r="3.5")


def _rect(name: str, x: float, y: float, width: float, height: float) -> Markup:
    return tag(
        "rect", class_=name, x=f"{x:.1f}", y=f"{y:g}", width=f"{width:.1f}", height=f"{height:g}"
    )
