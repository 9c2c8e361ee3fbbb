"""Tables of commands: how they look where they fit, and on a narrow terminal."""

from __future__ import annotations

import pytest

from horus.cli import tables

HEAD = ("DEVICE", "STATE", "BUS", "", "MESSAGE")
ROWS = [
    ("air", "active", "i2c2:0x76", "MOCK", "samples arrive"),
    ("left_wheel", "gone", "can0:3", "", "its process can0 has ended: see horus log"),
]


def test_what_fits_is_in_columns():
    lines = tables.plain(HEAD, ROWS, room=100).splitlines()
    assert lines == [
        "DEVICE      STATE   BUS              MESSAGE",
        "air         active  i2c2:0x76  MOCK  samples arrive",
        "left_wheel  gone    can0:3           its process can0 has ended: see horus log",
    ]


def test_a_long_last_word_alone_goes_on_in_the_next_line():
    lines = tables.plain(HEAD, ROWS, room=60).splitlines()
    assert lines == [
        "DEVICE      STATE   BUS              MESSAGE",
        "air         active  i2c2:0x76  MOCK  samples arrive",
        "left_wheel  gone    can0:3",
        "    its process can0 has ended: see horus log",
    ]


@pytest.mark.parametrize("room", [20, 24, 30, 40])
def test_on_a_narrow_terminal_nothing_is_lost_and_nothing_is_wider(room):
    text = tables.plain(HEAD, ROWS, room=room)
    assert max(map(len, text.splitlines())) <= room
    words = " ".join(word for row in [HEAD, *ROWS] for word in row).split()
    assert text.split() == words
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_where_there_is_no_terminal_no_line_is_broken(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "20")
    assert len(tables.plain(HEAD, ROWS).splitlines()) == 3
