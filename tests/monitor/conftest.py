"""A session whose devices, nodes and topics are this process's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from horus_plugins.monitor.model import Model
from horus_plugins.monitor.rows import Snapshot

from horus.bus import Publisher, session
from horus.bus.ends import close_all
from horus.msgs import DeviceStatus, NodeStatus, ReaderStatus
from horus.runtime.runlog import RunLog
from horus.runtime.sessions import RunDevice, RunProcess, note_devices, note_processes
from horus.scheduler.status import READERS, TOPIC


class Robot:
    """What a run would tell, told by hand."""

    def __init__(self) -> None:
        self.session = session.new_session()
        os.environ["HORUS_SESSION_ID"] = self.session.id
        self.id = self.session.id
        self.log = RunLog(self.session.path)
        self._ends: dict[str, Publisher] = {}
        self._ticks = 0
        start = session.process_start_time(os.getpid()) or 0
        self.processes = [RunProcess("drive", "node", os.getpid(), start)]
        note_processes(self.session.path, self.processes)

    def send(self, topic: str, message: Any, stamp_ns: int | None = None) -> None:
        if topic not in self._ends:
            kind = type(message) if hasattr(type(message), "__horus_spec__") else None
            self._ends[topic] = Publisher(topic, kind)
        self._ends[topic].send(message, stamp_ns)

    def close(self, topic: str) -> None:
        self._ends.pop(topic).close()

    def has_devices(self, *names: str) -> None:
        note_devices(self.session.path, [RunDevice(n, "mpu6050", "i2c1", "0x68") for n in names])

    def device(self, name: str, state: str = "active", text: str = "samples arrive", **more: Any):
        about = {"rate": 100.0, "asked_rate": 100.0, "mock": True, "stamp": time.time()} | more
        message = f"{state.upper()}: {text}; 0 errors"
        where = {"driver": "mpu6050", "bus": "i2c1", "place": "0x68"}
        status = DeviceStatus(name=name, state=state, message=message, **where, **about)
        self.send(f"{name}.status", status)

    def node(self, name: str = "drive", seconds: float = 1.0, ticks: int = 50, **more: Any) -> None:
        """Tell how a node is; ``ticks`` of them since the last time, ``seconds`` ago."""
        self._ticks += ticks
        self._now = getattr(self, "_now", time.time()) + seconds
        about = {"state": "running", "asked_rate": 50.0, "rate": 50.0, "jitter_p99": 0.002}
        pid = more.pop("process", os.getpid())
        told = NodeStatus(
            stamp=self._now, node=name, process=pid, ticks=self._ticks, **(about | more)
        )
        self.send(TOPIC, told)

    def reads(self, topic: str, *, node: str = "drive", dropped: int = 0, age: float = 0.0) -> None:
        status = ReaderStatus(node=node, process=os.getpid(), topic=topic, dropped=dropped, age=age)
        self.send(READERS, status)

    def ends(self) -> None:
        """Let the run be over."""
        close_all()
        session.end_session(self.id)


@pytest.fixture
def robot(shm: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Robot]:
    """A session that this process owns and has joined."""
    monkeypatch.setenv("HORUS_SESSION_ID", "")
    made = Robot()
    yield made
    made.log.close()
    made.ends()


@pytest.fixture
def model(robot: Robot) -> Iterator[Model]:
    """A monitor of it."""
    made = Model(robot.id)
    yield made
    made.close()


@pytest.fixture
def found(
    model: Model, wait_for: Callable[..., None]
) -> Callable[[Callable[[Snapshot], object]], Snapshot]:
    """Sample until a condition holds of what was found; return it."""

    def until(condition: Callable[[Snapshot], object]) -> Snapshot:
        wait_for(lambda: condition(model.sample()))
        return model.last

    return until
