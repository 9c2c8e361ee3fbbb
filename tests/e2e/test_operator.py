"""Every command of an operator, tried against one robot that runs: the workbench, simulated."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from horus.cli.main import COMMANDS

pytestmark = pytest.mark.slow

WORKBENCH = Path(__file__).parents[2] / "examples" / "workbench"
DEVICES = (
    "imu", "battery", "servos", "air", "analog", "dial", "front", "rear", "left_wheel",
    "right_wheel", "brush", "arm", "gps", "lidar",
)  # fmt: skip
TUNED = """\
import horus
from horus import Param

def tick(node):
    node.send("tuned", {"gain": node.param("gain")})
    if node.info.tick_count() == 2:
        node.log_warning("the belt slips")

horus.run(horus.Node("tuned", pubs="tuned", tick=tick, rate=50, params={
    "gain": Param(1.0, low=0, high=10, unit="1/s", doc="of the loop")}))
"""
#: Far more than any of them takes, even on a busy machine.
PATIENCE = 120.0


class Robot:
    """The robot, and what is typed beside it."""

    def __init__(self, folder: Path, shm: Path) -> None:
        self.folder, self.shm = folder, shm
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("HORUS_")}
        self.env |= {"HORUS_SHM_DIR": str(shm), "HORUS_HANG_LIMIT": "30"}
        self.env["HORUS_CALIBRATION_DIR"] = str(folder / "calibration")
        self.run = subprocess.Popen(
            [sys.executable, "-m", "horus", "run", "--mock", str(folder / "robot")],
            env=self.env,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self) -> None:
        assert self.run.stdout is not None
        for line in self.run.stdout:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()

    def wait_for(self, text: str) -> None:
        with self._changed:
            found = self._changed.wait_for(lambda: text in "".join(self.lines), PATIENCE)
        assert found, f"no {text!r} in:\n{''.join(self.lines)}"

    def type(self, *words: str, **env: str) -> tuple[int, str, str]:
        """Run a command; return its status, output and errors."""
        done = subprocess.run(
            [sys.executable, "-m", "horus", *words],
            env=self.env | env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return done.returncode, done.stdout, done.stderr

    def end(self) -> None:
        if self.run.poll() is None:
            self.run.send_signal(signal.SIGINT)
        try:
            self.run.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.run.kill()
            self.run.wait()


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Robot]:
    folder = tmp_path_factory.mktemp("operator")
    shutil.copytree(WORKBENCH, folder / "robot")
    (folder / "robot" / "nodes" / "tuned.py").write_text(TUNED)
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    shm = Path(tempfile.mkdtemp(prefix="horus-test-", dir=base))
    made = Robot(folder, shm)
    try:
        made.wait_for("All processes running")
        for device in ("left_wheel", "arm"):
            made.wait_for(f"{device}: active: armed")
        made.wait_for("the belt slips")
        yield made
    finally:
        made.end()
        shutil.rmtree(shm, ignore_errors=True)


NUMBER = r"-?[\d.]+(e-?\d+)?"
#: By command, in an order in which each leaves the robot as the next expects it: what is typed, and
#: what its output must hold, as regular expressions.
TYPED: dict[str, tuple[list[str], list[str]]] = {
    "topic list": (
        ["topic", "list"],
        [
            r"^imu +Imu +[\d.]+ Hz +.*i2c1 +panel$",
            r"^left_wheel.command +MotorCommand .* exercise +can0$",
            r"^lidar +LaserScan ",
            r"^tuned ",
            r"\A(?!.*params.request)",
        ],
    ),
    "topic info": (
        ["topic", "info", "imu"],
        [r"^type: Imu$", r"^publishers: i2c1$", r"^  gyro_x +Float64 +rad/s +rotation rate"],
    ),
    "topic echo": (
        ["topic", "echo", "left_wheel.state", "--once"],
        [rf"^velocity: {NUMBER} rad/s$", r"^mock: true$", r"^armed: true$"],
    ),
    "topic hz": (["topic", "hz", "imu", "--duration", "1"], [rf"^{NUMBER} Hz: every {NUMBER} to "]),
    "topic bw": (
        ["topic", "bw", "imu", "--duration", "1"],
        [r"^[\d.]+ k?B/s: \d+ messages of 136 to 136 bytes"],
    ),
    "topic latency": (
        ["topic", "latency", "imu", "--duration", "1"],
        [rf"^age p50 {NUMBER} ms, p99 {NUMBER} ms, max {NUMBER} ms, \d+ messages$"],
    ),
    "topic plot": (
        ["topic", "plot", "imu", "gyro_z", "--duration", "1"],
        [rf"^imu gyro_z: {NUMBER} rad/s", r"┤.*[\u2801-\u28ff]"],
    ),
    "topic pub": (["topic", "pub", "note", "{a: 1}", "--create", "-n", "2"], [r"^note: 2 sent$"]),
    "node list": (
        ["node", "list"],
        [
            r"^can0 +driver +\d+ +running +0 +brush.state",
            r"^exercise +node +\d+ +running +0 +arm.command",
            r"^panel .* air, analog, arm.state, and \d+ more$",
        ],
    ),
    "node info": (
        ["node", "info", "tuned"],
        [
            r"^node: tuned \(node\)$",
            r"^load: [\d.]+ % of a processor, \d+ MB, up \d+ s, 0 restarts$",
            rf"^node tuned: running, {NUMBER} of 50 Hz, jitter {NUMBER} ms, late .* of 20 ms, ",
            rf"^publishes: tuned at {NUMBER} Hz$",
            r"^parameter: tuned.gain = 1 1/s$",
            r"^said: WARNING tuned: the belt slips$",
        ],
    ),
    "log": (
        ["log", "--node", "tuned", "--level", "warning"],
        [r"^[\d:.]+ WARNING +tuned: the belt slips$"],
    ),
    "param list": (
        ["param", "list"],
        [
            r"^tuned.gain +1 1/s +1 +at least 0 and at most 10 +of the loop$",
            r"^imu.rate +100 Hz +100 +greater than 0 and at most 100 Hz +samples a second$",
            r"^left_wheel.max_velocity +12 rad/s +12 +greater than 0 and at most 12 rad/s",
        ],
    ),
    "param set": (["param", "set", "tuned.gain", "2.5"], [r"^tuned.gain = 2.5 1/s$"]),
    "param get": (["param", "get", "tuned.gain"], [r"\A2.5 1/s\n\Z"]),
    "param save": (
        ["param", "save"],
        [
            r"^\+.*\{run: nodes/tuned.py, params: \{gain: 2.5\}\}",
            r"^1 value saved in ",
        ],
    ),
    "ps": (
        ["ps"],
        [
            r"^session \S+, since ",
            r"^  horus run +supervisor +\d+ ",
            r"^  can0.sim +twin +\d+ +\d+ % +[\d.]+ MB .* 0 +running$",
        ],
    ),
    "devices": (
        ["devices"],
        [rf"^{name} +\w+ +\w+ +\w+.* MOCK +" for name in DEVICES]
        + [r"^left_wheel +active +odrive +can0:3 .* armed, follows left_wheel.command$"],
    ),
    "monitor": (["monitor", "--json"], [r'"name": "left_wheel"', r'"session": "']),
    "mock": (
        ["mock", "set", "imu.rotation", "0", "0", "1"],
        [r"^imu.rotation = 0 0 1 rad/s$"],
    ),
    "call": (["call", "arm"], [r"^horus call arm scan first=\.\.\. last=\.\.\.$"]),
    "record": (
        ["record", "imu", "left_wheel.state", "-o", "run.mcap", "--duration", "2s"],
        [r"^run.mcap: \d+ messages in "],
    ),
    "bag": (
        ["bag", "info", "run.mcap"],
        [r"^run.mcap: \d+ messages", r"^  imu +Imu +\d+ ", r"^  left_wheel.state +MotorState "],
    ),
    "replay": (
        ["replay", "run.mcap", "--speed", "10", "--topics", "imu"],
        [r"^replaying run.mcap in session \S+;", r"^\d+ messages sent"],
    ),
    "estop": (
        ["estop", "--reason", "a test"],
        [r"^e-stop engaged in session ", r"^  left_wheel: READY: e-stop engaged \(a test, by "],
    ),
    "estop --release": (["estop", "--release"], [r"^e-stop released in session "]),
    "node stop": (
        ["node", "stop", "can0"],
        [
            r"^  .*left_wheel: stopped \(0.0 rad/s, idle\)$",
            r"^stopped can0 \(left_wheel, right_wheel, brush\): stopped on request$",
        ],
    ),
    "node restart": (
        ["node", "restart", "can0"],
        [r"^restarted can0 \(left_wheel, right_wheel, brush\): process \d+$"],
    ),
    "completion": (["completion", "bash"], [r"^complete -o filenames -F _horus horus$"]),
    "clean": (["clean"], [r"^in use: session "]),
    "check": (["check", "robot"], [r"left_wheel", r"can0"]),
    "doctor": (["doctor"], [r"message core", r"shared memory"]),
    "scan": (["scan"], [r"."]),
    "drivers": (["drivers", "odrive"], [r"max_velocity", r"rad/s"]),
    "buses": (["buses"], [r"socketcan", r"i2c"]),
    "plugins": (["plugins"], [r"^drivers +horus +[\d.]+ +\d+ drivers"]),
    "new": (["new", "lamp", "--template", "empty"], [r"lamp"]),
    "service": (["service", "install", "--print", "robot"], [r"^\[Service\]$", r"horus.* run "]),
}
#: What has a place of its own in other tests: it is long, ends the robot, or is for rigs.
ELSEWHERE = {"run", "stop", "bench", "hil"}


def test_no_command_is_left_out():
    words = set()
    for name, command in COMMANDS.items():
        if name not in ELSEWHERE:
            actions = getattr(importlib.import_module(command.module), "ACTIONS", {})
            words |= {f"{name} {action}" for action in actions} or {name}
    assert words <= set(TYPED)
    assert set(COMMANDS) >= ELSEWHERE, "is no more"


@pytest.mark.parametrize("name", TYPED)
def test_a_command_shows_what_the_robot_does(robot: Robot, name: str):
    words, patterns = TYPED[name]
    status, out, err = robot.type(*words)
    assert status == 0, (out, err)
    for pattern in patterns:
        flags = re.MULTILINE | (re.DOTALL if pattern.startswith(r"\A(?!") else 0)
        assert re.search(pattern, out + err, flags), f"{pattern}\n--- in\n{out}{err}"
    assert "\x1b" not in out + err, "no colours where there is no terminal"
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "words",
    [
        "topic list", "topic info imu", "topic echo imu --once", "topic hz imu --duration 1",
        "topic bw imu --duration 1", "topic latency imu --duration 1", "node list",
        "node info tuned", "log -n 3", "param list", "param get tuned.gain", "ps", "devices",
        "call arm", "bag info run.mcap", "check robot", "doctor", "drivers", "buses", "plugins",
        "scan",
    ],
)  # fmt: skip
def test_with_json_a_program_can_read_it(robot: Robot, words: str):
    if words.startswith("bag") and not (robot.folder / "run.mcap").exists():
        robot.type("record", "imu", "-o", "run.mcap", "--duration", "1s")
    status, out, err = robot.type(*words.split(), "--json")
    assert status == 0, err
    lines = out.splitlines()
    assert lines
    try:
        json.loads(out)
    except ValueError:  # one object a line
        for line in lines:
            json.loads(line)


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        ("topic info imux", 1, "no topic 'imux' here (did you mean 'imu'?)"),
        ("topic echo imux --once", 1, "did you mean 'imu'?"),
        ("topic hz imux --duration 1", 1, "did you mean 'imu'?"),
        ("topic bw imux --duration 1", 1, "did you mean 'imu'?"),
        ("topic latency imux --duration 1", 1, "did you mean 'imu'?"),
        ("topic plot imux gyro_z --duration 1", 1, "did you mean 'imu'?"),
        ("topic plot imu gyro_y2 --duration 1", 2, "(did you mean 'gyro_y'?)"),
        ("topic pub imux 1", 1, "imux"),
        ("topic pub left_wheel.command {velocity:1.0} -n 1", 2, "and add --arm"),
        ("topic lits", 2, "did you mean 'list'"),
        ("node info tunde", 1, "no node or device 'tunde' (did you mean 'tuned'?)"),
        ("node stop tunde", 1, "did you mean 'tuned'?"),
        ("node stop left_wheel", 2, "--with-others"),
        ("node restart imu", 2, "imu is in the process i2c1 with battery, servos"),
        ("param get tuned.gian", 1, "did you mean 'gain'?"),
        ("param get tunde.gain", 1, "did you mean 'tuned'?"),
        ("param set tuned.gain 11", 1, "must be at least 0 and at most 10 1/s, not 11"),
        ("param set left_wheel.max_velocity 50", 1, "at most 12 rad/s, not 50 (horus.yaml: 12)"),
        ("param set imu.rate nan", 1, "imu.rate must be a"),
        ("param save tunde", 1, "did you mean 'tuned'?"),
        ("log --node tunde", 1, "did you mean 'tuned'?"),
        ("call amr", 1, "did you mean 'arm'?"),
        ("call arm scna", 1, "did you mean 'scan'?"),
        ("call imu", 1, "imu has no commands; what has commands: arm"),
        ("mock set imx.rotation 0 0 1", 1, "did you mean 'imu'?"),
        ("bag info absent.mcap", 2, "absent.mcap: there is no such file"),
        ("replay absent.mcap", 2, "absent.mcap: there is no such file"),
        ("check absent", 2, "absent: no such file"),
        ("drivers odriv", 2, "did you mean 'odrive'?"),
    ],
)
def test_what_is_misspelt_or_refused_is_named(robot: Robot, words: str, status: int, text: str):
    found = robot.type(*words.split())
    assert found[0] == status, found
    assert text in found[2], found
    assert "Traceback" not in found[2]


#: Take part in a run.
LIVE = [
    "topic list", "topic info imu", "topic echo imu --once", "node list", "node info tuned",
    "node stop tuned", "node restart tuned", "log", "param get tuned.gain", "param list",
    "param save", "ps", "devices", "call arm", "mock list", "estop", "record", "monitor --json",
    "stop",
]  # fmt: skip


@pytest.mark.parametrize("words", LIVE)
def test_a_session_that_has_ended_is_named_with_those_that_run(robot: Robot, words: str):
    status, out, err = robot.type(*words.split(), "--session", "771-b29-960")
    assert (status, out) == (2, "")
    assert "771-b29-960" in err and "running: " in err


@pytest.mark.parametrize("words", LIVE)
def test_without_a_robot_that_is_said(robot: Robot, words: str, shm: Path):
    status, _, err = robot.type(*words.split(), HORUS_SHM_DIR=str(shm))
    assert status == 2
    assert "no robot is running (start one with horus run)" in err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_shared_memory_of_another_user_is_refused_by_name(robot: Robot, tmp_path: Path):
    other = tmp_path / "theirs"
    other.mkdir(mode=0o700)
    for folder in ("sessions", "topics"):
        (other / folder).mkdir()
    os.chown(other, 65534, 65534)
    status, _, err = robot.type(
        "topic", "pub", "note", "1", "--create", "--session", "plain", HORUS_SHM_DIR=str(other)
    )
    assert status == 1
    assert f"shared memory at {other} is not safe to use: it belongs to the user" in err
    assert "Traceback" not in err


def test_the_robot_has_come_through_all_of_it(robot: Robot):
    assert robot.run.poll() is None
    text = "".join(robot.lines)
    assert "Crashed" not in text and "Restarting" not in text
    robot.end()
    assert robot.run.returncode == 0
    assert "NOT MADE SAFE" not in "".join(robot.lines)
