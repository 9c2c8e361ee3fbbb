"""A robot on simulated devices, through `horus run`: it drives, and however it ends it stops."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from horus.bus import Subscriber
from horus.hardware.config import load
from horus.msgs import Imu, MotorState, Pose3D
from horus.runtime.linux import descendants

ROVER = Path(__file__).parents[2] / "examples" / "rover"
#: Starting ten processes takes a while on a busy machine.
PATIENCE = 60.0

YAML = """\
name: test
nodes: ["nodes/*.py"]
buses:
  i2c1: {use: i2c, device: /dev/i2c-77}
  can0: {use: socketcan, channel: nocan9}
hardware:
  imu: {use: mpu6050, bus: i2c1}
  left_wheel: {use: odrive, bus: can0, node: 3}
  right_wheel: {use: odrive, bus: can0, node: 4, reverse: true}
"""

DRIVE = """\
import horus
from horus.msgs import MotorCommand

def tick(node):
    node.send("left_wheel.command", MotorCommand(velocity=5.0))
    node.send("right_wheel.command", MotorCommand(velocity=-3.0))

horus.run(horus.Node("drive", ["left_wheel.command", "right_wheel.command"], tick=tick, rate=50))
"""

#: Keeps the run going when the node that drives is killed.
OTHER = 'import horus\nhorus.run(horus.Node("other", tick=lambda node: None, rate=5))\n'


class Run:
    """One `horus run --mock`, what it prints, and the true state of its wheels."""

    def __init__(self, folder: Path, log: Path, *arguments: str) -> None:
        self.log = log
        self._file = log.open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "horus.cli", "run", *arguments, str(folder)],
            stdout=self._file,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,
        )
        self.subscribers: dict[str, Any] = {}
        self.newest: dict[str, Any] = {}

    @property
    def output(self) -> str:
        return self.log.read_text()

    def wait(self, condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"{what}: not within {seconds} s\n{self.output}\n{self.newest}")
            time.sleep(0.01)

    def join(self) -> str:
        """Wait until the run has said its session, and take part in it; return the id."""
        pattern = re.compile(r"Session: (\S+)")
        self.wait(lambda: pattern.search(self.output), "session")
        match = pattern.search(self.output)
        assert match
        return match[1]

    def look(self, topic: str, type: Any = None) -> Any:
        """Return the newest message of a topic, or None."""
        if topic not in self.subscribers:
            self.subscribers[topic] = Subscriber(topic, type, depth=64, latch=True)
        message = self.subscribers[topic].latest()
        if message is not None:
            self.newest[topic] = message
        return self.newest.get(topic)

    def speed(self, wheel: str) -> float:
        truth = self.look(f"sim.{wheel}")
        return float(truth["velocity"]) if truth else 0.0

    def driving(self) -> bool:
        return abs(self.speed("left_wheel") - 5.0) < 0.5 > abs(self.speed("right_wheel") + 3.0)

    def resting(self) -> bool:
        return all(
            (truth := self.look(f"sim.{wheel}")) and truth["at_rest"] and truth["state"] == 1
            for wheel in ("left_wheel", "right_wheel")
        )

    def pid_of(self, *words: str) -> int:
        """Return the process of the run whose command line has all these words."""
        for pid in descendants(self.process.pid):
            try:
                line = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if all(any(word in part for part in line) for word in words):
                return pid
        pytest.fail(f"no process with {words}")

    def finish(self, seconds: float = PATIENCE) -> int:
        return self.process.wait(seconds)

    def close(self) -> None:
        left = descendants(self.process.pid)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._file.close()


@pytest.fixture
def robot(tmp_path: Path) -> Path:
    folder = tmp_path / "robot"
    (folder / "nodes").mkdir(parents=True)
    (folder / "horus.yaml").write_text(YAML)
    (folder / "nodes" / "drive.py").write_text(DRIVE)
    (folder / "nodes" / "other.py").write_text(OTHER)
    return folder


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Run]]:
    made: list[Run] = []

    def begin(folder: Path, *arguments: str) -> Run:
        made.append(Run(folder, tmp_path / f"log{len(made)}", "--mock", *arguments))
        monkeypatch.setenv("HORUS_SESSION_ID", made[-1].join())
        return made[-1]

    yield begin
    for run in made:
        run.close()


@pytest.fixture
def driving(robot: Path, start: Callable[..., Run]) -> Run:
    run = start(robot)
    run.wait(run.driving, "the wheels follow their commands")
    return run


def test_the_wheels_follow_and_every_message_says_mock(driving: Run) -> None:
    state = driving.look("right_wheel.state", MotorState)
    driving.wait(lambda: driving.look("right_wheel.state").velocity < -2.5, "measured velocity")
    assert driving.look("right_wheel.state").mock
    driving.wait(lambda: driving.look("imu", Imu), "a sample of the IMU")
    assert driving.look("imu").mock
    assert driving.look("imu").accel_z == pytest.approx(9.8, abs=0.5)
    driving.wait(lambda: driving.look("imu.status"), "a status of the IMU")
    assert driving.look("imu.status").message.startswith("ACTIVE: ")
    assert state is None or state.mock


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_ordered_end_stops_the_wheels_and_says_so(driving: Run, signum: int) -> None:
    driving.process.send_signal(signum)
    driving.wait(driving.resting, "the wheels at rest")
    assert driving.finish() == 0
    for wheel in ("left_wheel", "right_wheel"):
        assert re.search(rf"^\[can0\] {wheel}: stopped \(0\.0 rad/s, idle\)$", driving.output, re.M)


def test_without_the_node_that_commands_them_the_wheels_stop_by_themselves(driving: Run) -> None:
    os.kill(driving.pid_of("drive.py"), signal.SIGKILL)
    driving.wait(driving.resting, "the wheels at rest")
    line = "left_wheel: WARNING: ready: no command for 0.25 s: told to stop"
    driving.wait(lambda: line in driving.output, "its line")


@pytest.mark.parametrize("bus", ["udp", "unix"])
def test_when_their_driver_is_killed_the_supervisor_stops_them(
    bus: str, monkeypatch: pytest.MonkeyPatch, robot: Path, start: Callable[..., Run]
) -> None:
    monkeypatch.setenv("HORUS_SIM_CAN", bus)
    driving = start(robot)
    driving.wait(driving.driving, "the wheels follow their commands")
    os.kill(driving.pid_of("horus.hardware.worker", "can0"), signal.SIGKILL)
    driving.wait(driving.resting, "the wheels at rest")
    for wheel in ("left_wheel", "right_wheel"):
        driving.wait(
            lambda wheel=wheel: f"{wheel}: made safe by the supervisor" in driving.output,
            "its line",
        )


def test_when_the_supervisor_is_killed_the_wheels_stop_and_nothing_is_left(
    driving: Run, shm: Path
) -> None:
    children = descendants(driving.process.pid)
    os.kill(driving.process.pid, signal.SIGKILL)
    driving.finish()
    driving.wait(driving.resting, "the wheels at rest")
    driving.wait(lambda: not any(map(running, children)), "the end of all processes")
    driving.wait(lambda: not list(shm.glob("sessions/*")), "an empty folder of sessions")


def test_when_driver_and_supervisor_are_killed_the_guardian_stops_the_wheels(
    driving: Run, shm: Path
) -> None:
    children = descendants(driving.process.pid)
    os.kill(driving.pid_of("horus.hardware.worker", "can0"), signal.SIGKILL)
    os.kill(driving.process.pid, signal.SIGKILL)
    driving.finish()
    # The twins end with the run: seen at rest, they were told to stop before they ended.
    driving.wait(driving.resting, "the wheels at rest")
    driving.wait(lambda: not any(map(running, children)), "the end of all processes")
    driving.wait(lambda: not list(shm.glob("sessions/*")), "an empty folder of sessions")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["dies", "hangs"])
def test_when_the_supervisor_is_stopped_and_a_driver_is_lost_the_guardian_stops_the_wheels(
    how: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    robot: Path,
    start: Callable[..., Run],
    shm: Path,
) -> None:
    monkeypatch.setenv("HORUS_HANG_LIMIT", "0.5")
    driving = start(robot)
    driving.wait(driving.driving, "the wheels follow their commands")
    driver = driving.pid_of("horus.hardware.worker", "can0")
    os.kill(driving.process.pid, signal.SIGSTOP)
    os.kill(driver, how)
    driving.wait(driving.resting, "the wheels at rest")
    driving.wait(lambda: not running(driver), "the driver's end")
    os.kill(driving.process.pid, signal.SIGCONT)
    os.kill(driving.process.pid, signal.SIGINT)
    driving.finish()
    assert not list(shm.glob("sessions/*"))


def test_a_run_ends_although_its_guardian_is_stopped(driving: Run, shm: Path) -> None:
    guardian = driving.pid_of("guardian.py")
    os.kill(guardian, signal.SIGSTOP)
    driving.process.send_signal(signal.SIGINT)
    driving.wait(driving.resting, "the wheels at rest")
    assert driving.finish() == 0
    assert not running(guardian)
    assert not list(shm.glob("sessions/*"))


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_without_mock_every_missing_bus_is_named_with_its_cure(robot: Path, shm: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "horus.cli", "run", str(robot)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert "i2c1: /dev/i2c-77 does not exist" in done.stderr
    assert "modprobe i2c-dev" in done.stderr
    assert "can0: the CAN interface nocan9 does not exist" in done.stderr
    assert "sudo ip link set nocan9 up type can bitrate 500000" in done.stderr
    assert "Started" not in done.stdout
    assert "simulated" not in done.stdout.lower()


def test_the_example_asks_for_no_more_than_its_wheels_allow() -> None:
    wheel = runpy.run_path(str(ROVER / "nodes" / "drive.py"))["wheel"]
    for name in ("left_wheel", "right_wheel"):
        most = getattr(load(ROVER).hardware[name].config, "max_velocity")  # noqa: B009
        asked = [wheel(velocity, 0.0).velocity for velocity in (99.0, 3.0, -99.0)]
        assert asked == [most, 3.0, -most]


def test_the_example_drives_as_the_recording_turns_and_shows_it_in_a_table(
    tmp_path: Path, start: Callable[..., Run]
) -> None:
    folder = tmp_path / "rover"
    shutil.copytree(ROVER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    run = start(folder)
    run.wait(lambda: abs(run.speed("left_wheel")) > 3.0, "a wheel that turns")
    run.wait(lambda: run.speed("left_wheel") * run.speed("right_wheel") < -4.0, "a turn")
    run.wait(lambda: run.look("attitude", Pose3D), "the attitude")
    assert run.look("attitude").mock
    row = r"^\[logger\] +\d+\.\d(?: +-?\d+\.\d){3} \|(?: +-?\d+\.\d\d){2} \|.*\| +\d+ MOCK$"
    run.wait(lambda: re.search(row, run.output, re.M), "a row of the table")
    assert "command refused" not in run.output
    run.process.send_signal(signal.SIGINT)
    run.wait(run.resting, "the wheels at rest")
    assert run.finish() == 0
