"""What a run tells other processes of its nodes, and only while somebody listens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import horus
from horus.bus import Subscriber, session
from horus.msgs import NodeStatus, ReaderStatus
from horus.scheduler import status


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[horus.Node]:
    """A node that runs in a scheduler on another thread until the end of the test."""
    monkeypatch.setattr(status.StatusThread.__init__, "__defaults__", (0.02,))
    node = horus.Node("steady", pubs="out", tick=lambda n: n.send("out", 1), rate=200)
    scheduler = horus.Scheduler().add(node)
    thread = threading.Thread(target=scheduler.run, args=(60,))
    thread.start()
    yield node
    scheduler.stop()
    thread.join()
    assert not any(t.name == "horus-status" for t in threading.enumerate())


def test_who_subscribes_gets_the_figures_of_each_node(
    running: horus.Node, wait_for: Callable[[Callable[[], object]], None]
) -> None:
    wait_for(lambda: running.info.tick_count() > 20)
    with closing(Subscriber(status.TOPIC, NodeStatus)) as subscriber:
        wait_for(lambda: subscriber.unread() > 1)
        told = subscriber.recv()
    assert (told.node, told.state, told.asked_rate) == ("steady", "running", 200)
    assert 20 < told.ticks <= running.info.tick_count()
    assert told.budget == pytest.approx(0.005)
    assert 0 < told.tick_p50 <= told.tick_p99 <= told.tick_max <= running.info.timing().tick.max
    assert told.rate == pytest.approx(200, rel=0.5)


def test_nothing_is_opened_while_nobody_listens_and_all_is_closed_when_nobody_does_any_more(
    running: horus.Node, wait_for: Callable[[Callable[[], object]], None]
) -> None:
    folder: Path = session.topics_dir() / status.TOPIC.replace("/", "~")
    ticks = running.info.tick_count()
    wait_for(lambda: running.info.tick_count() > ticks + 20)  # five looks
    assert not folder.exists()
    with closing(Subscriber(status.TOPIC, NodeStatus)) as subscriber:
        wait_for(subscriber.unread)
        assert folder.exists()
    wait_for(lambda: not folder.exists())


def test_who_asks_gets_how_each_node_keeps_up_with_what_it_reads(
    monkeypatch: pytest.MonkeyPatch, wait_for: Callable[[Callable[[], object]], None]
) -> None:
    monkeypatch.setattr(status.StatusThread.__init__, "__defaults__", (0.02,))
    lazy = horus.Node("lazy", subs=horus.Sub("fast", depth=4), tick=lambda n: None, rate=50)
    eager = horus.Node("eager", subs="fast", tick=lambda n: n.get_all("fast"), rate=50)
    source = horus.Node("source", pubs="fast", tick=lambda n: n.send("fast", 1), rate=500)
    scheduler = horus.Scheduler()
    for node in (lazy, eager, source):
        scheduler.add(node)
    thread = threading.Thread(target=scheduler.run, args=(60,))
    newest: dict[str, ReaderStatus] = {}
    with closing(Subscriber(status.READERS, ReaderStatus, depth=64)) as subscriber:
        thread.start()

        def both() -> bool:
            newest.update({told.node: told for told in subscriber.recv_all()})
            return newest.keys() == {"lazy", "eager"} and newest["eager"].age >= 0

        wait_for(both)
    scheduler.stop()
    thread.join()
    assert newest["lazy"].topic == newest["eager"].topic == "fast"
    assert newest["lazy"].age != newest["lazy"].age, "it has taken nothing"
    assert newest["eager"].age < 30


def test_a_simulated_run_tells_nothing() -> None:
    clock, found = horus.SimClock(), []
    node = horus.Node("n", tick=lambda n: found.extend(threading.enumerate()), rate=10)
    horus.Scheduler(clock=clock).add(node).run(0.1)
    assert not any(thread.name == "horus-status" for thread in found)
