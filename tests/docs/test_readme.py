"""Every code block and command of the README runs."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Page, run_python

README = Page("README.md")


def test_every_block_is_of_a_kind_that_some_test_runs() -> None:
    assert {block.kind for block in README.blocks} == {"bash", "python", "yaml", "text"}
    # The two commands are run by .ci/run, which reads them from here.
    assert [(block.mark, block.name) for block in README.blocks if block.kind == "bash"] == [
        ("command", "main"),
        ("command", "tests"),
        ("beside", "rover"),
        ("beside", "recording"),
    ]


@pytest.mark.parametrize("code", README.of("bash")[:2])
def test_each_set_up_command_is_one_line_that_the_shell_accepts(code: str) -> None:
    assert code.count("\n") == 1
    subprocess.run(["bash", "-n", "-c", code], check=True)
    assert shlex.split(code)[:4] == ["python3", "-m", "venv", ".venv"]


def test_the_shortest_program_runs_and_shows_its_data(tmp_path: Path) -> None:
    done = run_python(README.of("python")[0], tmp_path)
    assert len(re.findall(r"shower.*\{'on': (True|False)\}", done.stdout + done.stderr)) >= 3


def test_the_configuration_is_accepted(tmp_path: Path) -> None:
    from horus.hardware import config

    (code,) = README.of("yaml")
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes" / "a.py").write_text("import horus\n")
    (tmp_path / "horus.yaml").write_text(code)
    robot = config.load(tmp_path / "horus.yaml")
    assert robot.name == "rover"
    assert sorted(robot.hardware) == ["imu", "left_wheel"]


def test_every_command_of_the_table_has_a_help_with_an_example() -> None:
    for command in re.findall(r"^\| `horus (\w+)", README.text, re.M):
        done = subprocess.run(
            [sys.executable, "-m", "horus.cli", command, "--help"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert f"horus {command}" in done.stdout
        assert "example" in done.stdout.lower()


def test_every_link_leads_somewhere() -> None:
    assert README.dead_links() == []


@pytest.fixture
def rover() -> Iterator[subprocess.Popen[str]]:
    """The README's simulated rover, once all its devices are there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "horus.cli", "run", "--mock", "examples/rover"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    killer = threading.Timer(120, process.kill)
    killer.start()
    assert process.stdout is not None
    waiting = {"imu: active", "left_wheel: ready", "right_wheel: ready"}
    for line in process.stdout:
        waiting -= {words for words in waiting if words in line}
        if not waiting:
            break
    threading.Thread(target=process.stdout.read, daemon=True).start()
    yield process
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    killer.cancel()


def test_the_commands_beside_the_rover_work(rover: subprocess.Popen[str]) -> None:
    printed = run_beside("rover", ROOT)
    assert {"imu", "left_wheel", "right_wheel", "MOCK"} <= set(printed["devices"].split())
    assert "imu.rotation" in printed["mock list"]


def test_the_rover_is_recorded_and_replayed(rover: subprocess.Popen[str], tmp_path: Path) -> None:
    printed = run_beside("recording", tmp_path)
    assert re.search(r"left_wheel\.state +MotorState", printed["bag info run.mcap"])
    assert (tmp_path / "csv" / "imu.csv").stat().st_size > 1000
    assert "messages sent" in printed["replay run.mcap --speed 2 --topics imu"]


def run_beside(name: str, folder: Path) -> dict[str, str]:
    """Run the commands of a block beside the rover; return what each printed."""
    printed = {}
    for line in README.marked("beside", name).splitlines():
        command = shlex.split(line, comments=True)[1:]
        done = subprocess.run(
            [sys.executable, "-m", "horus.cli", *command],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=folder,
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        printed[" ".join(command)] = done.stdout
    return printed


def shape(line: str) -> str:
    """Return a line with its numbers, ids and spaces made alike."""
    line = re.sub(r"Session: \S+", "Session: ID", line)
    return re.sub(r"\s+", " ", re.sub(r"-?\d+(\.\d+)?", "N", line)).strip()


def test_the_rover_prints_what_the_cast_shows() -> None:
    cast = README.marked("cast", "rover")
    process = subprocess.Popen(
        [sys.executable, "-m", "horus.cli", "run", "--mock", "examples/rover"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    killer = threading.Timer(90, process.kill)
    killer.start()
    printed, driving = [], False
    for line in process.stdout:
        printed.append(line)
        # The table's first rows may come before the wheels have been commanded.
        if not driving and "[logger]" in line and line.count("-") and "MOCK" in line:
            driving = "left_wheel: active: armed" in "".join(printed) and "--" not in line
            if driving:
                process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    killer.cancel()
    shown = {shape(line) for line in cast.splitlines()} - {"", "^C"}
    assert shown <= {shape(line) for line in printed}, "".join(printed)
