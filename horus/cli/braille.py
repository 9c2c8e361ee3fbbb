"""A line of values as a picture of braille characters: two by four dots in each."""

from __future__ import annotations

import math
from collections.abc import Sequence

#: The bit of each dot of a character, by column and by row from above.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


def chart(values: Sequence[float], width: int, height: int) -> list[str]:
    """Return lines of text that show values from left to right, with the scale at the left.

    The newest values are shown, as many as there is room for: two in each character. What is not
    finite leaves a gap.
    """
    shown = list(values)[-2 * width :]
    finite = [value for value in shown if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    if low == high:
        margin = abs(low) * 0.1 or 1.0
        low, high = low - margin, high + margin
    rows, cells = 4 * height, [[0] * width for _ in range(height)]
    last: int | None = None
    for place, value in enumerate(shown):
        if not math.isfinite(value):
            last = None
            continue
        # Halved first, so that the difference of two large numbers is a number as well.
        share = (high / 2 - value / 2) / (high / 2 - low / 2)
        row = round(share * (rows - 1))
        begin = row if last is None else last + (row > last) - (row < last)
        for at in range(min(begin, row), max(begin, row) + 1):
            cells[at // 4][place // 2] |= _DOTS[place % 2][at % 4]
        last = row
    labels = [f"{high:.4g}", *[""] * (height - 2), f"{low:.4g}"]
    wide = max(map(len, labels))
    texts = ("".join(chr(0x2800 + cell) for cell in line) for line in cells)
    return [f"{label:>{wide}} ┤{text}" for label, text in zip(labels, texts, strict=True)]
