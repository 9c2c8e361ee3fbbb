"""A simulated robot with motors on three kinds of bus, the node that drives it, and a listener."""

from __future__ import annotations

import contextlib
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from horus.bus import Publisher, Subscriber
from horus.hal.can import CanBus
from horus.hardware import lastwords, simbuses
from horus.hardware.config import load
from horus.msgs import DeviceStatus, MotorCommand
from horus.runtime.linux import descendants

#: Starting ten processes takes a while on a busy machine.
PATIENCE = 60.0
#: Every device moves; `wheel` is the one whose time is taken.
YAML = """\
name: failsafe
buses:
  can0: {use: socketcan, channel: nocan9}
  i2c1: {use: i2c, device: /dev/i2c-77}
  port: {use: serial, device: /dev/ttyUSB77, baudrate: 1000000}
hardware:
  wheel: {use: odrive, bus: can0, node: 3}
  neighbour: {use: odrive, bus: can0, node: 4}
  servos: {use: pca9685, bus: i2c1, channels: [0, 1]}
  arm: {use: feetech, bus: port, ids: [1, 2]}
"""
MOTORS = ("wheel", "neighbour", "servos", "arm")
EVENTS = "test.event"
DRIVE = """\
import math
import time
import horus
from horus.msgs import JointCommand, MotorCommand

wheels, joints = ("wheel", "neighbour"), ("servos", "arm")
value = 5.0

def tick(node):
    global value
    event = node.get("test.event")
    if event == "nan":
        value = math.nan
    elif event == "raise":
        raise RuntimeError("as asked")
    for name in wheels:
        node.send(f"{name}.command", MotorCommand(velocity=value))
    angle = 0.3 * math.sin(3.0 * time.monotonic()) * (value / 5.0)
    for name in joints:
        node.send(f"{name}.command", JointCommand(position=[angle, angle]))

topics = [f"{name}.command" for name in (*wheels, *joints)]
horus.run(horus.Node("drive", topics, "test.event", tick=tick, rate=100))
"""


class Robot:
    """One ``horus run --mock``; the present process takes part in its session."""

    def __init__(self, folder: Path) -> None:
        (folder / "horus.yaml").write_text(YAML)
        (folder / "drive.py").write_text(DRIVE)
        self.folder = folder
        self.log = folder / "log"
        self._file = self.log.open("w")
        outside = {k: v for k, v in os.environ.items() if k != "HORUS_SESSION_ID"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "horus.cli", "run", "--mock", str(folder / "horus.yaml")],
            stdout=self._file,
            stderr=subprocess.STDOUT,
            env=outside,
            start_new_session=True,
        )
        self.driver: subprocess.Popen[bytes] | None = None
        self._ear: CanBus | None = None
        self._over = False
        self._topics: dict[str, Any] = {}
        self._newest: dict[str, Any] = {}
        found = self.wait(lambda: re.search(r"Session: (\S+)", self.log.read_text()), "a session")
        os.environ["HORUS_SESSION_ID"] = self.session = found[1]
        self.wait(lambda: all(self.state(name) == "ready" for name in MOTORS), "all devices")
        self._listen()

    # waiting and looking ------------------------------------------------------------------------

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """Return what a condition yields once it is true."""
        deadline = time.monotonic() + PATIENCE
        while not (found := condition()):
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{what}: not within {PATIENCE} s\n{self.log.read_text()}\n{self._newest}"
                )
            time.sleep(0.005)
        return found

    def look(self, topic: str, kind: type | None = None) -> Any:
        """Return the newest message of a topic, or None."""
        if topic not in self._topics:
            self._topics[topic] = Subscriber(topic, kind, depth=64, latch=True)
        message = self._topics[topic].latest()
        if message is not None:
            self._newest[topic] = message
        return self._newest.get(topic)

    def state(self, device: str) -> str:
        """Return how a device says it is."""
        status = self.look(f"{device}.status", DeviceStatus)
        return str(status.state) if status else ""

    def truth(self, device: str) -> dict[str, Any]:
        """Return the true state of a twin."""
        return self.look(f"sim.{device}") or {}

    def driving(self) -> bool:
        """Return whether every motor is under command, and the wheel at its speed."""
        busy = all(self.truth(name).get("at_rest") is False for name in MOTORS)
        return busy and abs(self.truth("wheel")["velocity"] - 5.0) < 0.5

    def resting(self) -> bool:
        """Return whether every motor was told to stop and has come to rest."""
        return all(self.truth(name).get("at_rest") is True for name in MOTORS)

    # the wire -----------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Note when the wheel is told to stop, as an observer on the simulated CAN bus."""
        device = load(self.folder).hardware["wheel"]
        self._last_word = lastwords.words_of(device)[-1]
        self._told: list[int] = []
        ear = simbuses.open_bus("can0", simbuses.can_config("can0"))
        assert isinstance(ear, CanBus)
        self._ear = ear
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()
        self._commands = Subscriber("wheel.command", MotorCommand, depth=1024)

    def _hear(self) -> None:
        assert self._ear is not None
        while not self._over:
            frame = self._ear.receive(0.1)
            if frame == self._last_word:
                assert frame is not None
                self._told.append(frame.stamp_ns)

    def told_after(self, moment_ns: int) -> float:
        """Return how long (s) after a moment the wheel was told to stop, once it was."""
        told = self.wait(
            lambda: next((t for t in list(self._told) if t >= moment_ns), 0), "the safe command"
        )
        return float(told - moment_ns) / 1e9

    def last_command(self) -> int:
        """Return when the last good command for the wheel was sent (monotonic ns)."""
        while (found := self._commands.recv_stamped()) is not None:
            if math.isfinite(found[0].velocity):
                self._last_ns = found[1]
        return self._last_ns

    # who acts -----------------------------------------------------------------------------------

    def drive(self) -> None:
        """Start the node that commands all motors, and wait until they follow."""
        self.driver = subprocess.Popen(
            [sys.executable, str(self.folder / "drive.py")],
            stdout=self._file,
            stderr=subprocess.STDOUT,
        )
        self.wait(self.driving, "motors that move")

    def tell(self, event: str) -> None:
        """Have the driving node do something."""
        publisher = Publisher(EVENTS)
        publisher.send(event)
        publisher.close()

    def leave(self) -> None:
        """Kill the node that drives, without a word."""
        driver, self.driver = self.driver, None
        if driver is not None:
            driver.kill()
            driver.wait()

    def pid_of(self, *words: str) -> int:
        """Return the process of the run whose command line has all these words."""
        for pid in descendants(self.process.pid):
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
                if all(any(word in part for part in line) for word in words):
                    return pid
        raise AssertionError(f"no process with {words}")

    def close(self) -> None:
        """End everything that was started."""
        self.leave()
        left = descendants(self.process.pid)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20.0)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        self._over = True
        if self._ear is not None:
            self._thread.join()
            self._ear.close()
            self._commands.close()
        for subscriber in self._topics.values():
            subscriber.close()
        self._file.close()
        os.environ.pop("HORUS_SESSION_ID", None)
