"""The flight recorder's memory: bounded in time and bytes, and written so that others read it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from horus_plugins.recording.bag import Bag
from horus_plugins.recording.mcapfile import Chunk, McapFile
from horus_plugins.recording.recorder import Recorder
from horus_plugins.recording.sinks import MemorySink
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory

from horus.bus import Publisher
from horus.msgs import Imu


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

    count = sink.write(path, recorder.channels, about)
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
