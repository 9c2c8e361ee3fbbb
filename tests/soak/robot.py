"""The rover under ``horus run --mock`` in a place of its own, looked at from outside."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from horus.bus import layout, rings
from horus.cli.devices import Watch
from horus.testing.ending import end

from . import machine

ROOT = Path(__file__).resolve().parents[2]
ROVER = ROOT / "examples" / "rover"
INSIDE = Path(__file__).resolve().parent / "inside"
PATIENCE = 30.0  # s, for the start and for the end
NODES = {"imu", "left_wheel", "right_wheel", "attitude", "drive", "logger"}


class Robot:
    """A running rover; `close` ends it and removes what it had.

    Args:
        warm_up: s after its start until it is judged.
    """

    def __init__(self, warm_up: float) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="horus-soak-"))
        self.shm = Path(tempfile.mkdtemp(prefix="horus-soak-", dir="/dev/shm"))
        self.log = self.folder / "log"
        self._watch: Watch | None = None
        self._ours: dict[str, str | None] = {}
        environment = {k: v for k, v in os.environ.items() if k != "HORUS_SESSION_ID"}
        environment.update(
            HORUS_SHM_DIR=str(self.shm),
            HORUS_SOAK_FOLDER=str(self.folder),
            HORUS_SOAK_WARM_UP=str(warm_up),
            PYTHONPATH=os.pathsep.join(filter(None, [str(INSIDE), os.environ.get("PYTHONPATH")])),
        )
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "horus.cli", "run", "--mock", str(ROVER)],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start(self) -> None:
        """Wait until it drives: every node ticks and both wheels follow their commands."""
        session = self._until(
            lambda: re.search(r"Session: (\S+)", self.log.read_text()), "a session"
        )[1]
        for name, value in (("HORUS_SHM_DIR", str(self.shm)), ("HORUS_SESSION_ID", session)):
            self._ours[name] = os.environ.get(name)
            os.environ[name] = value
        self.topics = self.shm / "sessions" / session / "topics"
        self._until(lambda: self.nodes().keys() >= NODES, f"all of {', '.join(sorted(NODES))}")
        self._watch = Watch()
        self._until(lambda: self._active() == 3, "three active devices")

    def _active(self) -> int:
        assert self._watch is not None
        self._watch.look()
        return sum(status.state == "active" for status in self._watch.newest.values())

    def _until(self, condition: Any, what: str) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (found := condition()):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(f"{what}: not within {PATIENCE:g} s\n{self.log.read_text()}")
            time.sleep(0.05)
        return found

    # looking ------------------------------------------------------------------------------------

    def look(self) -> dict[str, Any]:
        """Return all figures of this moment."""
        pids = machine.processes(self.process.pid)
        found = {name: machine.figures(pid) for pid, name in pids.items()}
        return {
            "processes": {name: each for name, each in found.items() if each},
            "shm": machine.shared_memory(self.shm, list(pids)),
            "nodes": self.nodes(),
            "sent": self.sent(),
            "devices": self.devices(),
        }

    def nodes(self) -> dict[str, dict[str, Any]]:
        """Return the figures of each node, as its process has noted them, with their moment."""
        nodes = {}
        for path in self.folder.glob("*.json"):
            with contextlib.suppress(ValueError):  # read while it was written: next time, then
                noted = json.loads(path.read_text())
                for name, figures in noted["nodes"].items():
                    nodes[name] = {"moment_ns": noted["moment_ns"], **figures}
        return nodes

    def sent(self) -> dict[str, int]:
        """Return how many messages each topic has carried."""
        sent: dict[str, int] = {}
        for folder in sorted(path for path in self.topics.iterdir() if path.is_dir()):
            for ring in rings.ring_files(folder):
                with contextlib.suppress(OSError):
                    memory, _ = rings.open_ring(ring.path)
                    (number,) = struct.unpack_from("<Q", memory, layout.RING_NEXT)
                    memory.close()
                    topic = folder.name.replace("~", "/")
                    sent[topic] = sent.get(topic, 0) + number
        return sent

    def devices(self) -> dict[str, dict[str, Any]]:
        """Return the newest status of each device."""
        assert self._watch is not None
        self._watch.look()
        keep = ("state", "rate", "asked_rate", "samples", "faults", "errors", "refused", "late")
        return {each["name"]: {k: each[k] for k in keep} for each in self._watch.objects()}

    def complaints(self) -> list[str]:
        """Return the lines of its output that are neither its table nor its start and end."""
        lines = self.log.read_text().splitlines()
        words = r"warning|error|fault|slow|drop|lost|crash|kill|safe|restart|ended"
        return [line for line in lines if re.search(words, line, re.I)]

    # ending -------------------------------------------------------------------------------------

    def stop(self) -> dict[str, Any]:
        """Press Ctrl-C; return the exit status and what is left after it."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        pids = machine.processes(self.process.pid)
        started = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return {"status": None, "seconds": PATIENCE, "alive": list(pids.values()), "left": []}
        seconds = time.monotonic() - started
        alive = [name for pid, name in pids.items() if machine.figures(pid)]
        left = [str(path.relative_to(self.shm)) for path in self.shm.glob("sessions/*")]
        bells = machine.shared_memory(self.shm, list(pids))["semaphores"]
        left += [f"{bells:.0f} semaphores"] if bells else []
        return {"status": status, "seconds": seconds, "alive": alive, "left": left}

    def close(self) -> None:
        """End what still runs of it and remove its files."""
        if self._watch is not None:
            self._watch.close()
        end(self.process, PATIENCE)
        for name, value in self._ours.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
        shutil.rmtree(self.shm, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)
