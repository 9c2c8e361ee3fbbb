"""What pytest finds on a rig is what its report says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from horus.testing.report import results
from horus.testing.report.results import CheckResult, Report

RIG = """
rig: {name: mine, kind: mock, allow: [motion]}
buses:
  i2c0: {use: i2c, device: /dev/i2c-0}
  port: {use: serial, device: /dev/ttyUSB0}
hardware:
  power: {use: ina219, bus: i2c0}
  arm: {use: feetech, bus: port, ids: [1]}
"""
CHECKS = """
import pytest
from horus.testing import hil

@hil.check("C4")
def test_rate(device, figure):
    figure("rate", 99.5, "Hz", low=95.0, high=105.0)
    figure("jitter", 3.0 if device.name == "arm" else 1.0, "ms", high=2.0, warn=0.9)

@hil.check("C7")
def test_unplug(device):
    device.until(lambda: device.node.samples)
    device.fault.unplug()

@hil.check("C9")
def test_stale(device):
    assert device.name == "arm", "it said that yesterday's value is new"

@hil.check("C10")
@hil.quarantine("see issue 12")
def test_errors(device):
    assert device.name == "arm", "a wrong value"

@hil.check("C12")
def test_commands(device):
    if not device.moves:
        hil.not_applicable("it takes no commands")

@hil.check("C15")
def test_two(device):
    if not device.moves:
        pytest.skip(f"{device.name}: the rig has no second one: add one")

@pytest.fixture
def broken_begin():
    raise OSError("nobody there")

@pytest.fixture
def broken_end():
    yield
    raise OSError("it does not stop")

@hil.check("C2")
def test_begin(device, broken_begin):
    pass

@hil.check("C11")
def test_end(device, broken_end):
    assert device.name == "arm", "it moves"

def test_the_lock_is_given_back(rig):
    pass
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the checks on the rig."""
    (folder / "rig.yaml").write_text(RIG)
    (folder / "test_it.py").write_text(CHECKS)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HORUS_RIG", "PYTEST_"))}
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rig", "rig.yaml"]
    return subprocess.run(
        [*words, *arguments], cwd=folder, env=kept, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run the checks once; return the folder and what was printed."""
    folder = tmp_path_factory.mktemp("rig")
    found = run(folder, "--hil-report", "out", "--junitxml", "junit.xml")
    assert found.returncode == 1, found.stdout + found.stderr
    return folder, found.stdout


@pytest.fixture(scope="module")
def report(done: tuple[Path, str]) -> Report:
    """Return the report of that run."""
    return results.read(done[0] / "out")


def one(report: Report, device: str, check: str) -> CheckResult:
    """Return what was found about a device."""
    (found,) = [r for r in report.checks if (r.device, r.check) == (device, check)]
    return found


def test_every_way_to_end_has_its_status(report: Report) -> None:
    statuses = {(r.device, r.check): r.status for r in report.checks}
    assert statuses == {
        ("power", "C4"): "passed",
        ("arm", "C4"): "failed",
        ("power", "C7"): "passed",
        ("arm", "C7"): "passed",
        ("power", "C9"): "failed",
        ("arm", "C9"): "passed",
        ("power", "C10"): "quarantined",
        ("arm", "C10"): "passed",
        ("power", "C12"): "skipped",
        ("arm", "C12"): "passed",
        ("power", "C15"): "skipped",
        ("arm", "C15"): "passed",
        ("power", "C2"): "error",
        ("arm", "C2"): "error",
        ("power", "C11"): "failed",
        ("arm", "C11"): "error",
        ("", "the lock is given back"): "passed",
    }
    assert report.verdict == "failed"


def test_reasons_are_those_of_the_test(report: Report) -> None:
    assert one(report, "power", "C9").reason.startswith("it said that yesterday's value is new")
    assert one(report, "power", "C10").reason.startswith("see issue 12: a wrong value")
    assert one(report, "power", "C12").reason == "it takes no commands"
    assert not one(report, "power", "C12").applies
    assert one(report, "power", "C15").applies
    assert one(report, "arm", "C2").reason == "setup: OSError: nobody there"
    assert one(report, "arm", "C11").reason == "teardown: OSError: it does not stop"
    both = one(report, "power", "C11").reason
    assert both.startswith("it moves")
    assert both.endswith("teardown: OSError: it does not stop")
    assert "def test_stale" in one(report, "power", "C9").detail


def test_figures_are_kept_with_their_limits_even_if_they_failed(report: Report) -> None:
    rate, jitter = one(report, "arm", "C4").figures
    assert (rate.value, rate.unit, rate.low, rate.high) == (99.5, "Hz", 95.0, 105.0)
    assert not jitter.fits
    assert one(report, "power", "C4").figures[1].warned


def test_the_rig_its_devices_and_faults_are_there(report: Report) -> None:
    assert (report.rig.name, report.rig.kind, report.rig.allow) == ("mine", "mock", ["motion"])
    assert report.rig.file.endswith("rig.yaml")
    assert report.rig.facts["Host"]
    devices = {device.name: device for device in report.devices}
    assert (devices["power"].use, devices["power"].place) == ("ina219", "0x40")
    assert devices["arm"].mock
    assert [(f.device, f.kind, f.undone) for f in report.faults] == [
        ("power", "unplug", True),
        ("arm", "unplug", True),
    ]
    assert report.seconds > 0


def test_identities_are_those_that_the_devices_gave(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "from horus_drivers.power.ina219 import Ina219\nIna219.identity = lambda self: 'SN-4711'\n"
    )
    run(tmp_path, "--hil-report", "out", "-k", "unplug")
    devices = {device.name: device for device in results.read(tmp_path / "out").devices}
    assert devices["power"].identity == "SN-4711"


def test_the_terminal_shows_the_tables_and_where_the_page_is(done: tuple[Path, str]) -> None:
    folder, printed = done
    assert "Rig\n  ✓ rig: the lock is given back\n" in printed
    assert "rig mine: 6 of 14 checks failed, on power and arm" in printed
    assert f"page: {Path('out/report.html')}" in printed
    assert (folder / "out" / "report.html").exists()


def test_junit_has_the_figures_as_properties(done: tuple[Path, str]) -> None:
    root = ElementTree.parse(done[0] / "junit.xml").getroot()
    found = {(p.get("name"), p.get("value")) for p in root.iter("property")}
    assert {("rate", "99.5 Hz"), ("jitter", "3 ms")} <= found


def test_with_several_processes_the_report_is_the_same(tmp_path: Path, report: Report) -> None:
    found = run(tmp_path, "--hil-report", "out", "-n", "2")
    assert found.returncode == 1, found.stdout
    parallel = results.read(tmp_path / "out")

    def content(one: Report) -> set[tuple[str, ...]]:
        return {(r.device, r.check, r.status, r.reason, str(r.figures)) for r in one.checks}

    assert content(parallel) == content(report)
    assert len(parallel.faults) == 2


def test_a_run_is_compared_with_its_baseline(done: tuple[Path, str], tmp_path: Path) -> None:
    old = results.read(done[0] / "out")
    for result in old.checks:
        result.status = "passed"
    results.write(old, tmp_path / "old")
    found = run(tmp_path, "--hil-baseline", "old", "-k", "stale")
    assert "power C9: passed before; now it said that yesterday's value is new" in found.stdout
    assert not (tmp_path / "out").exists()


def test_a_baseline_that_is_not_there_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    found = run(tmp_path, "--hil-baseline", "nix.json")
    assert found.returncode == 2
    assert "--hil-baseline: nix.json: there is no such report" in found.stderr + found.stdout


def test_a_run_in_which_all_was_skipped_says_so(tmp_path: Path) -> None:
    found = run(tmp_path, "--hil-report", "out", "-k", "two and power")
    assert found.returncode == 5, found.stdout
    assert "Nothing ran: 1 check skipped. That is not a pass" in found.stdout
    assert results.read(tmp_path / "out").verdict == "nothing ran"


def test_a_test_file_that_cannot_be_loaded_is_in_the_report(tmp_path: Path) -> None:
    (tmp_path / "test_broken.py").write_text("import nobody_has_this\n")
    found = run(tmp_path, "--hil-report", "out")
    assert found.returncode == 1, found.stdout
    loaded = one(results.read(tmp_path / "out"), "", "loading")
    assert loaded.status == "error"
    assert "nobody_has_this" in loaded.reason


def test_a_list_of_the_tests_is_no_run(tmp_path: Path) -> None:
    found = run(tmp_path, "--hil-report", "out", "--collect-only")
    assert found.returncode == 0, found.stdout
    assert "rig mine" not in found.stdout
    assert not (tmp_path / "out").exists()
