"""`horus monitor` beside a robot that runs: in a terminal, and where it cannot be."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from horus.bus import session
from horus.bus.leftovers import topic_ends

WORKBENCH = Path(__file__).parents[2] / "examples" / "workbench"
PATIENCE = 60.0


class Terminal:
    """A `horus` command in a terminal of its own, with what it has written there."""

    def __init__(self, *words: str, size: tuple[int, int] = (120, 30)) -> None:
        self.fd, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.before = termios.tcgetattr(inner)
        self.inner = inner
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "horus.cli", *words],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env={**os.environ, "TERM": "xterm-256color"},
            start_new_session=True,
        )
        self._data = b""
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self) -> None:
        while True:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                return
            self._data += data

    @property
    def text(self) -> str:
        """All that was written, without what only moves and colours."""
        return re.sub(r"\x1b\[[0-9;?<=>]*[A-Za-z]", "", self._data.decode("utf-8", "replace"))

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.text:
            if time.monotonic() > deadline or self.popen.poll() is not None:
                pytest.fail(f"no {text!r} in {self.text[-3000:]}")
            time.sleep(0.01)

    def press(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def end(self) -> int:
        return self.popen.wait(PATIENCE)

    def close(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        os.close(self.inner)
        self._thread.join(5)
        os.close(self.fd)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    started: list[Terminal] = []

    def start(*words: str, **more) -> Terminal:
        started.append(Terminal(*words, **more))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def workbench(horus_run):
    """Fourteen simulated devices, all of which are up."""
    run = horus_run("--mock", str(WORKBENCH))
    run.wait_for(r"Session: \S+")
    for device in ("imu", "lidar", "gps", "left_wheel"):
        run.wait_for(rf"{device}: (ready|active)")
    return run


def test_it_shows_which_device_fails_stops_the_robot_and_leaves_it_running(
    workbench, terminal, horus_command
):
    monitor = terminal("monitor")
    monitor.wait_for("14 devices")
    assert horus_command("mock", "fault", "imu", "unplug").finish() == 0
    monitor.wait_for("FAILING device imu ABSENT: nothing answers at address 0x68")
    monitor.press(" ")
    monitor.wait_for("E-STOP ENGAGED (by horus monitor)")
    workbench.wait_for("left_wheel: WARNING: ready: e-stop engaged")
    monitor.press("q")
    assert monitor.end() == 0
    assert termios.tcgetattr(monitor.inner) == monitor.before
    assert workbench.popen.poll() is None
    release = horus_command("estop", "--release")
    assert release.finish() == 0, "it stays stopped when the monitor is left"


def test_one_look_as_json_tells_how_all_of_it_is(workbench, horus_command, monkeypatch, wait_for):
    looks = []

    def well() -> bool:
        look = horus_command("monitor", "--json")
        looks.append((look.finish(), look.out))
        about = json.loads(look.out)
        return len(about["devices"]) == 14 and not about["troubles"]

    wait_for(lambda: well() or looks[-1][0] == 0, 120)
    about = json.loads(looks[-1][1])
    assert about["session"] == workbench.session_id and about["mock"] is True
    assert {device["name"] for device in about["devices"]} >= {"imu", "lidar", "arm"}
    nodes = {node["name"]: node for node in about["nodes"]}
    assert nodes["left_wheel"]["process"] == "can0"
    assert nodes["panel"]["state"] == "running"
    topics = {topic["name"]: topic for topic in about["topics"]}
    assert topics["imu"]["type"] == "Imu" and topics["imu"]["rate"] > 0
    assert topics["imu"]["readers"] == ["panel"]
    monkeypatch.setenv("HORUS_SESSION_ID", workbench.session_id)
    wait_for(lambda: "horus/nodes" not in topic_ends(session.topics_dir()), 60)


def test_the_end_of_the_run_is_said_and_sigterm_gives_the_terminal_back(horus_run, terminal, write):
    write("nodes/idle.py", "import signal; print('up', flush=True); signal.pause()\n")
    run = horus_run("nodes/idle.py")
    run.wait_for("up")
    monitor = terminal("monitor", "--session", run.session_id, size=(80, 24))
    monitor.wait_for("tells nothing of its nodes")
    run.signal(signal.SIGINT)
    assert run.finish() == 0
    monitor.wait_for("This session has ended")
    monitor.popen.send_signal(signal.SIGTERM)
    assert monitor.end() == 0
    assert termios.tcgetattr(monitor.inner) == monitor.before


def test_why_it_cannot_begin_is_said(horus_command, horus_run, write):
    none = horus_command("monitor")
    assert none.finish() == 2
    assert none.err == "horus: no robot is running (start one with horus run)\n"
    write("nodes/idle.py", "import signal; print('up', flush=True); signal.pause()\n")
    run = horus_run("nodes/idle.py")
    run.wait_for("up")
    near = run.session_id[:-1] + ("0" if run.session_id[-1] != "0" else "1")
    unknown = horus_command("monitor", "--session", near)
    assert unknown.finish() == 2
    assert f"no run {near!r} (did you mean {run.session_id!r}?): it has ended" in unknown.err
    piped = horus_command("monitor")
    assert piped.finish() == 2
    assert "this is no terminal: use horus monitor" in piped.err
