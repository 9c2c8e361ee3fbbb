"""Recordings that twins play."""

from pathlib import Path

import pytest

from horus.hal import Recording


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    path.write_text("# from somewhere\ntime,a,b\n10.0,1,2\n10.5,3,4\n11.0,5,6\n")
    return path


def test_it_plays_from_its_beginning_and_holds_each_row(file: Path) -> None:
    recording = Recording(file)
    assert recording.columns == ["time", "a", "b"]
    assert recording.at(0.0) == (1.0, 2.0)
    assert recording.at(0.49) == (1.0, 2.0)
    assert recording.at(0.5) == (3.0, 4.0)


def test_after_its_end_it_begins_anew(file: Path) -> None:
    recording = Recording(file)
    assert recording.duration == 1.5
    assert recording.at(1.4) == (5.0, 6.0)
    assert recording.at(1.6) == (1.0, 2.0)


@pytest.mark.parametrize("row", ["12,1", "12,one,2", "9.0,1,2"])
def test_a_row_that_cannot_be_is_named_by_its_line(file: Path, row: str) -> None:
    file.write_text(file.read_text() + row + "\n")
    with pytest.raises(ValueError, match=r"data.csv:6: needs 3 numbers, times ascending"):
        Recording(file)
