from __future__ import annotations

import os

import pytest

from horus.runtime.output import MAX_LINE, LineSplitter, Output, as_utf8

TEXT = "one\n\ntwo\r\nthrée\r10%\r20%\r\n\r\nlast".encode()
LINES = [b"one", b"", b"two", "thrée".encode(), b"10%", b"20%", b"", b"last"]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 100])
def test_lines_are_the_same_however_the_stream_is_cut(size):
    splitter = LineSplitter()
    lines = []
    for start in range(0, len(TEXT), size):
        lines += splitter.feed(TEXT[start : start + size])
    assert lines + splitter.flush() == LINES
    assert splitter.flush() == []


def test_an_endless_line_is_cut_between_characters():
    splitter = LineSplitter()
    data = b"x" + "ä".encode() * MAX_LINE
    pieces = splitter.feed(data) + splitter.flush()
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= MAX_LINE
    for piece in pieces:
        piece.decode()  # whole characters


def test_an_endless_line_that_is_not_utf8_is_cut_too():
    splitter = LineSplitter()
    data = b"\x80" * (MAX_LINE * 2 + 1)
    pieces = splitter.feed(data) + splitter.flush()
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= MAX_LINE


def test_what_is_not_utf8_is_replaced():
    assert as_utf8(b"a\xffb") == "a\ufffdb".encode()
    assert as_utf8("ä".encode()) == "ä".encode()


def test_what_is_written_arrives_in_order():
    read_end, write_end = os.pipe()
    output = Output(write_end)
    output.say("first\n")
    output.write(b"second\n")
    output.flush()
    assert os.read(read_end, 100) == b"first\nsecond\n"
    os.close(read_end)
    os.close(write_end)


def test_a_reader_that_leaves_is_noticed_and_nothing_waits_for_it():
    read_end, write_end = os.pipe()
    os.close(read_end)
    woken = []
    output = Output(write_end, lambda: woken.append(True))
    output.say("to nobody\n")
    output.flush()
    assert output.broken
    output.say("still to nobody\n")
    output.flush()
    assert not output.full()
    os.close(write_end)


def test_without_a_reader_lines_are_dropped_and_counted_but_own_words_are_not(monkeypatch):
    monkeypatch.setattr("horus.runtime.output.LIMIT", 100_000)
    read_end, write_end = os.pipe()
    output = Output(write_end)
    for _ in range(300):
        output.write(b"." * 999 + b"\n")
    output.say("own words\n")
    text = b""
    while b"lines were dropped" not in text:
        text += os.read(read_end, 65536)
        output.write(b"")  # room again: what was lost is told
    assert b"own words\n" in text
    assert text.count(b".\n") < 300
    os.close(read_end)
    os.close(write_end)
