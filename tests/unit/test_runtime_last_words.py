from __future__ import annotations

import pytest

from horus.hardware import lastwords as hardware
from horus.runtime import lastwords
from horus.runtime.lastwords import speak


def test_nothing_is_told_where_nothing_was_armed(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware, "speak", lambda *_: pytest.fail("imported for nothing"))
    assert speak(tmp_path, 1, "exit code 1") == []


def test_both_sides_agree_where_last_words_lie():
    assert lastwords.FOLDER == hardware.FOLDER


def test_what_became_of_each_device_is_told(tmp_path, monkeypatch):
    (tmp_path / hardware.FOLDER).mkdir()
    words = [
        hardware.SpokenWord("left", True, "told to stop on can0"),
        hardware.SpokenWord("right", False, "can1 is gone"),
    ]
    monkeypatch.setattr(hardware, "speak", lambda path, pid: words)
    assert speak(tmp_path, 1, "exit code 1") == [
        "   left: made safe by the supervisor (told to stop on can0; its process: exit code 1)",
        "   right: NOT MADE SAFE: can1 is gone (its process: exit code 1)",
    ]


def test_a_failure_to_speak_is_told_and_goes_no_further(tmp_path, monkeypatch):
    (tmp_path / hardware.FOLDER).mkdir()

    def fail(path, pid):
        raise RuntimeError("no bus library")

    monkeypatch.setattr(hardware, "speak", fail)
    (line,) = speak(tmp_path, 42, "exit code 1")
    assert line == "   NOT MADE SAFE: the last words of process 42 failed: no bus library"
