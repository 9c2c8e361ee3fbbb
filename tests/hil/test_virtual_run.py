"""The checks on the virtual rig: ``pytest -m virtual``, after ``horus hil virtual --fetch``."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as Xml
from pathlib import Path

import pytest

from horus.testing.report import results
from horus.testing.virtual.fetch import Cache

LACKS = Cache().lacks()
pytestmark = [pytest.mark.virtual, pytest.mark.skipif(bool(LACKS), reason=LACKS)]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "horus.cli", "hil", "run", "virtual", *words]
    return subprocess.run(command, capture_output=True, text=True)


def test_every_device_is_who_it_should_be_behind_a_real_kernel(tmp_path: Path) -> None:
    done = run("-k", "c01", "--hil-report", str(tmp_path), f"--junitxml={tmp_path / 'junit.xml'}")
    assert done.returncode == 0, done.stdout + done.stderr
    report = results.read(tmp_path)
    assert report.rig.kind == "virtual"
    assert report.verdict == "passed"
    passed = {check.device for check in report.checks if check.status == "passed"}
    assert passed == {"imu", "power", "left", "arm", "gnss"}
    assert {device.name for device in report.devices} == {*passed, "right"}
    assert (tmp_path / "report.html").exists()
    assert Xml.parse(tmp_path / "junit.xml").getroot().find("testsuite") is not None


def test_a_bad_word_ends_it_as_outside() -> None:
    assert run("--rig-device", "imy").returncode == 2
