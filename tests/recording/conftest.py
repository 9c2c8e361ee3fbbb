"""A session to record, and recordings made in the test's own process."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from horus_plugins.recording.bag import Bag
from horus_plugins.recording.mcapfile import McapFile
from horus_plugins.recording.record_command import note_about
from horus_plugins.recording.recorder import Recorder
from horus_plugins.recording.sinks import FileSink

from horus.bus import Publisher, session
from horus.msgs import Imu, MotorCommand

Payload = tuple[int, int, bytes]
PATIENCE = 60.0
Start = Callable[..., "Command"]


class Command:
    """A `horus` command in a process of its own."""

    def __init__(self, log: Path, *words: str, **more: Any) -> None:
        self.log = log
        with log.open("w") as file:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "horus.cli", *words],
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
                **more,
            )

    @property
    def session(self) -> str:
        """The session that it names, once it does."""
        self.wait_for("Session: ")
        return self.text.partition("Session: ")[2][:11]

    @property
    def text(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.text:
            if time.monotonic() > deadline or self.popen.poll() is not None:
                if text in self.text:
                    return
                pytest.fail(f"no {text!r} in {self.text}")
            time.sleep(0.005)

    def end(self, signum: int = signal.SIGINT) -> int:
        self.popen.send_signal(signum)
        return self.popen.wait(PATIENCE)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made: list[Command] = []

    def begin(*words: str, **more: Any) -> Command:
        made.append(Command(tmp_path / f"log{len(made)}", *words, **more))
        return made[-1]

    yield begin
    for command in made:
        if command.popen.poll() is None:
            command.popen.send_signal(signal.SIGINT)  # a run ends its own processes
            try:
                command.popen.wait(10)
            except subprocess.TimeoutExpired:
                command.popen.kill()
                command.popen.wait()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The id of a session that this process owns."""
    made = session.new_session()
    monkeypatch.setenv("HORUS_SESSION_ID", made.id)
    yield made.id
    from horus.bus.ends import close_all

    close_all()
    session.end_session(made.id)


class Recording:
    """A recorder in this process."""

    def __init__(self, path: Path, compression: str = "zstd", **more: Any) -> None:
        self.path = path
        self.file = McapFile(path)
        self.sink = FileSink(self.file, compression)
        self.recorder = Recorder(self.sink, **more)
        channels = self.recorder.channels
        self.file.schemas, self.file.channels = channels.schemas, channels.channels

    def finish(self) -> Bag:
        self.recorder._search()
        while self.recorder.look():
            pass
        self.recorder.close()
        self.sink.close()
        self.sink.check()
        self.file.finish()
        return Bag(self.path)


@pytest.fixture
def record(run: str, tmp_path: Path) -> Callable[..., Recording]:
    """Begin to record into a file of this name."""
    return lambda name="a.mcap", **more: Recording(tmp_path / name, **more)


def contents(bag: Bag) -> dict[str, list[tuple[Payload, int]]]:
    """Return every topic's payloads and stamps, publisher by publisher."""
    bag.summary()
    decoders = {number: stored.decoder() for number, stored in bag.channels.items()}
    found: dict[str, dict[int, list[tuple[Payload, int]]]] = {}
    for message in bag.read(ordered=False):
        stored = bag.channels[message.channel]
        payload = (stored.kind, stored.type_hash, decoders[message.channel](message.data))
        mine = found.setdefault(stored.topic, {}).setdefault(stored.publisher, [])
        mine.append((payload, message.publish_ns))
    return {
        topic: [one for many in sorted(by.values()) for one in many] for topic, by in found.items()
    }


def spaced(items: Any, seconds: float) -> Iterator[Any]:
    """Yield items on a time grid."""
    due = time.monotonic()
    for item in items:
        due += seconds
        time.sleep(max(0.0, due - time.monotonic()))
        yield item


@pytest.fixture
def imu(run: str) -> Publisher:
    return Publisher("imu", Imu)


@pytest.fixture
def bag(imu: Publisher, record: Callable[..., Any], run: str) -> Path:
    """A recording of 30 IMU samples over 0.3 s and as many commands."""
    command = Publisher("wheel.command", MotorCommand)
    recording = record("run.mcap")
    note_about(recording.file, recording.recorder, run)
    began = time.monotonic_ns() - 10**9
    for k in range(30):
        imu.send(Imu(accel_z=k + 0.25, frame="imu_link"), began + k * 10**7)
        command.send(MotorCommand(velocity=float(k)), began + k * 10**7)
        recording.recorder.look()
    command.close()
    found: Path = recording.finish().path
    return found
