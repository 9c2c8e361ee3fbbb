"""The commands: `horus hil run`, `check` and `list`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from horus import early
from horus.cli import hil_list, scan
from horus.cli.main import main
from horus.hardware.probing import Answer
from horus.hookspecs import Found
from horus.testing.rig import matching
from horus.testing.rig.file import load
from tests.hil.sysfs import Sysfs

RIG = """\
rig: {name: mine, kind: mock}
buses: {i2c0: {use: i2c, device: /dev/i2c-0}}
hardware: {imu: {use: mpu6050, bus: i2c0}}
wires: {known: {kind: i2c-known, bus: i2c0, address: 0x50, read: {reg: 0, value: 7}}}
"""


@pytest.fixture
def rig(tmp_path: Path) -> Path:
    path = tmp_path / "rig.yaml"
    path.write_text(RIG)
    return path


def horus(*arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HORUS_RIG", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, "-m", "horus.cli", "hil", *arguments],
        env=kept,
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_run_runs_the_suite_on_a_rig(rig: Path, tmp_path: Path) -> None:
    done = horus("run", str(rig), "-k", "c04", "-q", "--hil-report", str(tmp_path / "out"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "warning" not in done.stdout.lower()
    assert (tmp_path / "out/report.json").exists()


def test_run_ends_with_2_when_pytest_does_not_know_an_option(rig: Path) -> None:
    done = horus("run", str(rig), "--no-such-option")
    assert done.returncode == 2
    assert "--no-such-option" in done.stderr


def test_run_ends_with_2_when_the_rig_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("rig: {kind: reel}\n")
    done = horus("run", str(tmp_path / "bad.yaml"))
    assert done.returncode == 2
    assert "rig.kind: unknown: reel (did you mean real?)" in done.stderr


def test_run_ends_with_4_when_a_hazard_is_not_allowed(tmp_path: Path) -> None:
    text = RIG.replace("kind: mock", "kind: real")
    (tmp_path / "real.yaml").write_text(text)
    assert horus("run", str(tmp_path / "real.yaml"), "--allow", "motion").returncode == 4


def test_run_wants_the_rig_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hil", "run", "--allow", "motion", "mock"]) == 2
    assert "usage: horus hil run RIG [options of pytest]" in capsys.readouterr().err
    assert main(["hil", "run"]) == 2
    assert "RIG comes first" in capsys.readouterr().err


def test_check_says_that_nothing_is_to_be_looked_for_when_simulated(
    rig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["hil", "check", str(rig)]) == 0
    assert capsys.readouterr().out == "mine: simulated: there is nothing to look for\n"


def test_check_ends_with_3_and_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = RIG.replace("kind: mock", "kind: real")
    text = text.replace("device: /dev/i2c-0", 'match: {usb: "ffff:ffff"}')
    (tmp_path / "real.yaml").write_text(text)
    assert main(["hil", "check", str(tmp_path / "real.yaml")]) == 3
    assert "NOT READY: i2c0: no I2C adapter here is {usb: ffff:ffff}" in capsys.readouterr().err


@pytest.fixture
def machine(tmp_path: Path) -> Sysfs:
    made = Sysfs(tmp_path / "root")
    made.i2c(1, "bcm2835", "fe804000.i2c")
    made.serial("ttyUSB0", made.usb("1-1.3", "0403:6001", "FT8WJPE3"))
    made.serial("ttyUSB1", made.usb("1-1.4", "1a86:7523"))
    made.serial("ttyUSB2", made.usb("1-1.5", "1a86:7523"))
    made.can("can0", made.pci("0000:00:05.0"), "kvaser_pci")
    return made


def test_each_bus_is_listed_with_the_fewest_marks_that_find_it(machine: Sysfs) -> None:
    here = list(matching.everything(machine.root))
    marks = {
        Path(candidate.resource).name: matching.marks(use, candidate, machine.root)
        for use, candidate in here
    }
    assert marks == {
        "i2c-1": {"path": "fe804000.i2c"},
        "can0": {"path": "0000:00:05.0"},
        "ttyUSB0": {"usb": "0403:6001", "serial": "FT8WJPE3"},
        "ttyUSB1": {"path": "1-1.4:1.0"},
        "ttyUSB2": {"path": "1-1.5:1.0"},
    }


def test_as_yaml_it_can_be_pasted_into_a_rig_and_finds_the_same(
    machine: Sysfs, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = matching.marks
    monkeypatch.setattr(matching, "marks", lambda use, one: marks(use, one, machine.root))
    here = list(matching.everything(machine.root))
    buses = yaml.safe_load("\n".join(hil_list.as_yaml(here)))["buses"]
    found = [
        matching.find(about["use"], about["match"], machine.root).resource
        for about in buses.values()
    ]
    assert found == [candidate.resource for _, candidate in here]


def test_check_of_the_virtual_rig_does_not_look_for_its_adapters_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["hil", "check", "virtual"]) == 3
    said = capsys.readouterr().err
    assert said.startswith("NOT READY: ")
    assert "plug it in" not in said


def test_list_as_yaml_with_what_answers_is_one_rig(
    machine: Sysfs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = list(matching.everything(machine.root))
    i2c = next(candidate.resource for use, candidate in here if use == "i2c")
    answers = {"i2c_one": [Answer(0x68, ["mpu6050"])]}
    seen = scan.Scan([Found("i2c_one", "i2c", {"device": i2c})], answers)
    marks = matching.marks
    monkeypatch.setattr(matching, "marks", lambda use, one: marks(use, one, machine.root))
    monkeypatch.setattr(matching, "everything", lambda: iter(here))
    monkeypatch.setattr(scan, "find", lambda *, probe: seen)
    assert main(["hil", "list", "--yaml", "--probe"]) == 0
    printed = capsys.readouterr().out
    (machine.root / "rig.yaml").write_text(printed)
    assert printed.count("buses:") == 1
    rig = load(machine.root / "rig.yaml")
    assert (rig.kind, rig.matches["i2c1"]) == ("real", {"path": "fe804000.i2c"})
    assert rig.devices["mpu6050"].entry.bus == "i2c1"


def test_a_file_without_a_rig_is_told_so_once(tmp_path: Path) -> None:
    (tmp_path / "buses.yaml").write_text("buses: {}\n")
    done = horus("check", str(tmp_path / "buses.yaml"))
    assert done.stderr.count("kind") == 1


@pytest.mark.parametrize(
    ("words", "status"),
    [("hil run mock", 130), ("run robot.py", 0), ("--debug run robot.py", 0), ("devices", 130)],
)
def test_checks_that_were_interrupted_before_they_began_are_no_pass(
    words: str, status: int
) -> None:
    assert early.status(words.split()) == status
