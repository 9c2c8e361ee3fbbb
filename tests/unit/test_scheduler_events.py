"""Nodes that messages call (``on=``): when, in which order, how often, on which thread."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

import horus
from horus.clock import now_ns
from horus.scheduler.clock import SimClock


def sending(name, topic, **options):
    """Return a node that sends its tick's number at each tick."""
    return horus.Node(
        name, pubs=topic, tick=lambda node: node.send(topic, node.info.tick_count()), **options
    )


def noting(name, topic, log, **options):
    """Return a node that messages call; it notes its name and all it gets."""
    return horus.Node(
        name, subs=topic, on=topic, tick=lambda n: log.append((name, n.get_all(topic))), **options
    )


# options ------------------------------------------------------------------------------------------


def test_a_topic_that_is_not_in_subs_is_refused_with_the_likely_one():
    with pytest.raises(horus.UndeclaredTopicError, match=r"did you mean 'camera'\?"):
        horus.Node("eye", subs=["camera", "imu"], on="camra")
    with pytest.raises(KeyError, match="declared subs: none"):
        horus.Node("eye", on="camera")


@pytest.mark.parametrize("on", [5, [5], b"imu", {"imu": 1}])
def test_what_is_no_topic_is_refused(on):
    with pytest.raises(TypeError, match=r"node 'n': on (is|holds)"):
        horus.Node("n", subs="imu", on=on)
    with pytest.raises(ValueError, match="on is empty"):
        horus.Node("n", subs="imu", on=[])
    with pytest.raises(ValueError, match="on='imu' calls tick, and there is none"):
        horus.Node("n", subs="imu", on="imu")


def test_a_sub_in_on_declares_the_topic():
    node = horus.Node(subs="imu", on=[horus.Sub("scan", depth=2), "imu"], tick=print)
    assert node.get_subscribers() == ["imu", "scan"]
    with pytest.raises(ValueError, match="in on and"):
        horus.Node(subs="imu", on=horus.Sub("imu", depth=2))


def test_the_rate_is_0_unless_given():
    assert horus.Node(subs="a", on="a", tick=print).rate == 0.0
    assert horus.Node(subs="a", on="a", tick=print, rate=5).rate == 5.0
    assert horus.Node().rate == 30.0


# in simulated time --------------------------------------------------------------------------------


def test_it_ticks_right_after_the_node_that_sent(clock):
    log = []
    source = horus.Node(
        "source", pubs="a", tick=lambda n: (log.append("source"), n.send("a", 1)), rate=10
    )
    other = horus.Node("other", tick=lambda n: log.append("other"), rate=10)
    sink = horus.Node("sink", subs="a", on="a", tick=lambda n: log.append(n.get("a")))
    horus.Scheduler(clock=clock).add(sink, source, other).run(0.25)
    assert log == ["source", 1, "other"] * 3
    assert sink.info.tick_count() == 3


def test_a_timed_node_of_a_lower_order_that_is_due_goes_first(clock):
    log = []
    first = horus.Node("first", tick=lambda n: log.append("first"), rate=10, order=2)
    source = sending("source", "a", rate=10, order=1)
    horus.Scheduler(clock=clock).add(noting("sink", "a", log), first, source).run(0.15)
    assert log == ["first", ("sink", [0]), "first", ("sink", [1])]


def test_a_chain_goes_through_in_order_at_one_moment(clock):
    times = []

    def relay(source, target):
        def tick(node):
            times.append((node.name, round(clock.seconds * 1e3)))
            node.send(target, node.get(source))

        return horus.Node(f"to {target}".replace(" ", "_"), pubs=target, subs=source, on=source,
                          tick=tick)  # fmt: skip

    log = []
    nodes = [sending("source", "a", rate=10), relay("a", "b"), relay("b", "c"),
             noting("sink", "c", log)]  # fmt: skip
    horus.Scheduler(clock=clock).add(nodes).run(0.15)
    assert [message for _, message in log] == [[0], [1]]
    assert times == [("to_b", 0), ("to_c", 0), ("to_b", 100), ("to_c", 100)]


def test_what_a_tick_leaves_calls_it_again(clock):
    log = []
    sink = horus.Node("sink", subs="a", on="a", tick=lambda n: log.append(n.get("a")))
    source = horus.Node(
        "source", pubs="a", tick=lambda n: [n.send("a", x) for x in range(3)], rate=1
    )
    horus.Scheduler(clock=clock).add(sink, source).run(0.5)
    assert log == [0, 1, 2]


def test_a_tick_that_reads_nothing_is_called_for_each_new_message_only_and_told_so(clock, caplog):
    log = []
    sink = horus.Node("sink", subs="a", on="a", tick=log.append)
    horus.Scheduler(clock=clock).add(sink, sending("source", "a", rate=10)).run(0.45)
    assert len(log) == 5
    told = [r.message for r in caplog.records if "did not read it" in r.message]
    assert len(told) == 1
    assert "'a'" in told[0]


def test_a_rate_is_a_heartbeat_counted_from_the_last_tick(clock):
    times, start = [], clock.now_ns

    def tick(node):
        times.append((round((clock.now_ns - start) * 1e-6), node.get("a")))

    source = horus.Node("source", pubs="a", rate=1 / 0.35)
    source._node_calls.tick = lambda n: n.info.tick_count() == 1 and n.send("a", "news")
    sink = horus.Node("sink", subs="a", on="a", tick=tick, rate=10)
    horus.Scheduler(clock=clock).add(sink, source).run(0.6)
    assert times == [
        (100, None), (200, None), (300, None), (350, "news"), (450, None), (550, None)
    ]  # fmt: skip


def test_a_heartbeat_can_be_changed(clock):
    log = []
    scheduler = horus.Scheduler(clock=clock).add(noting("sink", "a", log))
    scheduler.set_node_rate("sink", 10)
    scheduler.run(0.55)
    assert len(log) == 5


def test_it_does_not_shift_the_grid_of_the_others(clock):
    times, start = [], clock.now_ns
    timed = horus.Node("timed", tick=lambda n: times.append(clock.now_ns - start), rate=1000)
    busy = noting("busy", "a", [])
    horus.Scheduler(clock=clock).add(timed, busy, sending("source", "a", rate=777)).run(1.0)
    assert len(times) == 1000
    assert max(t % 1_000_000 for t in times) <= 2000
    assert timed.info.overruns() == 0


def test_one_that_is_flooded_does_not_starve_the_grid(clock):
    count = [0]

    def flood(node):  # it calls itself for ever
        node.get_all("a")
        node.send("a", 1)
        clock.advance(0.001)

    timed = horus.Node("timed", tick=lambda n: count.__setitem__(0, count[0] + 1), rate=100)
    echo = horus.Node("echo", pubs="a", subs="a", on="a", tick=flood, rate=100)
    horus.Scheduler(clock=clock).add(timed, echo).run(1.0)
    assert count[0] == pytest.approx(100, abs=2)
    assert echo.info.tick_count() > 500


def test_two_runs_in_simulated_time_are_equal():
    logs = []
    for _ in range(2):
        nodes_log, clock = [], SimClock()

        def note(node, log=nodes_log, clock=clock):
            log.append((node.name, clock.monotonic_ns(), node.get_all("a")))

        nodes = [
            horus.Node(n, subs="a", on="a", tick=note, order=order)
            for n, order in (("x", 2), ("y", 1), ("z", 3))
        ]
        horus.Scheduler(clock=clock).add(nodes, sending("s", "a", rate=333.3)).run(0.5)
        logs.append(nodes_log)
    assert logs[0] == logs[1]
    assert [name for name, _, _ in logs[0][:6]] == ["y", "x", "z"] * 2


def test_stepping_calls_it_after_the_node_that_sent(clock):
    log = []
    with horus.Scheduler(clock=clock) as scheduler:
        scheduler.add(noting("sink", "a", log), sending("source", "a"))
        scheduler.tick_once()
        scheduler.tick_once()
        assert log == [("sink", [0]), ("sink", [1])]
    with horus.Scheduler(clock=clock) as scheduler:
        scheduler.add(noting("alone", "b", log))
        scheduler.tick_once()
        horus.Node(pubs="b").send("b", 7)
        scheduler.tick_once()
        assert log[2:] == [("alone", [7])]


def test_advancing_keeps_what_it_was_called_for(clock):
    log = []
    with horus.Scheduler(clock=clock) as scheduler:
        scheduler.add(noting("sink", "a", log), sending("source", "a", rate=10))
        for _ in range(10):
            scheduler.advance(0.05)
    assert [message for _, message in log] == [[0], [1], [2], [3], [4]]


# failures -----------------------------------------------------------------------------------------


def failing_on(numbers, log):
    def tick(node):
        number = node.get("a")
        log.append(number)
        if number in numbers:
            raise ValueError("broken")

    return tick


def test_fatal_ends_the_run(clock):
    sink = horus.Node("sink", subs="a", on="a", tick=failing_on({1}, []))
    with pytest.raises(ValueError, match="broken"):
        horus.Scheduler(clock=clock).add(sink, sending("source", "a", rate=10)).run(1.0)
    assert sink.info.state == horus.NodeState.CRASHED


def test_restart_comes_after_its_pause_and_messages_wait_for_it(clock):
    log = []
    sink = horus.Node(
        "sink",
        subs="a",
        on="a",
        tick=failing_on({1}, log),
        init=lambda n: log.append(("init", round(clock.seconds * 1e3) % 1000)),
        failure_policy="restart",
        restart_delay=0.25,
    )
    horus.Scheduler(clock=clock).add(sink, sending("source", "a", rate=10)).run(0.55)
    assert log == [("init", 0), 0, 1, ("init", 350), 2, 3, 4, 5]
    assert sink.info.restarts() == 1


def test_skip_rests_after_five_in_a_row(clock):
    log = []
    sink = horus.Node(
        "sink", subs="a", on="a", tick=failing_on(set(range(5)), log), failure_policy="skip"
    )
    horus.Scheduler(clock=clock).add(sink, sending("source", "a", rate=10)).run(1.65)
    assert log == list(range(17)), "nothing was lost while it rested for 1 s"
    assert sink.info.failed_ticks() == 5
    assert sink.info.tick_count() == 17


def test_ignore_and_on_error_go_on(clock):
    for options in ({"failure_policy": "ignore"}, {"on_error": lambda node, error: None}):
        log = []
        sink = horus.Node("sink", subs="a", on="a", tick=failing_on({0, 2}, log), **options)
        horus.Scheduler(clock=clock).add(sink, sending("source", "a", rate=10)).run(0.35)
        assert log == [0, 1, 2, 3]
        assert sink.info.failed_ticks() == 2


def test_a_tick_that_raises_before_it_reads_is_not_called_in_a_circle(clock):
    def tick(node):
        raise ValueError("broken")

    sink = horus.Node("sink", subs="a", on="a", tick=tick, failure_policy="ignore")
    horus.Scheduler(clock=clock).add(sink, sending("source", "a", rate=10)).run(0.35)
    assert sink.info.tick_count() == 4


# in real time -------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"thread": True}])
def test_a_message_from_another_thread_wakes_a_sleeping_run(options, wait_for):
    log, sent = [], {}

    def tick(node):
        log.extend((number, now_ns() - sent[number]) for number in node.get_all("a"))

    sink = horus.Node("sink", subs="a", on="a", tick=tick, **options)
    scheduler = horus.Scheduler().add(sink)
    thread = threading.Thread(target=scheduler.run)
    thread.start()
    source = horus.Node(pubs="a")
    try:
        wait_for(lambda: scheduler.running and sink.info.state == horus.NodeState.RUNNING)
        for number in range(20):
            sent[number] = now_ns()
            source.send("a", number)
            wait_for(lambda: len(log) > number)  # noqa: B023
    finally:
        scheduler.stop()
        thread.join(30)
    assert [number for number, _ in log] == list(range(20))
    quickest = min(age for _, age in log)
    assert quickest < 10_000_000, "woken, not found by looking every 20 ms"


def test_a_message_from_another_process_wakes_it(wait_for):
    code = """
import sys, horus
node = horus.Node(pubs="a")
node.open_topics()
for line in sys.stdin:
    node.send("a", int(line))
"""
    log = []
    sink = noting("sink", "a", log)
    scheduler = horus.Scheduler().add(sink)
    thread = threading.Thread(target=scheduler.run)
    thread.start()
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True) as child:
        try:
            for number in range(5):
                child.stdin.write(f"{number}\n")
                child.stdin.flush()
                wait_for(lambda: len(log) > number)  # noqa: B023
        finally:
            child.stdin.close()
            scheduler.stop()
            thread.join(30)
    assert [message for _, message in log] == [[0], [1], [2], [3], [4]]


def test_nothing_is_polled_while_it_waits(monkeypatch):
    from horus.scheduler.watch import Watch

    looks = []
    ready = Watch.ready
    monkeypatch.setattr(Watch, "ready", lambda watch: looks.append(1) or ready(watch))
    began = time.monotonic()
    horus.run(noting("sink", "a", []), duration=0.3)
    slices = (time.monotonic() - began) / 0.02
    assert len(looks) < 4 * slices + 10


def test_topics_closed_by_the_node_are_opened_again(clock):
    log = []

    def tick(node):
        log.append(node.get_all("a"))
        node.close_topics()

    sink = horus.Node("sink", subs="a", on="a", tick=tick)
    horus.Scheduler(clock=clock).add(sink, sending("source", "a", rate=10)).run(0.35)
    assert len(log) >= 2
