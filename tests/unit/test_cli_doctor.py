"""`horus doctor` on cores that cannot be loaded, buses and a robot's horus.yaml."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from horus.cli import doctor
from horus.cli.main import main


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Folders in place of /dev and /sys, both empty, and an empty current folder."""
    for name in ("dev", "sys/class/net", "here"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(doctor, "_ROOT", tmp_path)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def found(subject: str) -> list[tuple[str, str]]:
    return [(f.mark, f.text) for f in doctor.findings() if f.subject == subject]


def test_a_wrong_core_is_a_failure_and_the_checks_go_on(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "horus.cli", "doctor"],
        cwd=tmp_path,
        env={**os.environ, "HORUS_CORE": "purr"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (1, "")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert line.startswith("FAIL  message core    HORUS_CORE='purr'")
    assert "ok    shared memory" in done.stdout


def test_a_run_with_a_wrong_core_ends_with_one_message(tmp_path):
    (tmp_path / "a.py").write_text("pass")
    done = subprocess.run(
        [sys.executable, "-m", "horus.cli", "run", "a.py"],
        cwd=tmp_path,
        env={**os.environ, "HORUS_CORE": "purr"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("horus: HORUS_CORE='purr'")
    assert len(done.stderr.splitlines()) == 1


def test_a_machine_without_buses_is_no_failure(machine, capsys):
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for subject in ("I2C adapters", "CAN interfaces", "serial ports"):
        (line,) = [line for line in lines if subject in line]
        assert line.startswith("--")
        assert "none found" in line


def test_buses_are_listed_and_other_networks_are_not(machine):
    for name in ("i2c-1", "i2c-10", "i2c-2", "ttyS0"):
        (machine / "dev" / name).touch()
    for name, kind, flags in (("can0", 280, 0x1), ("can1", 280, 0x80), ("eth0", 1, 0x1)):
        place = machine / "sys/class/net" / name
        place.mkdir()
        (place / "type").write_text(f"{kind}\n")
        (place / "flags").write_text(f"{flags:#x}\n")
    assert found("I2C adapters") == [("ok", "/dev/i2c-1, /dev/i2c-2, /dev/i2c-10")]
    assert found("CAN interfaces") == [("ok", "can0 (up), can1 (down)")]
    assert found("can1") == [
        (
            "--",
            "can1 is down: `sudo ip link set can1 up type can bitrate 500000`, with the bit rate "
            "of your bus",
        )
    ]


def test_the_robot_of_this_folder_is_checked(machine, capsys):
    (machine / "here/horus.yaml").write_text(
        "buses:\n  can0: {use: socketcan, channel: nocan7}\n"
        "hardware:\n  wheel: {use: odrive, bus: can0, node: 3}\n"
    )
    assert main(["doctor"]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAIL")]
    assert "horus.yaml" in line
    assert "nocan7" in line


def test_all_faults_of_its_horus_yaml_are_shown(machine):
    (machine / "here/horus.yaml").write_text("hardware:\n  a: {use: odrvie}\n  b: {use: no}\n")
    faults = found("horus.yaml")
    assert {mark for mark, _ in faults} == {"FAIL"}
    assert any("horus.yaml:2" in text and "odrive" in text for _, text in faults)
    assert any("horus.yaml:3" in text for _, text in faults)


def test_a_robot_without_faults_is_content(machine):
    (machine / "here/horus.yaml").write_text('nodes: ["*.py"]\n')
    (machine / "here/a.py").write_text("pass")
    assert found("horus.yaml") == [("ok", "no fault found")]
