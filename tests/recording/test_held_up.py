"""A recorder and a replay that are held up: by their own work, or by a busy computer."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from horus_plugins.recording import recorder as recording
from horus_plugins.recording import replaying
from horus_plugins.recording.bag import Bag
from horus_plugins.recording.channels import Channels

from horus.bus import Publisher
from horus.msgs import Imu
from tests.recording.conftest import contents

Record = Callable[..., Any]
MS = 1_000_000


def test_while_new_topics_are_described_the_others_are_not_overrun(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MOST_DEPTH", 16)
    monkeypatch.setattr(recording, "DEPTH", 16)
    fast = Publisher("z", Imu)
    slow = [Publisher(f"a{k}", Imu) for k in range(8)]
    held = record(patterns=["a*", "z"])
    for publisher in (*slow, fast):
        publisher.send(Imu())
    sent = 1
    add = Channels.add

    def slowly(self: Channels, end: Any, message: Any) -> None:
        nonlocal sent
        add(self, end, message)
        if end.name != "z":  # meanwhile, on the other one
            for _ in range(20):
                fast.send(Imu(accel_z=float(sent)))
                sent += 1
            held.recorder._took -= recording.LOOK  # and time goes by

    monkeypatch.setattr(Channels, "add", slowly)
    bag = held.finish()
    assert held.recorder.lost == {}
    assert sent == 1 + 8 * 20 and len(contents(bag)["z"]) == sent


def test_of_small_messages_publishers_keep_more_than_of_large_ones(record: Record) -> None:
    small, large = Publisher("small", Imu), Publisher("large")
    small.send(Imu())
    large.send(bytes(100_000))
    held = record(patterns=["small", "large"])
    for k in range(500):
        small.send(Imu(accel_z=float(k)))
    assert len(contents(held.finish())["small"]) == 500
    assert recording._depth("large") == recording.DEPTH


class Clock:
    """Time that goes by only when somebody waits, or is held up."""

    def __init__(self) -> None:
        self.now = 10**12

    def monotonic_ns(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(1, int(seconds * 1e9))


@pytest.mark.parametrize("speed", [1.0, 4.0])
def test_a_replay_that_was_held_up_catches_up_at_twice_the_rate_and_stamps_are_the_same(
    record: Record, imu: Publisher, monkeypatch: pytest.MonkeyPatch, speed: float
) -> None:
    first = record("first.mcap")
    for k in range(400):
        imu.send(Imu(accel_z=float(k)), 10**12 + k * 10 * MS)
        first.recorder.look()
    path = first.finish().path
    clock = Clock()
    monkeypatch.setattr(replaying, "time", clock)
    bag = Bag(path)
    bag.summary()
    replay = replaying.Replay(bag, ["imu"], {"imu": "again"}, speed)
    second = record("second.mcap", patterns=["again"])
    at: list[int] = []

    def show(_: float) -> None:
        at.append(clock.now)
        if len(at) == 100:
            clock.now += 1000 * MS  # the computer was busy elsewhere

    replay.run(0.0, None, lambda: False, show)
    gap = int(10 * MS / speed)
    steps = [b - a for a, b in pairwise(at)]
    assert set(steps[:98]) == {gap}
    late = steps[100:]
    assert min(late[5:]) >= gap // 2 - 1, "not all at once"
    if speed == 1.0:
        assert late[-1] == gap and at[-1] - at[0] == 399 * gap, "it has caught up"
    replay.close()
    again = contents(second.finish())["again"]
    stamps = [stamp for _, stamp in again]
    assert {b - a for a, b in pairwise(stamps)} == {gap}
