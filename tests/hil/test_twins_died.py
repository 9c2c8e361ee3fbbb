"""Simulated devices whose process ends in the middle of a run: the run says that, and ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from horus.bus import session
from horus.testing.rig.twin_processes import TwinProcesses, TwinsDiedError, TwinsError

pytestmark = pytest.mark.slow

ROBOT = """\
buses: {b: {use: socketcan, channel: can0}, c: {use: i2c, device: /dev/i2c-0}}
hardware: {wheel: {use: odrive, bus: b, node: 3}, imu: {use: mpu6050, bus: c}}
"""
TESTS = """\
import os, signal, time
from pathlib import Path
from horus.testing import hil

def test_before(device):
    device.until(lambda: device.node.samples)

@hil.hazard("motion")
def test_killed(device):
    device.until(lambda: device.node.samples)
    for process in Path("/proc").glob("[0-9]*"):
        words = (process / "cmdline").read_bytes().split(b"\\0") if process.exists() else []
        if b"horus.hardware.twins" in words and words[words.index(b"--bus") + 1] == b"b":
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid():
                os.kill(int(process.name), signal.SIGKILL)
    device.until(lambda: not device.node.samples)

@hil.hazard("motion")
def test_killed_is_not_followed(device):
    pass
"""


def test_the_run_says_which_died_and_how_and_ends(tmp_path: Path) -> None:
    (tmp_path / "rig.yaml").write_text("rig: {kind: mock}\n" + ROBOT)
    (tmp_path / "test_it.py").write_text(TESTS)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HORUS_RIG", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--rig", "twins:rig.yaml", "--rig-device", "wheel", "--hil-report", "out"],
        cwd=tmp_path,
        env=kept,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1, done.stdout
    report = json.loads((tmp_path / "out/report.json").read_text())
    died = "the simulated devices on b (wheel) died: their process (pid "
    assert report["reason"].startswith(died), report["reason"]
    assert "was killed by SIGKILL" in report["reason"]
    assert "what is not here was not run" in report["reason"]
    found = {check["test"].split("::")[1].split("[")[0]: check for check in report["checks"]}
    assert set(found) == {"test_before", "test_killed"}
    assert found["test_before"]["status"] == "passed"
    assert found["test_killed"]["reason"].startswith(died), found["test_killed"]
    assert died in done.stdout
    assert "could not be told to stop" not in done.stdout, "a driver is blamed for it"


@pytest.fixture
def processes(shm: Path, monkeypatch: pytest.MonkeyPatch) -> TwinProcesses:
    made = session.new_session()
    monkeypatch.setenv("HORUS_SESSION_ID", made.id)
    return TwinProcesses(lambda _: None)


def test_what_it_printed_is_told_when_it_does_not_start(
    processes: TwinProcesses, tmp_path: Path
) -> None:
    (tmp_path / "horus.yaml").write_text(ROBOT)
    try:
        with pytest.raises(TwinsError, match=r"on d \(gnss\) do not .*status 1.*\n.* d; bus"):
            processes.start(tmp_path / "horus.yaml", {"b": ["wheel"], "d": ["gnss"]}, 60.0)
    finally:
        processes.stop()


def test_of_a_forked_one_it_is_told_as_well(processes: TwinProcesses, tmp_path: Path) -> None:
    """As on the virtual rig, whose channels are not here: it says so and ends."""
    (tmp_path / "horus.yaml").write_text(ROBOT)
    try:
        with pytest.raises(TwinsError, match=r"on b,c \(wheel, imu\) do not .*\ncan0 is none"):
            processes.fork(tmp_path / "horus.yaml", {"b": ["wheel"], "c": ["imu"]}, 60.0)
        with pytest.raises(TwinsDiedError, match="ended with status 1"):
            processes.check()
    finally:
        processes.stop()
    processes.check()
