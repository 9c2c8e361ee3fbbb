"""What tools see of a topic without taking part in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from horus.bus import Publisher, Subscriber, session
from horus.bus.leftovers import topic_ends
from horus.bus.observer import NoSuchTopic, Observer, folder_of
from horus.bus.probe import Probe, state_of
from horus.cli import fields
from horus.msgs import MotorCommand


def test_an_observer_changes_nothing_and_hears_everything():
    publisher = Publisher("x")
    publisher.send(1)
    folder = folder_of("x")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    observer = Observer("x", latch=True)
    assert (folder / "control").read_bytes() == before["control"]
    assert topic_ends(session.topics_dir())["x"].readers == ()
    assert (observer.recv(), observer.recv()) == (1, None)
    for number in range(100):
        publisher.send(number)
    got = observer.recv_all()
    assert got == list(range(100 - len(got), 100)) and len(got) > 16
    assert observer.dropped == 100 - len(got)
    assert state_of(folder).depth == 0
    publisher.send(b"x" * 10_000)  # a new part
    assert len(observer.recv()) == 10_000


def test_an_observer_notices_that_a_topic_was_made_anew():
    publisher = Publisher("x")
    observer = Observer("x")
    assert not observer.gone and observer.publishers == 1
    publisher.close()
    assert observer.gone and observer.publishers == 0
    Publisher("x").send(1)
    assert observer.gone


def test_a_topic_that_is_not_there_is_not_made():
    subscriber = Subscriber("imu")
    with pytest.raises(NoSuchTopic, match="did you mean 'imu'"):
        Observer("imo")
    subscriber.close()
    assert not (session.topics_dir() / "imo").exists()


def test_a_probe_counts_what_it_does_not_see():
    publisher = Publisher("wheel.command", MotorCommand)
    publisher.send(MotorCommand(velocity=1.0))
    probe = Probe(folder_of("wheel.command"))
    assert (probe.count, probe.newest.size) == (0, MotorCommand.__horus_spec__.size)
    for _ in range(500):
        publisher.send(MotorCommand())
    found = probe.take()
    assert probe.count == 500 and 0 < len(found) < 64
    assert found == sorted(found)
    other = Publisher("wheel.command", MotorCommand)
    other.send(MotorCommand())
    assert len(probe.take()) == 1
    other.close(), publisher.close()
    assert probe.take() == []


def test_long_values_are_shortened_for_people():
    message = {"a": np.arange(1000), "b": "x" * 500, "c": float("nan"), "d": b"\x01\xff"}
    found = fields.plain(message)
    assert found["a"] == [0, 1, 2, 3, 4, 5, 6, 7, "... 992 more"]
    assert found["b"].endswith("x... 300 more")
    assert (found["c"], found["d"]) == (None, "01ff")
    whole = fields.plain(message, full=True)
    assert len(whole["a"]) == 1000 and len(whole["b"]) == 500


def test_a_field_is_picked_by_its_path():
    message = {"pose": {"x": 1.5}, "ranges": np.array([1.0, 2.0])}
    assert fields.at(message, "pose.x") == 1.5
    assert fields.at(message, "ranges.1") == 2.0
    for path, text in (
        ("pos", "did you mean 'pose'"),
        ("pose.y", "no field 'y' in pose; it has x"),
        ("ranges.7", "0 to 1"),
        ("pose.x.z", "no fields"),
    ):
        with pytest.raises(ValueError, match=text):
            fields.at(message, path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(shm: Path):
    Publisher("x")
    session.topics_dir().chmod(0)
    try:
        with pytest.raises(OSError, match="belongs to"):
            folder_of("y")
    finally:
        session.topics_dir().chmod(stat.S_IRWXU)
