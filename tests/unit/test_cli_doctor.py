"""`horus doctor` on cores that cannot be loaded, buses and a robot's horus.yaml."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from horus.bus import session
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


def test_shared_memory_of_another_user_is_a_failure_and_the_checks_go_on(
    machine, shm, monkeypatch, capsys
):
    session.sessions_dir().mkdir(parents=True)

    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    ((mark, text),) = found("leftovers")
    assert mark == "--"
    assert "run as that user" in text
    assert found("user")


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


def test_the_packages_of_the_extra_are_all_looked_for():
    subjects = {finding.subject for finding in doctor.findings()}
    assert {"canopen", "pymodbus", "pynmeagps", "pyserial", "python-can", "pyubx2"} <= subjects


def test_the_user_and_the_groups_are_told():
    ((mark, text),) = found("user")
    assert mark == "ok"
    assert ", in the groups " in text


def test_a_device_that_may_not_be_opened_names_the_group(machine, monkeypatch):
    from horus.hardware import plugged

    (machine / "dev/i2c-1").touch()
    monkeypatch.setattr(plugged.os, "access", lambda *_: False)
    ((mark, text),) = found("i2c1")
    assert mark == "--"
    assert f"{machine}/dev/i2c-1 may not be opened by " in text


def test_the_clock_of_an_i2c_bus_and_the_bit_rate_of_a_can_bus_are_told(machine, monkeypatch):
    from horus.hardware import plugged

    (machine / "dev/i2c-1").touch()
    place = machine / "sys/class/i2c-adapter/i2c-1/of_node"
    place.mkdir(parents=True)
    (place / "clock-frequency").write_bytes((100_000).to_bytes(4, "big"))
    can = machine / "sys/class/net/can0"
    can.mkdir()
    (can / "type").write_text("280\n")
    (can / "flags").write_text("0x1\n")
    monkeypatch.setattr(plugged, "can_bitrate", lambda interface: 250_000)
    assert found("I2C adapters") == [("ok", "/dev/i2c-1 (100 kHz)")]
    assert found("CAN interfaces") == [("ok", "can0 (up, 250 kbit/s)")]


def test_what_killed_runs_left_is_counted_and_not_removed():
    from horus.bus import session

    left = session.new_session()
    owner = left.path / session.OWNER_FILE
    owner.write_text(owner.read_text().replace(str(os.getpid()), str(2**22 - 1)))
    ((mark, text),) = found("leftovers")
    assert mark == "--"
    assert text == f"1 of runs that were killed ({left.id}): run horus clean"
    assert left.path.exists()


def test_a_run_that_goes_on_is_no_leftover():
    from horus.bus import session

    session.new_session()
    assert found("leftovers") == [("ok", "none")]


def test_a_plugin_that_is_broken_is_told(install):
    install("broken", "broken-kit", module="no_such_module_here")
    ((mark, text),) = found("plugin")
    assert mark == "--"
    assert text.startswith("broken of broken-kit 1.0: ModuleNotFoundError")


def test_the_findings_as_json(machine, capsys):
    assert main(["doctor", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert {"mark": "ok", "subject": "plugins", "text": "drivers"} in findings
