"""Each check refuses what is broken in its way, and no other check does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from horus.testing.report import results

pytestmark = pytest.mark.slow

BROKEN = Path(__file__).parent / "broken"
RIG = """\
rig: {{name: broken, kind: mock}}
buses:
  bus: {{use: {bus}}}
hardware:
  device: {{use: broken_{name}, bus: bus{options}}}
"""
BUSES = {
    "i2c": "i2c, device: /dev/i2c-77",
    "can": "socketcan, channel: nocan77",
    "serial": "serial, device: /dev/ttyUSB77",
}

#: The broken driver, its bus, the check that refuses it, and a part of what that says.
CASES = [
    ("takesanybody", "i2c", "C1", "broken_takesanybody takes a "),
    ("slow", "i2c", "C2", "set_up_s is 6."),
    ("hasty", "i2c", "C3", "making Hasty says [I2cWrite(address=104, data=b'\\x19\\x00')] on the"),
    ("heavy", "i2c", "C3", "importing broken_heavy: imports smbus2"),
    ("lazy", "i2c", "C4", "rate_hz is 95"),
    ("twice", "i2c", "C4", "repeated_samples_percent is 4"),
    ("degrees", "i2c", "C5", "it measures angular_velocity ["),
    ("strong", "i2c", "C5", "it measures linear_acceleration ["),
    ("ageing", "i2c", "C6", "age_max_ms is 2"),
    ("stumbles", "i2c", "C7", "the driver does not expect to lose its device: "),
    ("setuponce", "i2c", "C8", "it is still "),
    ("clings", "i2c", "C9", "it is still active: samples arrive"),
    ("credulous", "serial", "C10", "while nothing is damaged on the wire"),
    ("forgetful", "can", "C11", "its safe() says nothing: nobody can stop it"),
    ("obeys", "can", "C12", "velocity 1e+06 reaches the bus"),
    ("dawdles", "can", "C13", "command_to_bus_max_ms is "),
    ("leaks", "i2c", "C14", "descriptors_left is 100"),
    ("shares", "i2c", "C15", "and neighbour measures "),
]


def checked(name: str, bus: str, folder: Path, *arguments: str) -> results.Report:
    """Run the checks on a rig with one broken device; return the report."""
    options = ", node: 3" if bus == "can" else ""
    rig = folder / "rig.yaml"
    rig.write_text(RIG.format(name=name, bus=BUSES[bus], options=options))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HORUS_RIG", "PYTEST_"))}
    path = os.pathsep.join(filter(None, [str(BROKEN), kept.get("PYTHONPATH", "")]))
    import horus_hil.checks

    suite = Path(horus_hil.checks.__file__).parent
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-c", str(suite / "pytest.ini"), str(suite), "--rig", str(rig)]
    done = subprocess.run(
        [*command, "--hil-report", str(folder), *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return results.read(folder)


@pytest.mark.parametrize(("name", "bus", "check", "text"), CASES, ids=[case[0] for case in CASES])
def test_exactly_this_check_refuses_it(
    name: str, bus: str, check: str, text: str, tmp_path: Path
) -> None:
    processes = [] if check == "C11" else ["-k", "not however_its_process_ends"]
    report = checked(name, bus, tmp_path, *processes)
    failed = {one.check: one for one in report.checks if one.status in ("failed", "error")}
    assert set(failed) == {check}, {one.check: one.reason for one in failed.values()}
    told = [f"{one.reason}\n{one.detail}" for one in report.checks if one.status == "failed"]
    assert any(text in one for one in told), told


def test_there_is_a_case_for_every_check() -> None:
    assert {check for _, _, check, _ in CASES} == {f"C{number}" for number in range(1, 16)}
