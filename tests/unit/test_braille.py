"""Values as pictures in a terminal."""

from __future__ import annotations

import math

from horus.cli.braille import chart


def test_a_rising_line_rises_from_left_to_right():
    lines = chart([float(n) for n in range(8)], 4, 2)
    assert lines == ["7 ┤⠀⠀⡠⠊", "0 ┤⡠⠊⠀⠀"]


def test_what_cannot_be_shown_is_a_gap_and_a_constant_is_in_the_middle():
    lines = chart([math.nan, 1.0, math.inf, 1.0], 2, 3)
    assert lines == ["1.1 ┤⠀⠀", "    ┤⠠⠠", "0.9 ┤⠀⠀"]
    assert chart([], 3, 2)[0].endswith("⠀⠀⠀")
    assert len(chart([1e308, -1e308, 0.0], 3, 2)) == 2


def test_only_the_newest_values_are_shown():
    assert chart([1000.0, *[0.0, 1.0] * 4], 4, 2) == chart([0.0, 1.0] * 4, 4, 2)
