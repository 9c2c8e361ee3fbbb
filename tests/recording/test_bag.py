"""`horus bag`: what is wrong with files and disks is said in one line, and harms nothing."""

from __future__ import annotations

import csv
import os
import pty
import resource
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from horus_plugins.recording.bag import VERSION, Bag
from mcap.reader import make_reader

from horus.bus import Publisher
from horus.cli.main import main
from horus.msgs import Imu
from tests.recording.conftest import Start, contents

HORUS = [sys.executable, "-m", "horus.cli"]


@pytest.fixture
def files(bag: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a recording, and others to which something has happened."""
    folder = bag.parent
    monkeypatch.chdir(folder)
    data = bag.read_bytes()
    (folder / "text.mcap").write_text("this is no recording")
    (folder / "empty.mcap").write_bytes(b"")
    (folder / "folder.mcap").mkdir()
    mark = b"\x07\0\0\0version\x01\0\0\x00"
    now = mark + str(VERSION).encode()
    assert data.count(now) == 1
    (folder / "newer.mcap").write_bytes(data.replace(now, mark + b"9"))
    (folder / "taken.mcap").write_text("mine")
    (folder / "taken").write_text("mine")
    (folder / "locked.mcap").write_bytes(data)
    (folder / "locked.mcap").chmod(0)
    return folder


@contextmanager
def nobody() -> Iterator[None]:
    """Be somebody for whom permissions count."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


FAULTS = [
    ("rum.mcap", 2, "rum.mcap: there is no such file (did you mean 'run.mcap'?)"),
    ("text.mcap", 1, "text.mcap is no MCAP file"),
    ("empty.mcap", 1, "empty.mcap is no MCAP file; it is empty"),
    ("folder.mcap", 2, "folder.mcap is a folder: name a recording in it"),
    ("newer.mcap", 1, "was recorded in version 9 of the format, this HORUS reads versions 1, 2"),
    ("locked.mcap", 2, "locked.mcap cannot be read: this user may not"),
]
COMMANDS = [
    ["bag", "info", "FILE"],
    ["bag", "export", "csv", "FILE", "-o", "out"],
    ["bag", "cut", "FILE", "-o", "out.mcap"],
    ["replay", "FILE"],
]


@pytest.mark.parametrize(("name", "status", "text"), FAULTS, ids=[f[0] for f in FAULTS])
@pytest.mark.parametrize("words", COMMANDS, ids=[" ".join(c[:2]) for c in COMMANDS])
def test_a_file_that_is_no_recording_is_named_with_what_is_wrong(
    files: Path,
    words: list[str],
    name: str,
    status: int,
    text: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = set(os.listdir(files))
    with nobody() if name == "locked.mcap" else nullcontext():
        assert main([name if word == "FILE" else word for word in words]) == status
    told = capsys.readouterr().err.strip()
    assert text in told
    assert "\n" not in told
    assert set(os.listdir(files)) == before


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        ("bag cut run.mcap -o taken.mcap", 2, "taken.mcap exists: name another file, or replace"),
        ("bag cut run.mcap -o folder.mcap", 2, "folder.mcap is a folder: name a file"),
        ("bag cut run.mcap -o no/part.mcap", 2, "there is no folder no: make it, or name another"),
        ("bag cut run.mcap -o p.mcap --topics imo", 2, "no topic 'imo' (did you mean 'imu'?)"),
        ("bag export csv run.mcap -o taken", 2, "taken is a file: name a folder with -o"),
        ("bag export csv run.mcap -o out --topics imo", 2, "no topic 'imo' (did you mean 'imu'?)"),
        ("bag info run.mcap more.mcap", 2, "name one file, not 2"),
    ],
)
def test_an_output_that_cannot_be_is_said_before_anything_is_written(
    files: Path, words: str, status: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in files.rglob("*")}
    assert main(words.split()) == status
    assert text in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in files.rglob("*")} == before


# damage -----------------------------------------------------------------------------------------


def chunks_of(path: Path) -> list[tuple[int, int]]:
    """Return where the chunks of a file are."""
    with path.open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    found = [(one.chunk_start_offset, one.chunk_length) for one in summary.chunk_indexes]
    return sorted(found)


@pytest.fixture
def parted(record: Callable[..., Any], run: str) -> Path:
    """A recording of 60 messages in 6 chunks."""
    recording = record("parted.mcap")
    end = Publisher("plain")
    for k in range(60):
        end.send({"k": k, "more": os.urandom(20)})
        if not k:
            recording.recorder._search()
        recording.recorder.look()
        if k % 10 == 9:
            recording.sink.put(recording.recorder.channels.take())
    path: Path = recording.finish().path
    end.close()
    return path


def numbers(folder: Path) -> list[int]:
    rows = csv.DictReader((folder / "plain.csv").read_text().splitlines())
    return [int(row["k"]) for row in rows]


@pytest.mark.parametrize(
    ("spoilt", "left", "text"),
    [
        ("chunk 0", range(10, 60), "a part of it is damaged and left out"),
        ("chunk 2", [*range(20), *range(30, 60)], "a part of it is damaged and left out"),
        ("end", range(50), "it ends in the middle; what comes before is whole"),
    ],
)
def test_of_a_damaged_recording_what_can_be_read_is_exported_and_cut_and_the_rest_is_named(
    parted: Path,
    spoilt: str,
    left: Any,
    text: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = bytearray(parted.read_bytes())
    places = chunks_of(parted)
    assert len(places) == 6
    if spoilt == "end":
        data = data[: places[5][0] + 20]
    else:
        at, size = places[int(spoilt[-1])]
        data[at + size - 10] ^= 0xFF
    parted.write_bytes(data)
    assert main(["bag", "export", "csv", str(parted), "-o", str(tmp_path / "csv")]) == 1
    assert text in capsys.readouterr().err
    assert numbers(tmp_path / "csv") == list(left)
    assert main(["bag", "cut", str(parted), "-o", str(tmp_path / "whole.mcap")]) == 1
    assert text in capsys.readouterr().err
    whole = Bag(tmp_path / "whole.mcap")
    assert whole.summary().count == len(left)
    assert whole.damage == ""
    assert main(["bag", "info", str(parted)]) == 0
    assert text in capsys.readouterr().out


# full disks -------------------------------------------------------------------------------------


@pytest.fixture
def large(record: Callable[..., Any], run: str) -> Path:
    """A recording of some 300 kB that no compression makes smaller."""
    recording = record("large.mcap")
    end = Publisher("frames")
    for k in range(30):
        end.send(np.random.default_rng(k).integers(0, 255, 10_000, "u1"))
        if not k:
            recording.recorder._search()
        recording.recorder.look()
    path: Path = recording.finish().path
    end.close()
    return path


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 100 kB."""
    place = tmp_path / "tiny"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("only root may mount a small file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("words", [["export", "csv"], ["cut"]])
def test_a_full_disk_is_named_and_nothing_half_written_is_left(
    words: list[str], large: Path, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tiny / ("csv" if words[0] == "export" else "part.mcap")
    assert main(["bag", *words, str(large), "-o", str(output)]) == 1
    told = capsys.readouterr().err.strip()
    named = output / "frames.csv" if words[0] == "export" else output
    assert f"{named} cannot be written: No space left on device (file system {tiny}: " in told
    assert "of 0.1 MB free)" in told
    assert "\n" not in told
    assert [path for path in tiny.rglob("*") if path.is_file()] == []


def test_a_recorder_whose_disk_is_full_names_the_file_system(
    large: Path, tiny: Path, start: Start, run: str
) -> None:
    frames = Publisher("frames")
    recorder = start("record", "-o", str(tiny / "run.mcap"))
    recorder.wait_for("recording session")
    source = np.random.default_rng(1)
    for _ in spaced_until(lambda: recorder.popen.poll() is not None):
        frames.send(source.integers(0, 255, 20_000, "u1"))
    assert recorder.popen.wait() == 1
    assert f"No space left on device (file system {tiny}: " in recorder.text
    assert "is readable" in recorder.text
    assert "Traceback" not in recorder.text
    assert contents(Bag(tiny / "run.mcap")) is not None
    frames.close()


@pytest.mark.parametrize("words", [["export", "csv"], ["cut"]])
def test_a_file_that_cannot_be_replaced_stays_as_it_was(
    words: list[str], large: Path, tmp_path: Path
) -> None:
    output = tmp_path / ("csv" if words[0] == "export" else "part.mcap")
    old = output / "frames.csv" if words[0] == "export" else output
    old.parent.mkdir(exist_ok=True)
    old.write_text("mine")
    done = subprocess.run(
        [*HORUS, "bag", *words, str(large), "-o", str(output), "--force"],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    assert done.returncode == 1
    assert "cannot be written: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert old.read_text() == "mine"
    assert [path.name for path in old.parent.iterdir() if "part" in path.suffix] == []


def spaced_until(over: Callable[[], bool]) -> Iterator[None]:
    """Yield now and then until something is true, at most a minute."""
    for _ in range(3000):
        if over():
            return
        yield
        select.select([], [], [], 0.02)
    pytest.fail("it did not become true in time")


# on a terminal ----------------------------------------------------------------------------------


def on_terminal(words: list[str], **environment: str) -> bytes:
    """Return what a command writes to standard error when that is a terminal; it must succeed."""
    ours, theirs = pty.openpty()
    seen = b""
    try:
        command = subprocess.Popen(
            [*HORUS, *words],
            stdout=subprocess.DEVNULL,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", **environment},
        )
        os.close(theirs)
        with suppress(OSError):  # that is how a terminal ends
            while part := os.read(ours, 4096):
                seen += part
        assert command.wait(60) == 0, seen
    finally:
        os.close(ours)
    return seen


@pytest.mark.parametrize(
    ("more", "shown"),
    [({}, True), ({"NO_COLOR": "1"}, True), ({"TERM": "dumb"}, False)],
)
def test_long_work_shows_how_far_it_is_on_terminals_alone_and_without_colours(
    more: dict[str, str], shown: bool, large: Path, tmp_path: Path
) -> None:
    words = ["bag", "export", "csv", str(large), "-o"]
    seen = on_terminal([*words, str(tmp_path / "one")], **more)
    assert (b"horus bag export: large.mcap [" in seen) is shown
    assert seen.endswith(b"\r\x1b[K") is shown
    assert b"\x1b[3" not in seen
    piped = subprocess.run([*HORUS, *words, str(tmp_path / "two")], capture_output=True)
    assert piped.returncode == 0
    assert piped.stderr == b""


def test_recording_and_replaying_show_how_far_they_are(large: Path, tmp_path: Path) -> None:
    frames = Publisher("frames")
    record = ["record", "-o", str(tmp_path / "new.mcap"), "--duration", "0.5s"]
    seen = on_terminal(record)
    assert b"1 topics, 0 messages, 0 lost" in seen
    assert b"[#" in seen
    assert b"of 0." in on_terminal(["replay", str(large), "--wait", "0"])
    frames.close()


def test_what_is_older_than_the_first_chunk_is_read_too(record: Callable[..., Any]) -> None:
    recording = record()
    now = time.monotonic_ns()
    imu, wire = Publisher("imu", Imu), Publisher("wire.i2c1")
    for k in range(10):
        imu.send(Imu(accel_z=float(k)), now + k * 10**7)
    recording.recorder._search()
    recording.recorder.look()
    recording.sink.put(recording.recorder.channels.take())  # a chunk of its own
    for k in range(50):  # what a bus has kept of the time before
        wire.send({"k": k}, now - 5 * 10**9 + k * 10**8)
    bag = recording.finish()
    found = bag.summary()
    assert found.count == 60 and found.topics["wire.i2c1"].count == 50
    assert found.seconds == pytest.approx(5.09)
    assert len(list(bag.read(["wire.*"], 1.0, 1.0))) == 10
    assert len(list(bag.read(["imu"], 5.0))) == 10


def test_words_about_a_recording_that_are_damaged_are_left_out(
    bag: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bag.read_bytes()
    mark = b"\x05\0\0\0began"
    assert data.count(mark) == 1
    bag.write_bytes(data.replace(mark, mark.replace(b"b", b"B")))
    assert main(["bag", "info", str(bag)]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"{bag}: ")
    assert ", session " in first
