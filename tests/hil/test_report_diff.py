"""Against a baseline: what broke, was fixed, became slower, is new or gone; by command too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from horus.cli.main import main
from horus.testing.report import diff, results, text
from horus.testing.report.diff import Comparison
from horus.testing.report.results import Device, Figure, Report
from tests.hil.made_reports import cell, failing_report, full_report


def names(found: Comparison) -> dict[str, list[str]]:
    """Return which checks of which devices changed, and how."""
    return {
        kind: [f"{change.device} {change.check}".strip() for change in changes]
        for kind, changes in found.parts.items()
        if changes
    }


def test_the_same_run_again_is_no_difference() -> None:
    found = diff.compare(failing_report(), failing_report())
    assert names(found) == {}
    assert found.still == 4
    assert found.context == []
    assert diff.summary(found) == "4 still failing"
    assert diff.summary(diff.compare(full_report(), full_report())) == "nothing is different"


def test_what_changed_is_sorted_by_how() -> None:
    old = full_report()
    cell(old, "as5600_1", "C7").status = "error"
    assert names(diff.compare(old, failing_report())) == {
        "broke": ["mpu6050_1 C4", "vesc_1 C9", "vesc_1 C14", "jumper W1"],
        "slower": ["odrive_1 C13"],
        "gone": ["rplidar_1 C8", "nmea_gnss_1 C6"],
        "fixed": ["as5600_1 C7"],
        "new": ["can_pair W1", "R1"],
    }


@pytest.mark.parametrize(
    ("was", "now", "kind"),
    [
        ("passed", "failed", "broke"),
        ("passed", "error", "broke"),
        ("skipped", "failed", "broke"),
        ("quarantined", "failed", "broke"),
        ("failed", "passed", "fixed"),
        ("error", "passed", "fixed"),
        ("failed", "skipped", "gone"),
        ("failed", "quarantined", "gone"),
        ("passed", "skipped", "gone"),
        ("passed", "quarantined", "gone"),
        ("skipped", "passed", "new"),
        ("quarantined", "passed", "new"),
        ("failed", "error", None),
        ("skipped", "quarantined", None),
    ],
)
def test_every_way_to_change_has_its_name(was: str, now: str, kind: str | None) -> None:
    old, new = full_report(), full_report()
    cell(old, "bno055_1", "C2").status = was  # type: ignore[assignment]
    cell(new, "bno055_1", "C2").status = now  # type: ignore[assignment]
    assert names(diff.compare(old, new)) == ({kind: ["bno055_1 C2"]} if kind else {})


def test_one_of_several_tests_of_a_check_can_break() -> None:
    def with_two(status: str) -> Report:
        report = full_report()
        for part, state in (("nak", "failed"), ("flips", status)):
            result = cell(full_report(), "bno055_1", "C10")
            result.test = result.test.replace("test_it", f"test_{part}")
            result.status = state  # type: ignore[assignment]
            report.checks.append(result)
        return report

    found = diff.compare(with_two("passed"), with_two("failed"))
    assert names(found) == {"broke": ["bno055_1 C10"]}
    assert found.still == 1


def test_a_device_at_another_place_is_still_the_same() -> None:
    old = full_report()
    for result in old.checks:
        result.test = f"/elsewhere/{result.test}".replace("@i2c0", "@i2c0:0x51")
    old.devices[0].place = "0x51"
    found = diff.compare(old, full_report())
    assert names(found) == {}
    assert found.context == ["mpu6050_1 place: i2c0:0x51 → i2c0:0x20"]


def test_a_device_that_is_gone_is_one_line() -> None:
    new = full_report()
    new.devices = new.devices[1:]
    new.checks = [result for result in new.checks if result.device != "mpu6050_1"]
    found = diff.compare(full_report(), new)
    assert names(found) == {"gone": ["mpu6050_1"]}
    assert found.gone[0].text == "the mpu6050 is not in this run"


def test_what_may_be_the_reason_is_told_too() -> None:
    old, new = full_report(), full_report("real")
    new.versions.kernel = "Linux 6.6"
    del new.versions.packages["smbus2"]
    new.devices[1] = Device("icm20948_1", "icm20948", "can_a", "1", "SN9")
    assert diff.compare(old, new).context == [
        "rig: mock → real",
        "kind of rig: mock → real",
        "kernel: Linux 6.1.0-18-amd64 x86_64 → Linux 6.6",
        "smbus2: 0.4.3 → none",
        "icm20948_1 identity: SN4712 → SN9",
    ]


@pytest.mark.parametrize(
    ("was", "now", "slower"),
    [
        (0.5, Figure("a", 1.0, high=2.0), True),
        (0.5, Figure("a", 0.8, high=2.0), False),  # a fifth of the room
        (0.001, Figure("a", 0.03, high=2.0), False),
        (1.0, Figure("a", 0.5, high=2.0), False),
        (1.9, Figure("a", 1.93, high=2.0), False),
        (1.9, Figure("a", 1.95, high=2.0), True),
        (200.0, Figure("a", 100.0, low=80.0), True),
        (200.0, Figure("a", 190.0, low=80.0), False),
        (100.0, Figure("a", 300.0, low=80.0), False),
        (100.0, Figure("a", 96.0, low=95.0, high=105.0), True),
        (100.0, Figure("a", 104.0, low=95.0, high=105.0), True),
        (100.0, Figure("a", 100.5, low=95.0, high=105.0), False),
        (0.0, Figure("a", 0.0, high=0.0), False),
        (1.0, Figure("a", 100.0), False),
    ],
)
def test_slower_is_what_went_towards_its_limit(was: float, now: Figure, slower: bool) -> None:
    assert diff.nearer(was, now) is slower


def test_figures_in_another_unit_are_not_compared() -> None:
    old, new = full_report(), full_report()
    cell(old, "bno055_1", "C7").figures[0].unit = "ms"
    cell(new, "bno055_1", "C7").figures[0].value = 0.9
    assert names(diff.compare(old, new)) == {}


def test_the_text_has_the_tables_and_ends_with_the_verdict() -> None:
    report = failing_report()
    lines = text.text(report, diff.compare(full_report(), report)).splitlines()
    row = next(line for line in lines if line.startswith("vesc_1"))
    assert row.split()[1:] == list("✓✓✓✓✓✓✓✓✗✓✓✓✓!–")
    assert "  17 × C12: it takes no commands" in lines
    broke = [line for line in lines if line.startswith("  mpu6050_1 C4: passed before; now")]
    assert broke
    assert "allowed at most 2 ms: 1.21 ms too much" in broke[0]
    end = lines.index("rig mock: 4 of 365 checks failed, on mpu6050_1, vesc_1 and jumper")
    assert end > lines.index("broke:") > lines.index("failed:")


def test_orders_to_the_terminal_are_left_out() -> None:
    report = failing_report()
    cell(report, "vesc_1", "C9").reason = "\x1b[2Jgone\x07"
    assert "C9 stale data:\n    it: gone\n" in text.text(report)


def test_the_command_writes_the_page_and_tells_what_is_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results.write(failing_report(), tmp_path)
    assert main(["hil", "report", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "4 of 365 checks failed" in said
    assert said.endswith(f"page: {tmp_path / 'report.html'}\n")
    assert (tmp_path / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (full_report(), failing_report(), 1),
        (failing_report(), full_report(), 0),
        (failing_report(), failing_report(), 0),
    ],
)
def test_the_command_is_1_when_something_broke(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: Report, new: Report, status: int
) -> None:
    baseline = results.write(old, tmp_path / "old")
    results.write(new, tmp_path / "new")
    words = ["hil", "report", str(tmp_path / "new"), "--baseline", str(baseline), "--json"]
    assert main(words) == status
    said = json.loads(capsys.readouterr().out)
    assert said["verdict"] == new.verdict
    assert bool(said["diff"]["broke"]) == bool(status)
    assert "What changed" in (tmp_path / "new" / "report.html").read_text()


def test_the_command_tells_bad_input_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results.write(full_report(), tmp_path)
    broken = tmp_path / "old.json"
    broken.write_text('{"format": 1}')
    cases = {
        ("hil", "report", str(tmp_path / "none")): "there is no such report",
        ("hil", "report", str(tmp_path), "--baseline", str(broken)): "old.json: rig is missing",
        ("hil", "report", str(tmp_path), "--baseline", str(tmp_path / "x")): "no such report",
        ("hil", "report"): "required: DIR",
        ("hil", "reprot"): "did you mean 'report'?",
    }
    for arguments, said in cases.items():
        assert main(arguments) == 2
        assert said in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_told_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results.write(full_report(), tmp_path)
    (tmp_path / "report.html").mkdir()
    assert main(["hil", "report", str(tmp_path)]) == 2
    assert "report.html cannot be written" in capsys.readouterr().err
    assert not list(tmp_path.glob(".report*"))
