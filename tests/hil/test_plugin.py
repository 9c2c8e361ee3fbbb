"""The pytest plugin: what it does with a rig, and that it does nothing without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run_pytest(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder of its own, as somebody else would."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HORUS_RIG", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**kept, **env},
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_without_a_rig_nothing_of_horus_is_imported_but_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\n"
        "def test_it(pytestconfig):\n"
        "    heavy = ('horus.hardware', 'horus.testing.rig', 'horus.bus', 'numpy', 'yaml')\n"
        "    assert not [name for name in sys.modules if name.startswith(heavy)]\n"
        "    assert not pytestconfig.pluginmanager.has_plugin('horus_rig')\n"
    )
    done = run_pytest(tmp_path)
    assert done.returncode == 0, done.stdout


def test_without_a_rig_its_fixtures_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(device): pass\n")
    done = run_pytest(tmp_path)
    assert "fixture 'device' not found" in done.stdout


def test_a_test_of_ones_own_gets_the_devices_of_the_rig(tmp_path: Path) -> None:
    (tmp_path / "rig.yaml").write_text(
        "rig: {name: mine, kind: mock}\n"
        "buses:\n  i2c0: {use: i2c, device: /dev/i2c-0}\n"
        "hardware:\n  imu: {use: mpu6050, bus: i2c0}\n  power: {use: ina219, bus: i2c0}\n"
    )
    (tmp_path / "test_it.py").write_text(
        "def test_it(device):\n    device.until(lambda: device.node.samples)\n"
    )
    done = run_pytest(tmp_path, "-vv", "--rig", "rig.yaml")
    assert "test_it[imu[mpu6050@i2c0:0x68]] PASSED" in done.stdout, done.stdout
    assert "test_it[power[ina219@i2c0:0x40]] PASSED" in done.stdout


BUSES = """\
rig: {kind: mock}
buses:
  i2c0: {use: i2c, device: /dev/i2c-0}
  can0: {use: socketcan, channel: can0}
  port: {use: serial, device: /dev/ttyUSB0}
hardware:
  imu: {use: mpu6050, bus: i2c0}
  wheel: {use: odrive, bus: can0, node: 3}
  range: {use: tfmini, bus: port}
"""
RAW = """\
import time
import pytest

def soon(look):
    end = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < end
    return found

def test_a_chip(bus):
    assert bus("i2c0").transfer(0x68, b"\\x75", 1) == b"\\x68"
    assert bus("i2c0") is bus("i2c0")

def test_a_motor_on_can(bus):
    assert soon(lambda: bus("can0").receive(0.1)).id >> 5 == 3

def test_a_serial_line(bus):
    assert b"\\x59\\x59" in soon(lambda: bus("port").read(0.1) + bus("port").read(0.1))

def test_a_bus_that_there_is_not(bus):
    with pytest.raises(LookupError, match="has no bus cam0 .did you mean 'can0'"):
        bus("cam0")
"""


@pytest.mark.parametrize("how", ["mock", "twins"])
def test_a_test_gets_the_buses_of_the_rig_without_any_driver(how: str, tmp_path: Path) -> None:
    (tmp_path / "rig.yaml").write_text(BUSES)
    (tmp_path / "test_it.py").write_text(RAW)
    done = run_pytest(tmp_path, "--rig", f"{how}:rig.yaml")
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


def test_a_rig_that_is_not_there_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "--rig", "mokc")
    assert done.returncode == 2
    assert "mokc: no such rig (did you mean mock?)" in done.stderr


def test_the_suite_without_a_rig_says_that_it_needs_one(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "--pyargs", "horus_hil.checks")
    assert done.returncode == 2
    assert "the checks need a rig: --rig FILE, --rig mock or --rig mock:FILE" in done.stdout
    assert "not found" not in done.stdout


@pytest.mark.parametrize(
    "wrong", ["--hil-scale=0", "--hil-scale=-1", "--hil-scale=nan", "--hil-soak=-5", "--hil-soak=x"]
)
def test_a_scale_or_a_time_that_there_cannot_be_is_a_wrong_command_line(
    wrong: str, tmp_path: Path
) -> None:
    done = run_pytest(tmp_path, "--rig", "mock", wrong)
    assert done.returncode == 4
    assert f"must be a number above 0, not {wrong.partition('=')[2]}" in done.stderr


def test_an_empty_rig_is_told_and_not_left_out(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "--rig", "")
    assert done.returncode == 2
    assert "'': no such rig" in done.stderr


def test_a_limit_that_no_figure_has_is_told(tmp_path: Path) -> None:
    (tmp_path / "rig.yaml").write_text(
        "rig: {kind: mock}\n"
        "buses:\n  i2c0: {use: i2c, device: /dev/i2c-0}\n"
        "hardware:\n"
        "  imu: {use: mpu6050, bus: i2c0, limits: {weight_g: 2, heihgt_m: 1, size_mm: 3}}\n"
    )
    (tmp_path / "test_it.py").write_text(
        "def test_it(device, figure):\n"
        "    figure('weight_g', 1)\n    figure('height_m', 1)\n"
        "def test_other(device): pass\n"
    )
    whole = run_pytest(tmp_path, "--rig", "rig.yaml").stdout
    misspelt = "rig.yaml:5: hardware.imu.limits.heihgt_m: no figure of this run has this name"
    assert f"{misspelt} (did you mean height_m?): it limited nothing" in whole
    assert "limits.size_mm: no figure of this run has this name: it limited nothing" in whole
    assert "limits.weight_g" not in whole
    part = run_pytest(tmp_path, "--rig", "rig.yaml", "-k", "not other").stdout
    assert misspelt in part
    assert "limits.size_mm" not in part


def test_the_tests_that_the_readme_shows_run_on_a_rig(tmp_path: Path) -> None:
    text = (ROOT / "hil/README.md").read_text()
    (tmp_path / "test_it.py").write_text(text.partition("```python\n")[2].partition("```")[0])
    (tmp_path / "my-bench.yaml").write_text(
        "rig: {kind: real}\n"
        "buses:\n  i2c0: {use: i2c, match: {path: fe804000.i2c}}\n"
        "hardware:\n  air: {use: bme280, bus: i2c0}\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --rig mock:my-bench.yaml\n")
    done = run_pytest(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


@pytest.mark.parametrize(
    ("words", "about"),
    [
        (["--rig-wire", "known"], {"known"}),
        (["--rig-wire", "known", "--rig-device", "imu"], {"known", "imu"}),
        (["--rig-device", "imu"], {"imu"}),
    ],
)
def test_what_is_named_alone_is_tested_alone(
    words: list[str], about: set[str], tmp_path: Path
) -> None:
    rig = tmp_path / "rig.yaml"
    rig.write_text(
        "rig: {name: two, kind: mock}\n"
        "buses: {chips: {use: i2c, device: /dev/i2c-77}}\n"
        "hardware:\n"
        "  imu: {use: mpu6050, bus: chips}\n"
        "  power: {use: ina219, bus: chips}\n"
        "wires:\n"
        "  known: {kind: i2c-known, bus: chips, address: 0x68, read: {reg: 0x75, value: 0x68}}\n"
    )
    from horus.testing.report import results

    suite = ["--pyargs", "horus_hil.checks", "-k", "known or test_c01"]
    done = run_pytest(tmp_path, *suite, "--rig", str(rig), "--hil-report", "out", *words)
    assert done.returncode == 0, done.stdout
    report = results.read(tmp_path / "out")
    assert {check.device for check in report.checks} == about


def test_the_help_of_pytest_needs_no_rig(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "--rig", "mokc", "--help")
    assert done.returncode == 0
    assert "--rig-wire" in done.stdout
    assert done.stderr == ""
