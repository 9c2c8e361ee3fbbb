"""The flight recorder's memory: bounded in time and bytes, and written so that others read it."""

from __future__ import annotations

import json
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from horus_plugins.recording import flight, sinks
from horus_plugins.recording.bag import Bag
from horus_plugins.recording.mcapfile import Chunk, McapFile
from horus_plugins.recording.recorder import Recorder
from horus_plugins.recording.sinks import FileSink, MemorySink
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory

from horus.bus import Publisher, session
from horus.cli.main import main
from horus.hardware import stopping
from horus.msgs import DeviceStatus, EmergencyStop, Imu
from tests.recording.conftest import PATIENCE, Start, contents


def filled(number: int, size: int = 10_000) -> Chunk:
    chunk = Chunk()
    chunk.add(1, number, number + 1, number + 1, os.urandom(size))
    return chunk


def test_it_keeps_no_more_bytes_than_allowed() -> None:
    sink = MemorySink(3600.0, 100_000, "zstd")
    for number in range(200):
        sink.put(filled(number))
        assert sink.size <= 100_000
    assert sink.size > 80_000


def test_it_lets_go_of_what_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    sink = MemorySink(10.0, 1 << 30, "none")
    for number in range(60):
        now = 100.0 + number
        sink.put(filled(number, 1000))
    assert 10 * 1000 <= sink.size < 13 * 1200


def test_what_it_writes_has_the_channels_of_chunks_that_are_gone(run: str, tmp_path: Path) -> None:
    imu = Publisher("imu", Imu)
    sink = MemorySink(3600.0, 3000, "zstd")
    recorder = Recorder(sink)
    for k in range(400):
        imu.send(Imu(accel_z=float(k)))
        recorder.look()
        if k % 10 == 9:
            sink.put(recorder.channels.take())
    path = tmp_path / "flight.mcap"

    def about(file: McapFile, words: dict[str, str]) -> None:
        file.add_metadata("horus.end", {"why": "a test", **words})

    count = sink.kept(recorder.channels).write(path, about)
    assert 10 <= count < 400
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
        shown = [value.accel_z for *_, value in reader.iter_decoded_messages()]
        summary = reader.get_summary()
    assert shown == [float(k) for k in range(400 - count, 400)]
    assert summary is not None and summary.statistics is not None
    assert summary.statistics.message_count == count
    bag = Bag(path)
    assert bag.summary().count == count
    assert bag.metadata["horus.end"]["kept"] == "3600 s"
    recorder.close()
    imu.close()


def test_what_waits_for_a_slow_disk_is_bounded_in_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "WAITING", 50_000)
    go = threading.Event()
    file = McapFile(tmp_path / "slow.mcap")
    written = file.add_chunk
    monkeypatch.setattr(file, "add_chunk", lambda chunk: go.wait(60) and written(chunk))
    sink = FileSink(file, "none")
    put = 0

    def fill() -> None:
        nonlocal put
        for number in range(20):
            sink.put(filled(number))
            put += 1

    filler = threading.Thread(target=fill)
    filler.start()
    deadline = time.monotonic() + 30
    while put < 4 and time.monotonic() < deadline:
        assert sink._waiting <= 50_000
        time.sleep(0.001)
    assert 4 <= put <= 5  # and no more: the next does not fit
    go.set()
    filler.join(60)
    sink.close()
    file.finish()
    assert file.count == 20


@pytest.fixture
def handlers() -> Iterator[None]:
    """Signals mean afterwards what they meant before."""
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_what_happens_while_it_writes_is_recorded_and_a_second_reason_writes_again(
    run: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    handlers: None,
    wait_for: Callable[..., None],
) -> None:
    writing, go = threading.Event(), threading.Event()
    written = McapFile.add_chunk

    def slow(self: McapFile, chunk: Any) -> None:
        if self.path.name == "flight.mcap":
            writing.set()
            go.wait(60)
        written(self, chunk)

    monkeypatch.setattr(McapFile, "add_chunk", slow)
    status, estop = Publisher("imu.status", DeviceStatus), Publisher("estop", EmergencyStop)
    imu = Publisher("imu", Imu)
    second = tmp_path / "flight-2.mcap"

    def live() -> None:
        try:
            wait_for(lambda: (session.session_dir(run) / "flight_recorder.json").exists())
            imu.send(Imu(accel_z=1.0))
            status.send(DeviceStatus(name="imu", state="fault", message="no answer"))
            assert writing.wait(60)
            imu.send(Imu(accel_z=2.0))
            estop.send(EmergencyStop(reason="while it writes"))
            wait_for(lambda: imu.send(Imu(accel_z=3.0)) and Eye.saw(estop))
            assert not second.exists()
            go.set()
            wait_for(second.exists)
        finally:
            go.set()
            os.kill(os.getpid(), signal.SIGINT)

    class Eye:
        reasons: ClassVar[list[str]] = []

        @classmethod
        def saw(cls, end: object) -> bool:
            return any("emergency" in reason for reason in cls.reasons)

    look = flight.Triggers.look

    def looked(self: flight.Triggers, recorder: Recorder) -> list[str]:
        found = look(self, recorder)
        Eye.reasons += found
        return found

    monkeypatch.setattr(flight.Triggers, "look", looked)
    robot = threading.Thread(target=live)
    robot.start()
    words = ["record", "--ring", "60s", "--after", "0", "-o", str(tmp_path / "flight.mcap")]
    assert main(words) == 0
    robot.join(60)
    first, later = (Bag(path) for path in (tmp_path / "flight.mcap", second))
    assert contents(first)["imu"] == contents(later)["imu"][:1]
    assert len(contents(later)["imu"]) >= 2
    assert len(contents(later)["estop"]) == 1
    assert first.metadata["horus.end"]["why"] == "fault of imu: no answer"
    assert later.metadata["horus.end"]["why"] == "emergency stop: while it writes"
    assert "estop" not in contents(first)
    for end in (status, estop, imu):
        end.close()


def test_a_full_disk_is_said_and_the_next_reason_is_written(
    run: str, start: Start, tmp_path: Path
) -> None:
    status, estop = Publisher("imu.status", DeviceStatus), Publisher("estop", EmergencyStop)
    frames = Publisher("frames")
    small = (20_000, resource.RLIM_INFINITY)
    recorder = start(
        *("record", "--ring", "60s", "--after", "0", "-o", "flight.mcap"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, small),
    )
    recorder.wait_for("keeping the last")
    assert frames.send(np.random.default_rng(1).integers(0, 255, 50_000, "u1"))
    status.send(DeviceStatus(name="imu", state="fault", message="no answer"))
    recorder.wait_for("flight.mcap cannot be written any more: File too large")
    recorder.wait_for("is readable")
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(recorder.popen.pid, resource.RLIMIT_FSIZE, unlimited)
    estop.send(EmergencyStop(reason="arm too close"))
    recorder.wait_for("flight-2.mcap: ")
    assert recorder.end() == 1
    assert "1 recording written" in recorder.text
    assert "Traceback" not in recorder.text
    assert len(contents(Bag(tmp_path / "flight-2.mcap"))["frames"]) == 1
    assert Bag(tmp_path / "flight.mcap").summary().count == 0  # and readable all the same
    for end in (status, estop, frames):
        end.close()


ROBOT = """\
name: flyer
nodes: ["steady.py"]
buses:
  i2c1: {use: i2c, device: /dev/i2c-77}
hardware:
  imu: {use: mpu6050, bus: i2c1, rate: 50}
"""
STEADY = """\
import horus
horus.run(horus.Node("steady", pubs="plan", tick=lambda node: node.send("plan", {"k": 1}), rate=20))
"""


def test_a_device_that_is_unplugged_an_emergency_stop_and_a_node_that_crashes_are_written(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "horus.yaml").write_text(ROBOT)
    (tmp_path / "steady.py").write_text(STEADY)
    robot = start("run", "--mock", str(tmp_path))
    robot.wait_for("imu: active")
    here = ("--session", robot.session)
    recorder = start("record", "--ring", "30s", "--after", "0.1", "-o", "f.mcap", *here)
    recorder.wait_for("keeping the last")
    assert start("mock", "fault", "imu", "unplug", *here).popen.wait(PATIENCE) == 0
    recorder.wait_for("f.mcap: ")
    assert start("estop", *here).popen.wait(PATIENCE) == 0
    recorder.wait_for("f-2.mcap: ")
    ps = start("ps", "--json")
    assert ps.popen.wait(PATIENCE) == 0
    (found,) = [one for one in json.loads(ps.text) if one["session"] == robot.session]
    (node,) = [one for one in found["processes"] if one["name"] == "steady"]
    os.kill(node["pid"], signal.SIGKILL)
    recorder.wait_for("f-3.mcap: ")
    assert recorder.end() == 0
    reasons = [Bag(tmp_path / name) for name in ("f.mcap", "f-2.mcap", "f-3.mcap")]
    for bag, words in zip(reasons, ("fault of imu", "emergency stop", "crash of"), strict=True):
        assert bag.summary().count > 10
        assert words in bag.metadata["horus.end"]["why"]
    robot.end()


def test_a_stop_whose_topic_has_gone_before_it_was_found_is_a_reason_all_the_same(run: str) -> None:
    triggers, recorder = flight.Triggers(), Recorder(MemorySink(10.0, 1 << 20, "none"))
    assert triggers.look(recorder) == []
    for number in (1, 2):
        stopping.send(f"test {number}", "me")
        triggers._looked = 0.0
        assert triggers.look(recorder) == [f"emergency stop: test {number} by me"]
        triggers._looked = 0.0
        assert triggers.look(recorder) == []
        stopping.send(release=True)
        triggers._looked = 0.0
        assert triggers.look(recorder) == []
