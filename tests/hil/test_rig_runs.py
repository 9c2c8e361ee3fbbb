"""Whole runs on a rig: how they end, and that nothing is left moving."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from horus.bus import Subscriber, session
from horus.testing.rig import hazards
from horus.testing.rig.file import load
from horus.testing.rig.workshop import Workshop
from tests.hil.sysfs import Sysfs

pytestmark = pytest.mark.slow

Wait = Callable[..., None]
#: Longest wait (s) for anything: a busy machine takes its time to start a run.
PATIENCE = 180.0
MOCK = """\
rig: {name: mine, kind: mock}
buses: {i2c0: {use: i2c, device: /dev/i2c-0}, can0: {use: socketcan, channel: can0}}
hardware: {imu: {use: mpu6050, bus: i2c0}, wheel: {use: odrive, bus: can0, node: 3}}
"""
REAL = """\
rig: {name: bench, kind: real, allow: [motion]}
buses:
  port: {use: serial, match: {usb: "0403:6001"}}
hardware:
  arm: {use: feetech, bus: port, ids: [1]}
"""
TESTS = """\
import pytest
from horus.testing import hil

def test_reads(device): device.until(lambda: device.node.samples)

@hil.hazard("motion")
def test_moves(device): pass

@hil.check("C4")
@hil.quarantine("a bad cable")
def test_flaky(device): assert False, "again"

def test_skips(device): pytest.skip("not here")
"""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]


def run(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HORUS_RIG", "PYTEST_"))}
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env={**kept, **env},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mock.yaml").write_text(MOCK)
    (tmp_path / "real.yaml").write_text(REAL)
    (tmp_path / "test_it.py").write_text(TESTS)
    return tmp_path


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out/report.json").read_text())
    return found


def test_a_failure_in_quarantine_is_reported_and_does_not_count(folder: Path) -> None:
    done = run(folder, "--rig", "mock.yaml", "--hil-report", "out", "-k", "flaky")
    assert done.returncode == 0, done.stdout
    assert {check["status"] for check in report(folder)["checks"]} == {"quarantined"}


FULL = """\
import errno
from horus.testing.report import results

def write_whole(path, text):
    raise OSError(errno.ENOSPC, "No space left on device")

results.write_whole = write_whole
"""


def test_a_report_that_cannot_be_written_at_the_end_is_told_and_the_rest_is_shown(
    folder: Path,
) -> None:
    (folder / "conftest.py").write_text(FULL)
    done = run(folder, "--rig", "mock.yaml", "--hil-report", "out", "-k", "reads")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert "rig mine" in done.stdout
    assert "the report in out was not written: No space left on device" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("place", ["mock.yaml", "mock.yaml/out", "/proc/no-such-place"])
def test_where_no_report_can_be_written_is_told_before_anything_is_run(
    folder: Path, place: str
) -> None:
    done = run(folder, "--rig", "mock.yaml", "--hil-report", place)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"--hil-report {place}: cannot be written: " in done.stderr
    assert "passed" not in done.stdout


def test_a_run_in_which_all_was_skipped_is_not_a_pass(folder: Path) -> None:
    done = run(folder, "--rig", "mock.yaml", "--hil-report", "out", "-k", "skips")
    assert done.returncode == 5, done.stdout
    assert report(folder)["verdict"] == "nothing ran"


def test_with_strict_a_skip_is_a_failure(folder: Path) -> None:
    done = run(folder, "--rig", "mock.yaml", "--hil-strict", "-k", "skips", "--rig-device", "imu")
    assert done.returncode == 1, done.stdout
    assert "a skip is a failure: not here" in done.stdout


def test_a_missing_adapter_ends_the_run_before_anything_is_touched(folder: Path) -> None:
    root = Sysfs(folder / "root").root
    done = run(folder, "--rig", "real.yaml", "--hil-report", "out", HORUS_HIL_SYSTEM=str(root))
    assert done.returncode == 3, done.stdout
    assert "the rig is not ready; nothing was moved:" in done.stdout
    assert "port: no serial port here is {usb: 0403:6001}: plug it in" in done.stdout
    assert report(folder)["verdict"] == "not ready"
    assert "no serial port here" in report(folder)["reason"]


def test_a_hazard_that_the_file_does_not_allow_is_refused(folder: Path) -> None:
    done = run(folder, "--rig", "real.yaml", "--allow", "heat", "--hil-report", "out")
    assert done.returncode == 4
    assert "--allow heat: real.yaml does not allow it: something gets hot." in done.stderr
    assert "rig: {allow: [heat, motion]}" in done.stderr
    assert report(folder)["verdict"] == "hazard refused"


def test_a_hazard_that_there_is_not_is_a_wrong_command_line(folder: Path) -> None:
    done = run(folder, "--rig", "real.yaml", "--allow", "motoin")
    assert done.returncode == 2
    assert "there is no such hazard (did you mean 'motion'?)" in done.stderr


def test_a_device_that_the_rig_has_not_is_a_wrong_command_line(folder: Path) -> None:
    done = run(folder, "--rig", "mock.yaml", "--rig-device", "imv")
    assert done.returncode == 2
    assert done.stderr.startswith("rig: --rig-device")
    assert "mock.yaml has no such device (did you mean 'imu'?)" in done.stderr


def test_a_bench_is_not_tested_by_several_processes_at_once(folder: Path) -> None:
    done = run(folder, "--rig", "real.yaml", "-n", "2")
    assert done.returncode == 2
    assert "run without -n" in done.stderr


def test_what_only_reads_comes_before_what_moves(folder: Path) -> None:
    done = run(folder, "--rig", "mock.yaml", "-k", "moves or reads or flaky", "-vv")
    order = [line.partition("::")[2].split("[")[0] for line in done.stdout.splitlines()]
    order = [name for name in order if name.startswith("test_")]
    assert order.index("test_moves") > max(
        i for i, name in enumerate(order) if name in ("test_reads", "test_flaky")
    )


# on real wires ------------------------------------------------------------------------------------

SPINS = """\
from horus.testing import hil

@hil.hazard("motion")
def test_it_turns(device):
    while True:
        device.run(0.1, device.order(5.0) if device.use == "odrive" else device.order(0.5))
"""


class Spinning:
    """A run of pytest in the middle of a motion check."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        (folder / "test_spin.py").write_text(SPINS)
        self.process = subprocess.Popen(
            command("test_spin.py", *arguments),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def kill(self) -> str:
        """Kill it without a warning; return what was printed until all that it started ended."""
        self.process.kill()
        return self.process.communicate(timeout=PATIENCE)[0]


@pytest.fixture
def spin() -> Iterator[Callable[..., Spinning]]:
    made: list[Spinning] = []

    def start(folder: Path, *arguments: str) -> Spinning:
        made.append(Spinning(folder, *arguments))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            one.process.send_signal(signal.SIGINT)
            one.process.communicate(timeout=PATIENCE)


def truth_of(device: str, session_id: str, monkeypatch: pytest.MonkeyPatch) -> Subscriber:
    """Return what hears a twin's true state; it goes on after its session has gone."""
    monkeypatch.setenv("HORUS_SESSION_ID", session_id)
    made = Subscriber(f"sim.{device}", depth=1)
    monkeypatch.delenv("HORUS_SESSION_ID")
    return made


def left_behind() -> list[str]:
    """Return the sessions that there still are."""
    return os.listdir(session.sessions_dir()) if session.sessions_dir().is_dir() else []


def the_session(wait_for: Wait) -> str:
    """Return the session of the only run."""
    wait_for(
        lambda: session.sessions_dir().is_dir() and os.listdir(session.sessions_dir()), PATIENCE
    )
    return os.listdir(session.sessions_dir())[0]


@pytest.mark.parametrize(
    ("device", "bus"),
    [
        ("use: odrive, bus: b, node: 3", "use: socketcan, channel: can0"),
        ("use: feetech, bus: b, ids: [1]", "use: serial, device: /dev/ttyUSB0"),
        ("use: pca9685, bus: b", "use: i2c, device: /dev/i2c-0"),
    ],
    ids=["CAN", "serial", "I2C"],
)
def test_killed_in_the_middle_of_a_motion_check_the_motor_comes_to_rest(
    device: str,
    bus: str,
    tmp_path: Path,
    spin: Callable[..., Spinning],
    wait_for: Wait,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "rig.yaml").write_text(
        f"rig: {{kind: mock}}\nbuses: {{b: {{{bus}}}}}\nhardware: {{motor: {{{device}}}}}\n"
    )
    running = spin(tmp_path, "--rig", "twins:rig.yaml")
    truth = truth_of("motor", the_session(wait_for), monkeypatch)
    states: list[dict[str, Any]] = []

    def latest() -> dict[str, Any]:
        found = truth.latest()
        if found is not None:
            states.append(found)
        return states[-1] if states else {}

    wait_for(lambda: latest().get("at_rest") is False, PATIENCE)
    printed = running.kill()
    assert "motor: made safe by the supervisor" in printed, printed
    wait_for(lambda: latest()["at_rest"], PATIENCE)
    wait_for(lambda: not left_behind(), PATIENCE)
    truth.close()


RUNS = """\
import os, signal
from horus_hil.checks.running import run_of

def test_it(device):
    with run_of(device) as run:
        run.drive()
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_while_a_check_has_a_horus_run_that_ends_as_well(
    tmp_path: Path, wait_for: Wait
) -> None:
    """Else the program that commands the motor would let it turn for ever."""
    (tmp_path / "test_it.py").write_text(RUNS)
    (tmp_path / "rig.yaml").write_text(MOCK)
    done = run(tmp_path, "--rig", "rig.yaml", "--rig-device", "wheel")
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr

    def still_there() -> list[str]:
        lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
        return [line.decode() for line in lines if str(tmp_path).encode() in line]

    wait_for(lambda: not still_there(), PATIENCE)
    wait_for(lambda: not left_behind(), PATIENCE)


ENDS = """\
import os, signal, sys

def test_it(device):
    device.until(lambda: device.node.samples)
    os.kill(os.getpid(), getattr(signal, os.environ["ENDED_BY"]))
    device.run(60.0)

def test_it_is_not_followed(device): pass
"""


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGHUP", 129)])
@pytest.mark.parametrize("how", ["mock", "twins"])
def test_a_signal_ends_a_run_in_order_with_its_report(
    how: str, name: str, status: int, tmp_path: Path
) -> None:
    (tmp_path / "test_it.py").write_text(ENDS)
    (tmp_path / "rig.yaml").write_text(MOCK)
    arguments = ["--rig", f"{how}:rig.yaml", "--rig-device", "wheel", "--hil-report", "out"]
    done = run(tmp_path, *arguments, ENDED_BY=name)
    assert done.returncode == status, done.stdout + done.stderr
    assert report(tmp_path)["verdict"] == "failed"
    assert report(tmp_path)["reason"] == f"ended by {name}: what is not here was not run"
    assert "Traceback" not in done.stdout + done.stderr
    assert "INTERNALERROR" not in done.stdout + done.stderr
    assert not left_behind()


TWICE = """\
import pytest
from horus.testing.rig.keeper import Keeper

def interrupted(self):
    raise KeyboardInterrupt

def test_it(device):
    device.until(lambda: device.node.samples)
    device.run(1.0, device.order(5.0))
    device._keeper.stop()  # nobody ticks it: it is not stopped for want of commands
    Keeper.stop = interrupted  # the second comes while the first is making the motor safe
    raise KeyboardInterrupt
"""


def test_interrupted_twice_a_motor_is_made_safe_by_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TWICE)
    (tmp_path / "rig.yaml").write_text(MOCK)
    arguments = ["--rig", "twins:rig.yaml", "--rig-device", "wheel", "--hil-report", "out"]
    done = run(tmp_path, *arguments, HORUS_HANG_LIMIT="600")  # a busy machine is slow to get there
    assert done.returncode == 130, done.stdout + done.stderr
    assert report(tmp_path)["reason"].startswith("the run was interrupted")
    assert "wheel: made safe by the supervisor (told to stop on can0" in done.stderr, done.stderr
    assert not left_behind()


def test_killed_on_a_real_bus_the_motor_comes_to_rest(
    tmp_path: Path, spin: Callable[..., Spinning], wait_for: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rig that is real to all that it knows: its port is a pty with a twin at the other end."""
    (tmp_path / "horus.yaml").write_text(
        "buses: {p: {use: serial, device: /dev/x}}\n"
        "hardware: {arm: {use: feetech, bus: p, ids: [1]}}\n"
    )
    own = session.new_session()
    ready = tmp_path / "ready"
    twin = subprocess.Popen(
        [sys.executable, "-m", "horus.hardware.twins", "--config", "horus.yaml", "--bus", "p"],
        cwd=tmp_path,
        env={**os.environ, "HORUS_SESSION_ID": own.id, "HORUS_READY_FILE": str(ready)},
    )
    try:
        wait_for(ready.exists, PATIENCE)
        truth = truth_of("arm", own.id, monkeypatch)
        port = (own.path / "sim_buses/p/pty").read_text()
        (tmp_path / "rig.yaml").write_text(
            "rig: {kind: real, allow: [motion]}\n"
            f"buses: {{p: {{use: serial, device: {port}}}}}\n"
            "hardware: {arm: {use: feetech, bus: p, ids: [1]}}\n"
        )
        running = spin(tmp_path, "--rig", "rig.yaml", "--allow", "motion")
        seen: list[dict[str, Any]] = []
        wait_for(lambda: (truth.latest() or {"at_rest": True})["at_rest"] is False, PATIENCE)
        assert "arm: made safe by the supervisor" in running.kill()

        def rests() -> bool:
            found = truth.latest()
            seen.extend([found] if found else [])
            return bool(seen) and bool(seen[-1]["at_rest"])

        wait_for(rests, PATIENCE)
        truth.close()
    finally:
        twin.terminate()
        twin.wait(30)
        session.end_session(own.id)


def test_a_hazard_allowed_by_the_file_alone_is_skipped_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "rig.yaml").write_text(REAL)
    rig = load(tmp_path / "rig.yaml")
    device = rig.devices["arm"]
    none, motion = hazards.allowed(rig, []), hazards.allowed(rig, ["motion"])
    assert (
        hazards.reason("motion", device, rig, none) == "something moves: only with --allow motion"
    )
    assert hazards.reason("motion", device, rig, motion) == ""
    assert "only where" in hazards.reason("heat", device, rig, motion)


UNSAFE = """\
import pytest
from horus.hardware import lastwords

@pytest.mark.parametrize("number", [1, 2])
def test_it(device, number):
    lastwords.pending = lambda: ["wheel"]
"""


def test_a_device_that_cannot_be_made_safe_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(UNSAFE)
    (tmp_path / "rig.yaml").write_text(MOCK)
    done = run(tmp_path, "--rig", "twins:rig.yaml", "--rig-device", "wheel")
    assert done.returncode == 1, done.stdout
    assert "wheel could not be told to stop" in done.stdout
    assert "nothing more is tried on this rig" in done.stdout
    assert "2 passed" not in done.stdout


def test_a_person_is_asked_only_with_hil_person(tmp_path: Path) -> None:
    (tmp_path / "rig.yaml").write_text(
        REAL + "faults: {port: {unplug: {by: person}}}\n",
    )
    rig = load(tmp_path / "rig.yaml")
    for person in (False, True):
        made = Workshop(rig, rig.devices, person=person)
        try:
            assert list(made.breakers("arm")) == ["unplug"] * person
        finally:
            made.close()
    assert not left_behind()
