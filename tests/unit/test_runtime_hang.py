"""The signs of life of processes with armed devices."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from horus.bus import session
from horus.hardware import alive
from horus.runtime import hang
from horus.runtime.hang import HangWatch
from horus.runtime.run import find_job


class Signs:
    """The signs of life in a folder, written by hand."""

    def __init__(self, path: Path) -> None:
        self.folder = path / hang.FOLDER
        self.folder.mkdir()

    def give(self, name: str, value: int) -> None:
        (self.folder / name).write_bytes(struct.pack("=Q", value))


@pytest.fixture
def signs(tmp_path: Path) -> Signs:
    return Signs(tmp_path)


def watch_for(watch: HangWatch, begin: float, seconds: float) -> list[hang.Hung]:
    """What is found first within this time, looked for as often as the supervisor looks."""
    for step in range(int(seconds / hang.EVERY)):
        found = watch.look(begin + step * hang.EVERY)
        if found:
            return found
    return []


def test_both_sides_agree_where_the_signs_are() -> None:
    assert hang.FOLDER == alive.FOLDER


def test_one_that_stays_the_same_for_too_long_is_told(tmp_path: Path, signs: Signs) -> None:
    signs.give("12-left", 7)
    signs.give("12-right", 8)
    watch = HangWatch(tmp_path, 1.0)
    assert watch_for(watch, 0.0, 0.95) == []
    (hung,) = watch_for(watch, 0.95, 0.3)
    assert (hung.pid, hung.devices) == (12, ("left", "right"))
    assert str(hung) == "hung: no sign of life for 1.0 s while left, right were armed"


def test_one_that_changes_is_alive(tmp_path: Path, signs: Signs) -> None:
    watch = HangWatch(tmp_path, 0.2)
    for value in range(1, 100):
        signs.give("12-left", value)
        assert watch.look(value * hang.EVERY) == []


def test_a_device_that_is_safe_may_be_left_alone(tmp_path: Path, signs: Signs) -> None:
    signs.give("12-left", 0)
    assert watch_for(HangWatch(tmp_path, 0.2), 0.0, 5.0) == []


def test_when_the_watcher_itself_stood_still_nobody_is_blamed(tmp_path: Path, signs: Signs) -> None:
    signs.give("12-left", 5)
    watch = HangWatch(tmp_path, 1.0)
    watch.look(0.0)
    assert watch.look(60.0) == []
    signs.give("12-left", 6)
    assert watch_for(watch, 60.05, 0.9) == []


def test_what_is_forgotten_is_not_told_again(tmp_path: Path, signs: Signs) -> None:
    signs.give("12-left", 5)
    watch = HangWatch(tmp_path, 0.2)
    assert watch_for(watch, 0.0, 1.0)
    watch.forget(12)
    assert watch_for(watch, 1.0, 1.0) == []


@pytest.mark.parametrize("content", [b"", b"123", b"\1" * 4])
def test_what_is_no_sign_of_life_is_none(tmp_path: Path, signs: Signs, content: bytes) -> None:
    (signs.folder / "12-left").write_bytes(content)
    (signs.folder / "left").write_bytes(b"\1" * 8)
    assert watch_for(HangWatch(tmp_path, 0.2), 0.0, 1.0) == []


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 1.0), ("0.5", 0.5), ("0", 1.0), ("soon", 1.0), ("nan", 1.0)]
)
def test_the_limit_comes_from_the_environment(
    text: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(hang.LIMIT_VARIABLE, text)
    assert hang.limit() == seconds


@pytest.mark.parametrize("text", ["abc", "99999", "0", "nan"])
def test_a_limit_that_is_not_followed_is_told_at_the_start(
    text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "node.py"
    file.touch()
    monkeypatch.setenv(hang.LIMIT_VARIABLE, text)
    assert find_job([str(file)], mock=False).notes == [
        f"HORUS_HANG_LIMIT={text!r} is ignored: it must be a number of seconds from 0.1 to 3600; "
        "1 s is used"
    ]


@pytest.mark.parametrize("text", ["", "0.5", "3600"])
def test_a_limit_that_is_followed_is_not_told(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hang.LIMIT_VARIABLE, text)
    assert hang.limit_problem() == ""


def test_what_a_node_gives_the_watch_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    run = session.new_session()
    monkeypatch.setenv("HORUS_SESSION_ID", run.id)
    life = alive.SignOfLife("wheel")
    life.give(5)
    watch = HangWatch(run.path, 0.2)
    (hung,) = watch_for(watch, 0.0, 1.0)
    assert (hung.pid, hung.devices) == (os.getpid(), ("wheel",))
    life.rest()
    assert watch_for(watch, 1.0, 1.0) == []


def test_outside_of_a_run_nothing_is_left(shm: Path) -> None:
    alive.SignOfLife("wheel").give(5)
    assert not list(shm.rglob("*wheel*"))
