"""Nodes whose tick is ``async def``: many on one event loop, none blocks another."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

import horus
from horus.scheduler.clock import SimClock

# one event loop -----------------------------------------------------------------------------------


def test_ticks_that_await_run_beside_each_other_and_beside_timed_ones():
    at_once, most = [0], [0]
    threads = set()

    async def tick(node):
        threads.add(threading.current_thread())
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        await asyncio.sleep(0.02)
        at_once[0] -= 1

    beside = []

    def timed(node):
        beside.append(at_once[0])
        if beside.count(10) > 5:  # it ticks while all of them wait
            node.request_stop()

    nodes = [horus.Node(f"n{i}", tick=tick, rate=100) for i in range(10)]
    horus.run(nodes, horus.Node("timed", tick=timed, rate=500), duration=30)
    assert most[0] == 10
    assert beside.count(10) > 5
    assert len(threads) == 1
    assert threading.current_thread() not in threads


def test_a_tick_that_is_due_while_the_last_one_runs_is_skipped_and_counted(clock):
    times, start = [], clock.now_ns

    async def tick(node):
        times.append(round((clock.now_ns - start) * 1e-6))
        await asyncio.sleep(0.025 if len(times) == 2 else 0)

    node = horus.Node("n", tick=tick, rate=100)
    horus.Scheduler(clock=clock).add(node).run(0.055)
    assert times == [0, 10, 40, 50]
    assert node.info.overruns() == 2
    assert node.info.tick_count() == 4
    assert node.info.max_tick_duration_ms() == pytest.approx(25, abs=0.1)


def test_one_that_is_always_too_slow_is_told_so_once(clock, caplog):
    async def tick(node):
        await asyncio.sleep(0.035)

    node = horus.Node("slow", tick=tick, rate=100)
    horus.Scheduler(clock=clock).add(node).run(5.0)
    assert caplog.text.count("too slow for its rate: a tick takes 35") == 1


def test_all_functions_share_the_event_loop_and_what_they_began_goes_on(wait_for):
    loops, threads, log = set(), set(), []

    async def background(node):
        while True:
            log.append("background")
            await asyncio.sleep(0.005)

    async def init(node):
        loops.add(asyncio.get_running_loop())
        node.task = asyncio.create_task(background(node))

    async def tick(node):
        loops.add(asyncio.get_running_loop())
        threads.add(threading.current_thread())
        if log.count("background") > 5:
            node.request_stop()

    def shutdown(node):
        loops.add(asyncio.get_running_loop())

    horus.run(horus.Node("n", init=init, tick=tick, shutdown=shutdown, rate=50), duration=30)
    assert len(loops) == 1
    assert log.count("background") > 5
    wait_for(lambda: not any(thread.is_alive() for thread in threads))


def test_a_message_calls_an_async_node():
    log = []

    async def tick(node):
        await asyncio.sleep(0.001)
        log.extend(node.get_all("a"))
        if len(log) == 5:
            node.request_stop()

    sink = horus.Node("sink", subs="a", on="a", tick=tick)
    source = horus.Node("source", pubs="a", rate=100)
    source._node_calls.tick = lambda n: n.info.tick_count() < 5 and n.send("a", n.info.tick_count())
    horus.run(sink, source, duration=30)
    assert log == [0, 1, 2, 3, 4]


def test_what_makes_no_sense_is_refused():
    async def tick(node):
        pass

    with pytest.raises(ValueError, match="node 'n': thread=True with an async tick"):
        horus.Node("n", tick=tick, thread=True)


# simulated time -----------------------------------------------------------------------------------


def test_asyncio_sleeps_in_simulated_time_and_every_run_is_the_same():
    logs = []
    for _ in range(2):
        log, clock = [], SimClock()

        async def tick(node, log=log, clock=clock):
            log.append((node.name, "begins", clock.seconds))
            await asyncio.sleep(0.3 if node.name == "x" else 0.4)
            node.send("a", node.name)
            log.append((node.name, "ends", clock.seconds))

        def hear(node, log=log, clock=clock):
            log.append((node.get("a"), "is heard", clock.seconds))

        nodes = [horus.Node(name, pubs="a", tick=tick, rate=1) for name in "xy"]
        nodes.append(horus.Node("sink", subs="a", on="a", tick=hear))
        began = time.monotonic()
        horus.Scheduler(clock=clock).add(nodes).run(100)
        assert time.monotonic() - began < 30
        logs.append(log)
    assert logs[0] == logs[1]
    assert len(logs[0]) == 600
    assert [(name, what, pytest.approx(at, abs=1e-5)) for name, what, at in logs[0][:6]] == [
        ("x", "begins", 0.0),
        ("y", "begins", 0.0),
        ("x", "ends", 0.3),
        ("x", "is heard", 0.3),
        ("y", "ends", 0.4),
        ("y", "is heard", 0.4),
    ]


def test_stepped_in_simulated_time_a_tick_goes_on_when_time_has_passed():
    log, clock = [], SimClock()

    async def tick(node):
        log.append("begins")
        await asyncio.sleep(0.1)
        log.append("ends")

    with horus.Scheduler(clock=clock) as scheduler:
        scheduler.add(horus.Node("n", tick=tick))
        scheduler.tick_once()
        scheduler.tick_once()
        assert log == ["begins"]
        clock.advance(0.2)
        scheduler.tick_once()
        assert log == ["begins", "ends", "begins"]
    with horus.Scheduler(clock=clock) as scheduler:
        scheduler.add(horus.Node("n", tick=tick, rate=5))
        log.clear()
        for _ in range(9):
            scheduler.advance(0.05)
        assert log == ["begins", "ends"] * 2 + ["begins"]


# failures -----------------------------------------------------------------------------------------


def failing(turn, log):
    async def tick(node):
        log.append("tick")
        await asyncio.sleep(0)
        if log.count("tick") == turn:
            raise ValueError("broken")

    return tick


def test_fatal_raises_the_original(clock):
    log = []
    node = horus.Node("n", tick=failing(3, log), rate=100, shutdown=lambda n: log.append("end"))
    with pytest.raises(ValueError, match="broken"):
        horus.Scheduler(clock=clock).add(node).run(1.0)
    assert log == ["tick"] * 3 + ["end"]
    assert node.info.state == horus.NodeState.CRASHED
    with pytest.raises(ValueError, match="broken"):
        horus.run(horus.Node("n", tick=failing(3, []), rate=1000), duration=30)


def test_restart_awaits_shutdown_and_init_with_a_growing_pause(clock):
    log, start = [], clock.now_ns

    def at(what):
        async def note(node):
            await asyncio.sleep(0.001)
            log.append((what, round((clock.now_ns - start) * 1e-6)))

        return note

    async def tick(node):
        log.append(("tick", round((clock.now_ns - start) * 1e-6)))
        if len([entry for entry in log if entry[0] == "tick"]) == 2:
            raise ValueError("broken")

    node = horus.Node(
        "n", tick=tick, init=at("init"), shutdown=at("stop"), rate=100, failure_policy="restart"
    )
    horus.Scheduler(clock=clock).add(node).run(0.15)
    assert [what for what, _ in log][:6] == ["init", "tick", "tick", "stop", "init", "tick"]
    times = [at for _, at in log]
    assert times[4] - times[3] == pytest.approx(100, abs=12)
    assert node.info.restarts() == 1


def test_restarts_have_a_limit_also_for_init(clock):
    inits = []

    async def init(node):
        inits.append(node)
        if len(inits) > 1:
            raise OSError("no device")

    async def tick(node):
        raise ValueError("broken")

    node = horus.Node(
        "n", tick=tick, init=init, rate=100, failure_policy="restart", max_restarts=2,
        restart_delay=0.01,
    )  # fmt: skip
    with pytest.raises(OSError, match="no device"):
        horus.Scheduler(clock=clock).add(node).run(10.0)
    assert len(inits) == 3


def test_an_init_that_fails_at_first_is_tried_again(clock):
    inits, ticks = [], []

    async def init(node):
        inits.append(node)
        if len(inits) < 3:
            raise OSError("no device")

    async def tick(node):
        ticks.append(node)

    node = horus.Node("n", tick=tick, init=init, rate=100, failure_policy="restart")
    horus.Scheduler(clock=clock).add(node).run(1.0)
    assert len(inits) == 3
    assert ticks


def test_skip_rests_after_five_in_a_row(clock):
    times, start = [], clock.now_ns

    async def tick(node):
        times.append(round((clock.now_ns - start) * 1e-6))
        if len(times) <= 5:
            raise ValueError("broken")

    node = horus.Node("n", tick=tick, rate=100, failure_policy="skip")
    horus.Scheduler(clock=clock).add(node).run(1.075)
    assert times[:5] == [0, 10, 20, 30, 40]
    assert times[5] == pytest.approx(1040, abs=11)
    assert node.info.failed_ticks() == 5


def test_ignore_and_an_async_on_error_go_on(clock):
    log, seen = [], []
    node = horus.Node("n", tick=failing(2, log), rate=100, failure_policy="ignore")
    horus.Scheduler(clock=clock).add(node).run(0.1)
    assert (len(log), node.info.failed_ticks()) == (10, 1)

    async def on_error(node, error):
        await asyncio.sleep(0.001)
        seen.append(str(error))

    node = horus.Node("n", tick=failing(2, []), rate=100, on_error=on_error)
    horus.Scheduler(clock=clock).add(node).run(0.1)
    assert seen == ["broken"]
    assert (node.info.tick_count(), node.info.failed_ticks()) == (10, 1)


@pytest.mark.parametrize("leave", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_a_tick_is_never_swallowed(leave):
    async def tick(node):
        raise leave

    log = []
    with pytest.raises(leave):
        horus.run(horus.Node("n", tick=tick, shutdown=lambda n: log.append("end")), duration=30)
    assert log == ["end"]


# the end ------------------------------------------------------------------------------------------


def test_a_tick_that_waits_is_cancelled_at_the_stop_and_shut_down(wait_for):
    log = []

    async def tick(node):
        try:
            log.append("waits")
            await asyncio.sleep(3600)
        finally:
            log.append("cancelled")

    async def shutdown(node):
        await asyncio.sleep(0.001)
        log.append("shutdown")

    node = horus.Node("n", tick=tick, shutdown=shutdown)
    horus.run(node, duration=0.05)
    assert log == ["waits", "cancelled", "shutdown"]
    assert node.info.failed_ticks() == 1
    assert node.info.error_count() == 0
    assert node.info.state == horus.NodeState.STOPPED


def test_a_tick_that_blocks_the_event_loop_does_not_keep_the_run_from_ending(caplog, monkeypatch):
    monkeypatch.setattr("horus.scheduler.places.THREAD_STOP", 0.05)
    monkeypatch.setattr("horus.scheduler.coroutines.ANSWER_TIME", 0.05)
    go_on, log, begun = threading.Event(), [], threading.Event()

    async def block(node):
        begun.set()
        go_on.wait(30)

    async def tick(node):
        pass

    def stop_when_blocked(node):
        if begun.is_set():
            node.request_stop()

    try:
        horus.run(
            horus.Node("blocks", tick=block),
            horus.Node("other", tick=tick, shutdown=log.append),
            horus.Node("timed", tick=stop_when_blocked, shutdown=lambda n: log.append("timed")),
            duration=30,
        )
        assert log == ["timed"]
        assert "its tick has not ended within 0.05 s; its shutdown is left out" in caplog.text
    finally:
        go_on.set()


def test_an_actuator_is_made_safe_after_its_async_tick():
    log, begun = [], threading.Event()

    class Motor(horus.Node):
        is_actuator = True

        def safe(self):
            log.append("safe")

    async def tick(node):
        begun.set()
        await asyncio.sleep(0.1)
        log.append("command")

    motor = Motor("m", tick=tick, rate=1000)
    watch = horus.Node("w", tick=lambda n: begun.is_set() and n.request_stop(), rate=1000)
    horus.run(motor, watch, duration=30)
    assert log == ["command", "safe"]


@pytest.mark.parametrize("seconds", [0.1, 3600])
def test_in_simulated_time_what_a_node_began_has_its_time_to_clean_up(seconds):
    log, clock = [], SimClock()

    async def background():
        try:
            await asyncio.sleep(1e6)
        finally:
            await asyncio.sleep(seconds)
            log.append("cleaned up")

    async def tick(node):
        if node.info.tick_count() == 0:
            node.background = asyncio.create_task(background())

    scheduler = horus.Scheduler(clock=clock).add(horus.Node("n", tick=tick, rate=10))
    thread = threading.Thread(target=lambda: scheduler.run(1), daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive(), "the stop does not end"
    assert log == ["cleaned up"] * (seconds < 1)
    assert clock.seconds < 3


def test_in_simulated_time_a_tick_ramps_down_when_it_is_cancelled():
    logs = []
    for _ in range(2):
        log, clock = [], SimClock()

        async def tick(node, log=log, clock=clock):
            try:
                await asyncio.sleep(100)
            finally:
                await asyncio.sleep(0.1)
                log.append(("ramped down", clock.monotonic_ns()))

        async def shutdown(node, log=log, clock=clock):
            log.append(("shutdown", clock.monotonic_ns()))

        horus.Scheduler(clock=clock).add(horus.Node("n", tick=tick, shutdown=shutdown)).run(1)
        logs.append(log)
    assert [what for what, _ in logs[0]] == ["ramped down", "shutdown"]
    assert logs[0][0][1] == pytest.approx(2_100_000_000, abs=100_000)
    assert logs[0] == logs[1]


def test_in_simulated_time_a_tick_that_waits_for_a_thread_ends_in_real_time():
    log = []

    async def tick(node):
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.to_thread(time.sleep, 0.05)
            log.append("ended")

    horus.Scheduler(clock=SimClock()).add(horus.Node("n", tick=tick)).run(1)
    assert log == ["ended"]


# limits -------------------------------------------------------------------------------------------


def test_limits_hold_for_async_ticks(clock):
    async def tick(node):
        await asyncio.sleep(0.006 if node.info.tick_count() == 1 else 0.0)

    node = horus.Node("n", tick=tick, rate=100, budget=0.005, deadline=0.005, on_miss="skip")
    horus.Scheduler(clock=clock).add(node).run(0.055)
    assert (node.info.over_budget(), node.info.deadline_misses()) == (1, 1)
    assert (node.info.tick_count(), node.info.overruns()) == (5, 1)


def test_the_watchdog_names_where_a_coroutine_waits(caplog, wait_for):
    async def dig_in(node):
        await asyncio.sleep(3600)

    node = horus.Node("n", tick=dig_in, watchdog=0.03)
    scheduler = horus.Scheduler().add(node)
    thread = threading.Thread(target=scheduler.run)
    thread.start()
    wait_for(lambda: "hangs" in caplog.text)
    scheduler.stop()
    thread.join(30)
    assert "in dig_in" in caplog.text
    assert "cannot be left" not in caplog.text


def test_an_async_shutdown_that_never_returns_is_left(caplog):
    async def tick(node):
        pass

    async def shutdown(node):
        await asyncio.sleep(3600)

    log = []
    first = horus.Node("first", shutdown=lambda n: log.append("first"))
    horus.run(first, horus.Node("n", tick=tick, shutdown=shutdown, watchdog=0.05), duration=0.02)
    assert log == ["first"]
    assert "its shutdown is left; the stop goes on" in caplog.text


def test_how_late_an_async_tick_begins_is_measured(clock):
    async def tick(node):
        await asyncio.sleep(0.001)

    slow = horus.Node("slow", tick=lambda n: clock.advance(0.004), rate=100, order=0)
    node = horus.Node("n", tick=tick, rate=100)
    horus.Scheduler(clock=clock).add(slow, node).run(0.5)
    timing = node.info.timing()
    assert timing.ticks == 50
    assert timing.lateness.p50 == pytest.approx(4.0, rel=0.05)
    assert timing.tick.p50 == pytest.approx(1.0, rel=0.05)
