"""`horus check`: all faults at once, nothing opened, a short table when all is well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from horus.cli.main import main
from horus.errors import ConfigError
from horus.runtime.run import find_job

GOOD = """\
name: rover
nodes: ["nodes/*.py"]
buses:
  i2c1: {use: i2c, device: /dev/nowhere}
  can0: {use: socketcan, channel: nocan7, bitrate: 250000}
hardware:
  imu: {use: mpu6050, bus: i2c1, address: 0x69}
  wheel: {use: odrive, bus: can0, node: 3}
"""


@pytest.fixture
def robot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes/drive.py").write_text("import horus\n")
    (tmp_path / "horus.yaml").write_text(GOOD)
    return tmp_path


@pytest.mark.parametrize("argument", [[], ["."], ["horus.yaml"]])
def test_a_good_robot_is_shown_in_short_though_none_of_its_buses_is_here(
    robot: Path, argument: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *argument]) == 0
    text = capsys.readouterr().out
    assert text.startswith("horus.yaml: rover: 1 node file, 2 buses, 2 devices; no fault found\n")
    rows = [line.split() for line in text.splitlines()]
    assert ["can0", "socketcan", "channel:", "nocan7,", "bitrate:", "250000"] in rows
    assert ["imu", "mpu6050", "i2c1", "0x69", "100", "Hz", "imu"] in rows
    wheel = ["wheel", "odrive", "can0", "3", "100", "Hz", "wheel.command,", "wheel.state"]
    assert wheel in rows
    assert ["i2c1", "imu"] in rows
    assert ["drive", "nodes/drive.py"] in rows


def test_all_faults_of_the_file_are_told_with_their_lines(
    robot: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (robot / "horus.yaml").write_text("hardware:\n  a: {use: odrvie}\n  b: {use: mpu6050}\n")
    assert main(["check"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("horus.yaml:2: hardware.a.use: unknown driver odrvie")
    assert any(line.startswith("horus.yaml:3: hardware.b: bus is missing") for line in out)
    assert out[-1] == f"horus check: {len(out) - 1} faults"


def test_faults_of_node_files_are_told_too(robot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (robot / "nodes/drive.py").write_text("def tick(:\n    pass\n")
    (robot / "nodes/look.py").write_text("import no_such_module_here\n")
    assert main(["check"]) == 1
    first, second, count = capsys.readouterr().out.splitlines()
    assert first.startswith("nodes/drive.py:1: syntax error")
    assert second.startswith("nodes/look.py:1: no module named 'no_such_module_here'")
    assert count == "horus check: 2 faults"


def test_faults_of_node_files_are_told_beside_those_of_the_file(
    robot: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (robot / "nodes/drive.py").write_text("def tick(:\n    pass\n")
    (robot / "horus.yaml").write_text(GOOD.replace("node: 3", "node: 99"))
    assert main(["check"]) == 1
    first, second, count = capsys.readouterr().out.splitlines()
    assert first.startswith("horus.yaml:8: hardware.wheel.node: must be from 0 to 62")
    assert second.startswith("nodes/drive.py:1: syntax error")
    assert count == "horus check: 2 faults"
    with pytest.raises(ConfigError) as info:
        find_job([], mock=True)
    assert list(info.value.faults) == [first, second]


def test_a_robot_with_nothing_to_run_is_a_fault(
    robot: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (robot / "horus.yaml").write_text("hardware:\n")
    assert main(["check"]) == 1
    text = "horus.yaml: neither nodes nor hardware: there is nothing to run"
    assert capsys.readouterr().out.splitlines()[0] == text
    assert main(["run"]) == 2
    assert capsys.readouterr().err == f"horus: {text}\n"


def test_what_is_no_file_is_not_said_to_be_absent(
    robot: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "/dev/null"]) == 2
    assert "/dev/null: is neither a file nor a folder" in capsys.readouterr().err


def test_a_plugin_may_find_faults_of_its_own(
    robot: Path, install: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(config: Any) -> Any:
        for device in config.hardware.values():
            if device.bus == "can0":
                yield f"{config.path}:{device.line}: hardware.{device.name}: no fuse"

    install("safety", "safety-kit", horus_check=check)
    assert main(["check"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "horus.yaml:8: hardware.wheel: no fuse",
        "horus check: 1 fault",
    ]


def test_a_plugin_whose_check_raises_is_a_note_and_no_fault_of_the_robot(
    robot: Path, install: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    install("broken", "broken-kit", horus_check=RuntimeError("on fire"))
    assert main(["check"]) == 0
    assert capsys.readouterr().err == (
        "note: plugin broken of broken-kit 1.0: horus_check(): RuntimeError: on fire\n"
    )


def test_the_robot_as_json(robot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["faults"] == []
    assert found["hardware"]["wheel"]["topics"] == ["wheel.command", "wheel.state"]
    assert found["hardware"]["wheel"]["node"] == 3
    assert found["buses"]["can0"]["bitrate"] == 250_000
    assert found["processes"] == {"i2c1": ["imu"], "can0": ["wheel"]}


def test_faults_as_json(robot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (robot / "horus.yaml").write_text("hardware: 5\n")
    assert main(["check", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "path": "horus.yaml",
        "faults": ["horus.yaml:1: hardware: must be a mapping of names, not 5"],
    }


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("horus.yml", "horus.yml: no such file (did you mean 'horus.yaml'?)"),
        ("nodes", "nodes: there is no horus.yaml; name one"),
        ("absent/horus.yaml", "absent/horus.yaml: no such file"),
    ],
)
def test_a_file_that_is_not_there_is_wrong_use(
    robot: Path, argument: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", argument]) == 2
    assert capsys.readouterr().err == f"horus: {text}\n"
