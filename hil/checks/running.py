"""`horus run` with one device in a process of its own, and a program that commands it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from horus.bus import Subscriber
from horus.hardware import topics
from horus.msgs import DeviceStatus, JointCommand, MotorCommand
from horus.runtime import child
from horus.runtime.linux import descendants
from horus.testing.ending import end
from horus.testing.rig.under_test import DeviceUnderTest

#: Longest wait (s) for anything: far more than a step takes, even on a busy machine.
PATIENCE = 60.0
_DRIVE = """\
import horus
from horus.msgs import JointCommand, MotorCommand, ServoCommand

def tick(node):
    if node.get("check.event") == "raise":
        raise RuntimeError("as asked by the check")
    node.send("{name}.command", {command})

horus.run(horus.Node("drive", "{name}.command", "check.event", tick=tick, rate=50))
"""


class Run:
    """One ``horus run`` of a device; this process looks at its topics."""

    def __init__(self, device: DeviceUnderTest) -> None:
        self.device = device
        config = device.config_file
        self._folder = config.parent
        self._log = self._folder / "run.log"
        self._outside = {k: v for k, v in os.environ.items() if k != "HORUS_SESSION_ID"}
        (self._folder / "drive.py").write_text(
            _DRIVE.format(name=device.name, command=_written(device.good))
        )
        self.drives: list[subprocess.Popen[bytes]] = []
        self._topics: dict[str, Subscriber] = {}
        self._newest: dict[str, Any] = {}
        what = ["module", "horus.cli", "run", *device.run_args, str(config)]
        self.process = self._start(what, self._outside)
        try:
            found = self.wait(lambda: re.search(r"Session: (\S+)", self.text), "session")
            self.session = found[1]
            self.wait(lambda: self.state == "ready", "device that is ready")
        except BaseException:
            self.close()
            raise

    def _start(self, what: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        """Start what `horus.runtime.child` runs: should this process be killed, it ends too."""
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, child.__file__, str(os.getpid()), *what],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        """Return what has been printed."""
        return self._log.read_text(errors="replace")

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """Return what a condition yields once it is true."""
        deadline = time.monotonic() + PATIENCE * self.device.scale
        while not (found := condition()):
            if time.monotonic() > deadline:
                raise AssertionError(f"no {what} in time; the run has printed:\n{self.text}")
            time.sleep(0.005)
        return found

    def look(self, topic: str, kind: type | None = None) -> Any:
        """Return the newest message of one of the run's topics, or None."""
        if topic not in self._topics:
            with _session(self.session):
                self._topics[topic] = Subscriber(topic, kind, depth=64, latch=True)
        message = self._topics[topic].latest()
        if message is not None:
            self._newest[topic] = message
        return self._newest.get(topic)

    @property
    def state(self) -> str:
        """Return how the device says it is."""
        status = self.look(topics.status_topic(self.device.name), DeviceStatus)
        return str(status.state) if status is not None else ""

    @property
    def truth(self) -> dict[str, Any]:
        """Return the true state of the twin; {} where there is none."""
        return self.look(topics.truth_topic(self.device.name)) or {}

    @property
    def simulated(self) -> bool:
        """Return whether the run itself has the device's twin."""
        return "--mock" in self.device.run_args

    def drive(self) -> None:
        """Command the device from a process of its own until it follows."""
        environment = {**self._outside, "HORUS_SESSION_ID": self.session}
        script = self._folder / "drive.py"
        self.drives.append(self._start(["file", str(script)], environment))
        self.wait(self._follows, "device that follows commands")

    def _follows(self) -> bool:
        if not self.simulated:
            return self.state == "active"
        moved = isinstance(self.device.good, MotorCommand)
        turns = not moved or abs(float(self.truth.get("velocity", 0.0))) > 1.0
        return self.truth.get("at_rest") is False and turns

    def rests(self) -> None:
        """Wait until the device is at rest; on a bench it is looked at once the run is over."""
        if self.simulated:
            self.wait(lambda: self.truth.get("at_rest") is True, "device at rest")

    def worker(self) -> int:
        """Return the pid of the process that has the device."""
        for pid in descendants(self.process.pid):
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
                if "horus.hardware.worker" in line:
                    return pid
        raise AssertionError("the run has no process for its device")

    def close(self) -> None:
        """End everything that was started."""
        for drive in self.drives:
            end(drive, PATIENCE)
        end(self.process, PATIENCE)
        for subscriber in self._topics.values():
            subscriber.close()


@contextmanager
def run_of(device: DeviceUnderTest) -> Iterator[Run]:
    """Leave the device to a `horus run`; everything is ended with the context."""
    device.close()
    run = None
    try:
        run = Run(device)
        yield run
    finally:
        if run is not None:
            run.close()


@contextmanager
def _session(name: str) -> Iterator[None]:
    """Open topics of another session."""
    before = os.environ.get("HORUS_SESSION_ID")
    os.environ["HORUS_SESSION_ID"] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ["HORUS_SESSION_ID"]
        else:
            os.environ["HORUS_SESSION_ID"] = before


def _written(command: Any) -> str:
    """Return Python that makes a command."""
    if isinstance(command, MotorCommand):
        return f"MotorCommand(velocity={command.velocity!r})"
    if isinstance(command, JointCommand):
        return f"JointCommand(position={[float(p) for p in command.position]!r})"
    return f"ServoCommand(angle={command.angle!r})"
