"""The lines that a run keeps for those who ask later."""

from __future__ import annotations

from pathlib import Path

from horus.runtime import runlog
from horus.runtime.runlog import LogReader, RunLog, parsed


def test_a_line_says_who_logged_it_and_how_serious_it_is():
    line = parsed(1.0, "drive", "node", "12:34:56.789 WARNING controller: too slow: 3")
    assert (line.node, line.level, line.text) == ("controller", "warning", "too slow: 3")
    line = parsed(1.0, "can0", "driver", "left_wheel: ERROR: command refused: NaN")
    assert (line.node, line.level, line.text) == ("left_wheel", "error", "command refused: NaN")
    line = parsed(1.0, "can0", "driver", "left_wheel: active: armed")
    assert (line.node, line.level, line.text) == ("left_wheel", "info", "active: armed")
    line = parsed(1.0, "drive", "node", "result: 3")
    assert (line.node, line.level, line.text) == ("", "info", "result: 3")


def test_what_comes_is_read_across_full_files_and_no_more_is_kept(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(runlog, "LIMIT", 2000)
    log = RunLog(tmp_path)
    log.add("a", [b"0"])
    reader = LogReader(tmp_path)
    got = [line.text for line in reader.take()]
    for number in range(1, 200):
        log.add("a", [b"%d" % number])
        if number % 20 == 0:
            got += [line.text for line in reader.take()]
    got += [line.text for line in reader.take()]
    assert got == [str(number) for number in range(200)]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4000
    late = LogReader(tmp_path)
    kept = [line.text for line in late.take()]
    assert kept == [str(number) for number in range(200 - len(kept), 200)] and len(kept) > 20
    log.close(), reader.close(), late.close()


def test_lines_that_cannot_be_kept_end_nothing(tmp_path: Path):
    log = RunLog(tmp_path / "gone")
    log.add("a", [b"x", b"\xff" * 10_000])
    assert list(LogReader(tmp_path / "gone").take()) == []


def test_damaged_lines_are_left_out(tmp_path: Path):
    log = RunLog(tmp_path)
    log.add("a", [b"x\xff"])
    with (tmp_path / runlog.FILE).open("ab") as file:
        file.write(b'[]\n{"a": 1}\nnonsense\n[1, 2, 3, 4]\n')
    texts = [line.text for line in LogReader(tmp_path).take()]
    assert texts == ["x\N{REPLACEMENT CHARACTER}", "4"]
    log.close()
