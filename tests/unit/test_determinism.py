"""The same robot with the same seed sends the same bytes, in every process; another seed others."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import horus
from horus.bus import Publisher, Subscriber

#: Runs a robot and prints a hash over every message on every topic, as it is in memory.
ROBOT = '''
import hashlib, random, struct, sys
from pathlib import Path
import horus
from horus.bus import layout as L, rings, session
from horus.hardware.simrobot import SimRobot

def noise(node):
    node.send("noise", {"own": node.random.random(), "all": random.random()})
    node.send("both", [node.name, float(node.rng.normal())])

def threaded(node):
    node.send("both", [node.name, node.random.getrandbits(32), node.get_all("noise")])

def called(node):
    node.send("answers", [[m, node.random.random()] for m in node.get_all("both")])

nodes = [horus.Node("noise", ["noise", "both"], tick=noise, rate=100),
         horus.Node("threaded", "both", "noise", threaded, 50, thread=True),
         horus.Node("called", "answers", on=["both"], subs=["both"], tick=called)]
if "more" in sys.argv:
    nodes.insert(0, horus.Node("more", tick=lambda node: node.random.random(), rate=70))
seen, total, count = {}, hashlib.sha256(), {}

def take():
    """Add what is new in every ring, its publisher by its place among those of its topic."""
    for folder in sorted(session.topics_dir().iterdir()):
        if not folder.is_dir():
            continue
        for place, ring in enumerate(rings.ring_files(folder)):
            data = ring.path.read_bytes()
            slots, stride = struct.unpack_from("<II", data, L.RING_SLOTS)
            end, = struct.unpack_from("<Q", data, L.RING_NEXT)
            begin = seen.get(ring.publisher, 0)
            assert end - begin < slots, (folder.name, end, begin, slots)
            for number in range(begin, end):
                at = L.RING_HEADER + number % slots * stride
                stamp, kind, length = struct.unpack_from("<QQI", data, at + L.SLOT_STAMP)
                whole = data[at + L.SLOT_HEADER : at + L.SLOT_HEADER + length]
                total.update(repr((folder.name, place, number, stamp, whole)).encode())
                count[folder.name] = count.get(folder.name, 0) + 1
            seen[ring.publisher] = end

with SimRobot(sys.argv[1], seed=int(sys.argv[2]), nodes=nodes) as robot:
    for _ in range(60):
        robot.run(0.05)
        take()
assert count["noise"] > 290 and count["both"] > 430 and count["answers"] > 290, count
assert count["imu"] > 200 and count["left_wheel.state"] > 50, count
print(total.hexdigest())
'''
ROVER = Path(__file__).parents[2] / "examples" / "rover"


def fingerprint(seed: int, hash_seed: int, *more: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", ROBOT, str(ROVER), str(seed), *more],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_robot_repeats_to_the_last_byte_in_another_process_and_not_with_another_seed() -> None:
    first = fingerprint(7, 1)
    assert fingerprint(7, 2) == first
    assert fingerprint(7, 3, "more") == first  # another node changes nobody's numbers
    assert fingerprint(8, 1) != first


def test_messages_with_one_stamp_come_in_the_order_in_which_publishers_were_opened() -> None:
    for turn in range(20):
        topic = f"topic_{turn}"
        publishers = [Publisher(topic) for _ in range(4)]
        subscriber = Subscriber(topic)
        for number, publisher in reversed(list(enumerate(publishers))):
            publisher.send(number, 1000)
        assert subscriber.recv_all() == [0, 1, 2, 3]


def drawn(name: str, seed: int | None) -> list[float]:
    found: list[float] = []

    def tick(node: horus.Node) -> None:
        found.extend((node.random.random(), float(node.rng.random()), random.random()))

    node = horus.Node(name, tick=tick, rate=10)
    horus.Scheduler(clock=horus.SimClock(), seed=seed).add(node).run(0.3)
    return found


def test_a_nodes_numbers_follow_from_the_seed_and_its_name() -> None:
    state = random.getstate()
    try:
        once = drawn("a", 7)
        assert len(set(once)) == 9
        assert drawn("a", 7) == once
        other, another = drawn("b", 7), drawn("a", 8)
        assert set(other) & set(once) == set(once[2::3])  # Python's own are everybody's
        assert not set(another) & set(once)
        assert not set(drawn("a", None)[:2]) & set(once)
    finally:
        random.setstate(state)


def test_nodes_without_a_name_have_the_numbers_of_their_place_among_such_nodes() -> None:
    state, found = random.getstate(), []
    try:
        for more in (0, 1):
            nodes = [horus.Node(tick=lambda n: n.random.random(), rate=10) for _ in range(2)]
            scheduler = horus.Scheduler(clock=horus.SimClock(), seed=7)
            scheduler.add([horus.Node("more") for _ in range(more)], nodes).run(0.3)
            found.append([(n.random.random(), float(n.rng.random())) for n in nodes])
    finally:
        random.setstate(state)
    assert found[0] == found[1]
    assert len({number for numbers in found[0] for number in numbers}) == 4


def test_every_run_begins_anew_for_generators_that_are_kept_too() -> None:
    node = horus.Node("n", tick=lambda n: None, rate=10)
    mine, theirs = node.random, node.rng
    scheduler = horus.Scheduler(clock=horus.SimClock(), seed=3).add(node)
    state, found = random.getstate(), []
    try:
        for _ in range(2):
            scheduler.run(0.1)
            found.append((mine.random(), float(theirs.normal())))
    finally:
        random.setstate(state)
    assert found[0] == found[1]
    assert node.random is mine
    assert node.rng is theirs


def test_numpys_own_numbers_are_seeded_where_it_is_loaded() -> None:
    numpy = pytest.importorskip("numpy")
    before, state = random.getstate(), numpy.random.get_state()
    try:
        found = []
        for seed in (5, 5, -6):
            horus.Scheduler(clock=horus.SimClock(), seed=seed).add(horus.Node("n")).run(0.1)
            found.append(float(numpy.random.random()))
    finally:
        random.setstate(before)
        numpy.random.set_state(state)
    assert found[0] == found[1] != found[2]


def test_a_seed_that_is_no_number_is_refused() -> None:
    with pytest.raises(TypeError, match="Scheduler: seed is 'x'; it must be a whole number"):
        horus.Scheduler(seed="x")  # type: ignore[arg-type]
