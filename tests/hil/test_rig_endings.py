"""Drivers that would keep a run from ending, or end it as if it had passed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

MOCK = """\
rig: {name: mine, kind: mock}
buses: {i2c0: {use: i2c, device: /dev/i2c-0}}
hardware: {imu: {use: mpu6050, bus: i2c0}}
"""
HANGS = """\
import time
from horus_drivers.imu.mpu6050 import Mpu6050

def hangs(self):
    while True:
        time.sleep(0.01)

def test_it(device):
    device.until(lambda: device.node.samples)
    type(device.driver).read = hangs
    device.run(1.0)

def test_it_is_not_followed(device): pass
"""
EXITS = """\
import os

def test_it(device):
    device.until(lambda: device.node.samples)
    os._exit(0)
"""
LEAVES = """\
import threading

def test_it(device):
    threading.Thread(target=threading.Event().wait, name="forgotten").start()
"""
KILLED = """\
import os, signal

def test_it(device):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def run(folder: Path, test: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "rig.yaml").write_text(MOCK)
    (folder / "test_it.py").write_text(test)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HORUS_RIG", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--hil-report=out"]
    return subprocess.run(
        [*command, *arguments], cwd=folder, env=kept, capture_output=True, text=True, timeout=600
    )


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out/report.json").read_text())
    return found


@pytest.mark.parametrize("how", ["mock", "twins"])
def test_a_driver_that_never_returns_fails_its_check_and_ends_the_run(
    how: str, tmp_path: Path
) -> None:
    done = run(tmp_path, HANGS, f"--rig={how}:rig.yaml", "--hil-hang=20")
    assert done.returncode == 1, done.stdout + done.stderr
    (check,) = report(tmp_path)["checks"]
    assert check["reason"] == "it hangs: after 20 s it is still at test_it.py:6"
    assert report(tmp_path)["reason"].endswith("nothing more is tried on this rig")


def test_what_would_end_the_process_with_status_0_is_a_failure(tmp_path: Path) -> None:
    done = run(tmp_path, EXITS, "--rig=mock:rig.yaml")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "os._exit(0) would have ended the run as if it had passed" in done.stdout
    assert report(tmp_path)["verdict"] == "failed"


def test_threads_that_were_left_behind_do_not_keep_a_run_from_ending(tmp_path: Path) -> None:
    done = run(tmp_path, LEAVES, "--rig=mock:rig.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 threads that do not end are left alone: forgotten" in done.stderr


def test_of_a_run_that_is_killed_no_older_report_is_taken_for_its_own(tmp_path: Path) -> None:
    assert run(tmp_path, "def test_it(device): pass", "--rig=mock:rig.yaml").returncode == 0
    assert report(tmp_path)["verdict"] == "passed"
    assert run(tmp_path, KILLED, "--rig=mock:rig.yaml").returncode == -9
    assert report(tmp_path)["verdict"] == "failed"
    assert report(tmp_path)["reason"].startswith("the run has not ended: ")
    assert "has not ended" in (tmp_path / "out/report.html").read_text()
