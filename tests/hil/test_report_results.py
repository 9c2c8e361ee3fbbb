"""report.json: what is written is what is read, and a file that is wrong is told in words."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from horus.testing.report import machine, results
from horus.testing.report.diff import Comparison
from horus.testing.report.grid import STATES
from horus.testing.report.results import (
    CheckResult,
    Device,
    Fault,
    Figure,
    Report,
    ReportError,
    Rig,
    Versions,
)


def small_report() -> Report:
    """A report that has something in every field."""
    figures = [
        Figure("period", 9.98, "ms", low=9.0, high=11.0, warn=10.5),
        Figure("lost", math.nan),
        Figure("worst", math.inf, "s", high=1.0),
    ]
    return Report(
        Rig("bench-a", "real", "bench.yaml", ["motion"], {"host": "pi"}),
        "2026-11-28T06:00:00+00:00",
        12.5,
        Versions("0.1.0", "3.11", "Linux 6.1", "native", {"pyserial": "3.5"}),
        "failed",
        devices=[Device("imu", "mpu6050", "i2c0", "0x68", "68-1", mock=False)],
        checks=[
            CheckResult("C4", "rate", "imu", "t.py::t[imu]", "failed", "slow", 1.5, figures, "E x")
        ],
        faults=[Fault("imu", "unplug", "usb-hub 1-1 port 3", 4.0, undone=False)],
    )


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    report = small_report()
    path = results.write(report, tmp_path / "new" / "folder")
    again = results.read(path)
    assert math.isnan(again.checks[0].figures[1].value)
    report.checks[0].figures[1].value = again.checks[0].figures[1].value = 0.0
    assert again == report


def test_the_file_is_json_that_everything_reads(tmp_path: Path) -> None:
    def refuse(word: str) -> Any:
        pytest.fail(f"{word} is not JSON")

    path = results.write(small_report(), tmp_path)
    content = json.loads(path.read_text(), parse_constant=refuse)
    assert content["format"] == results.FORMAT
    assert content["checks"][0]["figures"][2]["value"] == "inf"


def test_a_writer_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = results.write_whole(tmp_path / "f", "old")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        results.write_whole(path, "new")
    assert [file.name for file in tmp_path.iterdir()] == ["f"]
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("figure", "fits", "warned"),
    [
        (Figure("a", 1.0), True, False),
        (Figure("a", 1.0, high=1.0), True, False),
        (Figure("a", 1.1, high=1.0), False, False),
        (Figure("a", 0.9, high=1.0, warn=0.8), True, True),
        (Figure("a", 0.9, low=1.0), False, False),
        (Figure("a", 1.1, low=1.0, warn=1.2), True, True),
        (Figure("a", 1.3, low=1.0, warn=1.2), True, False),
        (Figure("a", math.nan), False, False),
    ],
)
def test_a_figure_knows_its_limits(figure: Figure, fits: bool, warned: bool) -> None:
    assert (figure.fits, figure.warned) == (fits, warned)


def change(edit: Callable[[dict[str, Any]], object], folder: Path) -> Path:
    """Write a report of which something was changed."""
    path = results.write(small_report(), folder)
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda c: c.pop("verdict"), "verdict is missing"),
        (lambda c: c.update(verdict="fine"), 'verdict is "fine", not one of passed, failed'),
        (lambda c: c.update(checks=None), "checks is null, not a list"),
        (lambda c: c["checks"].append(3), "checks[1] is 3, not an object"),
        (lambda c: c["checks"][0].pop("status"), "checks[0].status is missing"),
        (
            lambda c: c["checks"][0]["figures"][0].update(value=True),
            "checks[0].figures[0].value is true, not a number",
        ),
        (lambda c: c["rig"].update(allow="motion"), 'rig.allow is "motion", not a list'),
        (lambda c: c["versions"].update(packages=[]), "versions.packages is [], not an object"),
        (lambda c: c["devices"][0].update(mock=0), "devices[0].mock is 0, not true or false"),
        (lambda c: c.update(seconds=10**400), "seconds is 1000"),
        (lambda c: c.update(format=2), "has format 2, and this version of HORUS reads 1"),
        (lambda c: c.pop("format"), "not a report of a rig"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    tmp_path: Path, edit: Callable[[dict[str, Any]], object], words: str
) -> None:
    path = change(edit, tmp_path)
    with pytest.raises(ReportError) as caught:
        results.read(path)
    assert f"{path}: " in str(caught.value)
    assert words in str(caught.value)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["seconds"] = "long"
        del content["rig"]["name"]

    with pytest.raises(ReportError) as caught:
        results.read(change(edit, tmp_path))
    assert len(str(caught.value).splitlines()) == 2


def test_fields_of_a_later_version_are_skipped(tmp_path: Path) -> None:
    path = change(lambda c: c["checks"][0].update(colour="blue"), tmp_path)
    assert results.read(path).checks[0].check == "C4"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is damaged"),
        (b'{"format": 1, "rig"', ":1: is damaged"),
        (b"\xff\xfe\x00", "is not text"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "not a report of a rig"),
        pytest.param(b'{"format": ' + b"1" * 9999 + b"}", "", id="a number of 9999 digits"),
    ],
)
def test_a_damaged_file_is_told_in_words(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(content)
    with pytest.raises(ReportError) as caught:
        results.read(tmp_path)
    assert words in str(caught.value)


def test_a_missing_report_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="--hil-report"):
        results.read(tmp_path)


def test_the_versions_name_the_kernel_and_the_packages() -> None:
    found = machine.versions()
    assert found.kernel.startswith("Linux ")
    assert "python-can" in found.packages
    assert not {"horus", "ruff", "mypy"} & set(found.packages)


def test_the_board_is_what_its_firmware_says(tmp_path: Path) -> None:
    assert "Board" not in machine.facts([], mock=True, root=tmp_path)
    for path, said in (
        ("sys/class/dmi/id/product_name", "NUC\n"),
        ("sys/firmware/devicetree/base/model", "Raspberry Pi 4 Model B Rev 1.5\0"),
    ):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(said)
        assert machine.facts([], mock=True, root=tmp_path)["Board"] == said.strip("\0\n")


def test_the_readme_names_every_symbol_field_and_change() -> None:
    readme = (Path(results.__file__).parent / "README.md").read_text()
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", readme, re.M)
    for state in STATES.values():
        assert (state.symbol, state.words) in rows
    assert [word for word, _ in rows if word in Comparison().parts] == list(Comparison().parts)
    for kind, name in {
        Report: "the report",
        Rig: "`rig`",
        Versions: "`versions`",
        Device: "one of `devices`",
        CheckResult: "one of `checks`",
        Figure: "one of its `figures`",
        Fault: "one of `faults`",
    }.items():
        named = set(re.findall(r"`(\w+)`", dict(rows)[name])) - {"format"}
        assert named == {field.name for field in fields(kind)}
