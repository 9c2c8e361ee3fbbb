"""A plugin in a real run: it hears of devices' states and of the end, and cannot disturb it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

ROBOT = """\
buses:
  i2c1: {use: i2c, device: /dev/i2c-1}
hardware:
  imu: {use: mpu6050, bus: i2c1}
"""
PLUGIN = """\
import json, os, time
from pathlib import Path
from horus.hookspecs import hookimpl

def note(*what):
    with Path(os.environ["NOTES"]).open("a") as file:
        file.write(json.dumps(what) + "\\n")

@hookimpl
def horus_device_state(device, state):
    note(device, state)
    {trouble}

@hookimpl
def horus_stop(status):
    note("stop", status)
    {trouble}
"""


@pytest.fixture
def with_plugin(
    write: Callable[[str, str], Path], tmp_path: Path
) -> Callable[[str], dict[str, str]]:
    """Return a function that installs the plugin for one run; it returns the environment."""

    def install(trouble: str) -> dict[str, str]:
        write("horus.yaml", ROBOT)
        write("site/my_notes.py", PLUGIN.replace("{trouble}", trouble))
        info = "site/my_notes-1.0.dist-info"
        write(f"{info}/METADATA", "Metadata-Version: 2.1\nName: my-notes\nVersion: 1.0\n")
        write(f"{info}/entry_points.txt", "[horus]\nnotes = my_notes\n")
        return {"PYTHONPATH": str(tmp_path / "site"), "NOTES": str(tmp_path / "notes")}

    return install


def notes(tmp_path: Path) -> list[list[object]]:
    return [json.loads(line) for line in (tmp_path / "notes").read_text().splitlines()]


def test_it_hears_of_every_state_and_of_the_end(horus_run, with_plugin, tmp_path) -> None:
    run = horus_run("--mock", "--duration", "2", **with_plugin("pass"))
    assert run.finish() == 0
    assert notes(tmp_path) == [["imu", "ready"], ["imu", "active"], ["stop", 0]]


def test_one_that_raises_is_told_and_the_run_goes_on(horus_run, with_plugin, tmp_path) -> None:
    run = horus_run("--mock", "--duration", "2", **with_plugin("raise RuntimeError('on fire')"))
    assert run.finish() == 0
    assert ["imu", "active"] in notes(tmp_path)
    assert run.out.count("horus_device_state(): RuntimeError: on fire") == 1
    assert run.err == (
        "horus run: plugin notes of my-notes 1.0: horus_stop(): RuntimeError: on fire\n"
    )


def test_one_that_hangs_does_not_hold_up_the_devices_or_the_end(
    horus_run, with_plugin, tmp_path
) -> None:
    run = horus_run("--mock", "--duration", "2", **with_plugin("time.sleep(300)"))
    run.wait_for("imu: active: samples arrive")
    assert run.finish() == 0
    assert "a plugin's horus_stop() has not returned within 3 s: left alone" in run.err
