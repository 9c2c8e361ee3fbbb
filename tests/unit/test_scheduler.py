"""Who ticks when: the grid, the order, rates, threads. Time is moved by hand where it matters."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading

import pytest

import horus


def counting(name, log, **options):
    """Return a node that notes its name at each tick."""
    return horus.Node(name, tick=lambda node: log.append(node.name), **options)


# the grid -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1, 3, 7.5, 30, 100, 333.3])
def test_a_node_ticks_at_its_rate_on_a_grid_that_does_not_drift(clock, rate):
    times = []
    node = horus.Node(tick=lambda node: times.append(clock.now_ns), rate=rate)
    start = clock.now_ns
    horus.Scheduler(clock=clock).add(node).run(40)
    due = [n / rate for n in range(len(times))]
    assert [(t - start) * 1e-9 for t in times] == pytest.approx(due, abs=2e-6)
    assert len(times) == pytest.approx(40 * rate, abs=1)
    assert node.info.overruns() == 0


def test_a_run_of_one_second_has_as_many_ticks_as_the_rate_says(clock):
    log = []
    nodes = [counting(f"n{rate}", log, rate=rate) for rate in (10, 25, 50)]
    horus.Scheduler(clock=clock).add(nodes).run(1.0)
    assert [log.count(node.name) for node in nodes] == [10, 25, 50]


def test_a_slow_tick_skips_what_it_missed_and_counts_it(clock):
    times = []
    start = clock.now_ns

    def tick(node):
        times.append(round((clock.now_ns - start) * 1e-6))
        if len(times) == 2:
            clock.advance(0.035)

    node = horus.Node(tick=tick, rate=100)
    horus.Scheduler(clock=clock).add(node).run(0.1)
    assert times == [0, 10, 50, 60, 70, 80, 90], "10 ms + 35 ms: on the grid again, no burst"
    assert node.info.overruns() == 3


@pytest.mark.parametrize("rate", [30, 333.3, 1 / 3])
def test_an_overrun_leaves_no_trace_on_a_grid_of_odd_periods(clock, rate):
    times, slow = [], iter([0.2, 3.7, 0.0, 1.999, 2.0])
    start = clock.now_ns

    def tick(node):
        times.append((clock.now_ns - start) * 1e-9 * rate)
        clock.advance(next(slow, 0.0) / rate)

    node = horus.Node(tick=tick, rate=rate)
    horus.Scheduler(clock=clock).add(node).run(12.5 / rate)
    assert times == pytest.approx([0, 1, 5, 6, 8, 10, 11, 12], abs=2e-6 * rate)
    assert node.info.overruns() == 5


def test_nodes_whose_rates_are_multiples_meet_for_ever(clock):
    log = []
    last = counting("z", log, rate=30, order=9)
    first = counting("a", log, rate=90, order=1)
    horus.Scheduler(clock=clock).add(last, first).run(1000)
    assert log == ["a", "z", "a", "a"] * 30_000


def test_a_tick_delayed_by_another_node_is_not_made_up_for(clock):
    times = []
    start = clock.now_ns

    def slow(node):
        if not times:
            clock.advance(0.025)

    late = horus.Node("late", tick=lambda n: times.append(round((clock.now_ns - start) * 1e-6)))
    scheduler = horus.Scheduler(clock=clock)
    scheduler.add(horus.Node("slow", tick=slow, rate=1), priority=0)
    scheduler.add(late, rate_hz=100).run(0.05)
    assert times == [25, 30, 40]
    assert late.info.overruns() == 2


def test_a_node_that_cannot_keep_its_rate_does_not_starve_the_others(clock):
    log = []
    greedy = horus.Node("greedy", tick=lambda node: clock.advance(0.002), rate=1000, order=0)
    other = counting("other", log, rate=100)
    horus.Scheduler(clock=clock).add(greedy, other).run(1.0)
    assert len(log) == pytest.approx(100, abs=2)
    assert greedy.info.overruns() == pytest.approx(500, abs=10)


def test_the_scheduler_sleeps_until_the_next_tick_in_short_slices(clock):
    horus.Scheduler(clock=clock).add(horus.Node(tick=lambda node: None, rate=2)).run(1.0)
    assert sum(clock.sleeps) == pytest.approx(1.0, abs=1e-3)
    assert max(clock.sleeps) <= 0.02, "a stop from another thread is seen in time"


def test_the_last_moment_before_a_tick_is_waited_out_awake_only_if_asked(clock):
    horus.Scheduler(clock=clock, spin=0.001).add(horus.Node(tick=lambda n: None, rate=100)).run(0.1)
    assert clock.sleeps.count(0.0) > 100
    clock.sleeps.clear()
    horus.Scheduler(clock=clock).add(horus.Node(tick=lambda n: None, rate=100)).run(0.1)
    assert clock.sleeps.count(0.0) == 0


# order --------------------------------------------------------------------------------------------


def test_of_nodes_due_together_the_lower_order_goes_first(clock):
    log = []
    scheduler = horus.Scheduler(clock=clock)
    scheduler.add(counting("c", log, rate=30, order=3))
    scheduler.add(counting("a", log, rate=90, order=1))
    scheduler.add(counting("b", log, rate=60, order=2))
    scheduler.run(1 / 30 + 1e-3)
    assert log == ["a", "b", "c", "a", "b", "a", "a", "b", "c"]


def test_with_the_same_order_the_one_added_first_goes_first(clock):
    log = []
    horus.Scheduler(clock=clock).add([counting(n, log, rate=10) for n in "xyz"]).run(0.2)
    assert log == list("xyzxyz")


def test_the_priority_of_add_takes_the_place_of_the_order(clock):
    log = []
    first, second = counting("first", log, order=1), counting("second", log, order=2)
    horus.Scheduler(clock=clock).add(first, priority=5).add(second, priority=-5).run(0.01)
    assert log == ["second", "first"]


# adding -------------------------------------------------------------------------------------------


def test_add_takes_one_node_several_or_lists_and_returns_the_scheduler():
    a, b, c, d = (horus.Node(name) for name in "abcd")
    scheduler = horus.Scheduler()
    assert scheduler.add(a).add(b, [c]).register(d) is scheduler
    assert scheduler.nodes == [a, b, c, d]


def test_add_takes_its_options_by_position_too():
    node = horus.Node("n")
    stats = horus.Scheduler().add(node, 3, False, 12.5).get_node_stats("n")
    assert (stats["order"], stats["rate_hz"], node.rate) == (3, 12.5, 12.5)
    assert not node.logger.isEnabledFor(20)


def test_without_logging_only_warnings_and_errors_of_a_node_are_shown(caplog):
    def tick(node):
        node.log_info("info")
        node.log_warning("warning")

    quiet = horus.Node("quiet", tick=tick)
    with caplog.at_level("INFO", logger="horus"):
        horus.Scheduler().add(quiet, logging=False).tick_once()
    assert [r.message for r in caplog.records] == ["warning"]


def test_two_nodes_of_one_name_are_refused():
    scheduler = horus.Scheduler().add(horus.Node("twin"))
    with pytest.raises(ValueError, match="a node named 'twin' is in this scheduler already"):
        scheduler.add(horus.Node("twin"))


@pytest.mark.parametrize("thing", ["node", 5, [5], len])
def test_what_is_no_node_is_refused(thing):
    with pytest.raises(TypeError, match=r"is not a horus\.Node"):
        horus.Scheduler().add(thing)


def test_options_of_add_are_checked():
    with pytest.raises(ValueError, match="rate_hz is 0"):
        horus.Scheduler().add(horus.Node(), rate_hz=0)
    with pytest.raises(TypeError, match="priority is 'high'"):
        horus.Scheduler().add(horus.Node(), priority="high")


def test_nodes_are_not_added_to_a_running_scheduler_nor_to_two():
    seen = []

    def tick(node):
        for other in (scheduler, horus.Scheduler()):
            with pytest.raises(RuntimeError, match="running") as caught:
                other.add(node if other is not scheduler else horus.Node())
            seen.append(caught.value)

    scheduler = horus.Scheduler().add(horus.Node(tick=tick, rate=1))
    scheduler.run(0.01)
    assert len(seen) == 2


def test_what_is_sent_after_add_is_not_missed():
    got = []
    sink = horus.Node(subs="a", tick=lambda node: got.extend(node.get_all("a")))
    scheduler = horus.Scheduler().add(sink)
    horus.Node(pubs="a").send("a", 1)
    scheduler.tick_once()
    assert got == [1]


def test_a_message_sent_in_the_first_tick_of_the_first_node_reaches_all(clock):
    got = []
    nodes = [
        horus.Node(
            "source", pubs="a", tick=lambda node: node.send("a", node.info.tick_count()), order=0
        ),
        *(horus.Node(subs="a", tick=lambda node: got.append(node.get_all("a"))) for _ in range(3)),
    ]
    horus.Scheduler(clock=clock).add(nodes).run(0.01)
    assert got == [[0]] * 3


# running ------------------------------------------------------------------------------------------


def test_init_runs_before_any_tick_and_shutdown_in_the_reverse_order(clock):
    log = []

    def node(name):
        return horus.Node(
            name,
            init=lambda n: log.append(f"init {n.name}"),
            tick=lambda n: log.append(f"tick {n.name}"),
            shutdown=lambda n: log.append(f"shutdown {n.name}"),
        )

    horus.Scheduler(clock=clock).add(node("a"), node("b")).run(0.01)
    assert log == ["init a", "init b", "tick a", "tick b", "shutdown b", "shutdown a"]


def test_topics_work_in_shutdown_and_are_closed_after_it():
    sink = horus.Node(subs="cmd")
    sink.open_topics()
    node = horus.Node(
        pubs="cmd", tick=lambda n: n.request_stop(), shutdown=lambda n: n.send("cmd", 0)
    )
    horus.run(node)
    assert sink.get("cmd") == 0


def test_a_run_can_be_followed_by_another(clock):
    log = []
    node = counting("n", log, rate=10, init=lambda n: log.append("init"))
    scheduler = horus.Scheduler(clock=clock).add(node)
    scheduler.run(0.2)
    scheduler.run(0.1)
    assert log == ["init", "n", "n", "init", "n"]
    assert node.info.tick_count() == 3


def test_stop_from_another_thread_ends_the_run(wait_for):
    node = horus.Node(tick=lambda node: None, rate=0.01)
    scheduler = horus.Scheduler().add(node)
    thread = threading.Thread(target=scheduler.run)
    thread.start()
    wait_for(lambda: node.info.tick_count())
    assert scheduler.running
    scheduler.stop()
    thread.join(30)
    assert not thread.is_alive()
    assert not scheduler.running
    assert node.info.state == horus.NodeState.STOPPED


@pytest.mark.parametrize("where", ["init", "tick"])
def test_request_stop_ends_the_run_from_any_callback(where):
    log = []

    def stop(node):
        log.append(where)
        node.request_stop()

    functions = {"tick": lambda node: log.append("tick"), where: stop}
    horus.run(horus.Node(**functions, rate=1000))
    assert log == [where]


def test_stop_before_and_after_a_run_does_nothing():
    log = []
    scheduler = horus.Scheduler().add(counting("n", log))
    scheduler.stop()
    horus.Node().request_stop()
    scheduler.run(0.0)
    scheduler.run(0.001)
    scheduler.stop()
    assert log == ["n"]


@pytest.mark.parametrize("duration", [-1, float("nan"), float("inf")])
def test_a_duration_that_makes_no_sense_is_refused(duration):
    with pytest.raises(ValueError, match="duration is"):
        horus.run(horus.Node(), duration=duration)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: horus.Scheduler().run("5"), "run: duration is '5'; it must be a number of sec"),
        (lambda: horus.Scheduler().advance("5"), "advance: seconds is '5'; it must be a number"),
        (lambda: horus.Scheduler(spin="x"), "Scheduler: spin is 'x'; it must be a number of sec"),
        (lambda: horus.RealTime(spin="x"), "RealTime: spin is 'x'; it must be a number of sec"),
        (lambda: horus.Scheduler(clock=5), r"clock is 5; it must be a SimClock\(\), or an obj"),
        (lambda: horus.Scheduler(clock=horus.SimClock), "clock is <class .*; it must be a SimCl"),
    ],
)
def test_what_is_no_time_and_no_clock_is_refused_by_name(call, text):
    with pytest.raises(TypeError, match=text):
        call()


def test_running_nothing_says_so_and_returns(caplog):
    horus.run()
    assert "no node was added" in caplog.text


def test_a_scheduler_does_not_run_inside_itself():
    seen = []

    def tick(node):
        for call in (scheduler.run, scheduler.tick_once):
            with pytest.raises(RuntimeError, match="running already") as caught:
                call()
            seen.append(caught.value)

    scheduler = horus.Scheduler().add(horus.Node(tick=tick, rate=1))
    scheduler.run(0.01)
    assert len(seen) == 2


def test_a_node_without_tick_keeps_the_run_alive(clock):
    log = []
    node = horus.Node(init=lambda n: log.append("init"), shutdown=lambda n: log.append("shutdown"))
    start = clock.now_ns
    horus.Scheduler(clock=clock).add(node).run(3.0)
    assert log == ["init", "shutdown"]
    assert clock.now_ns - start >= 3e9


def test_run_takes_several_nodes_and_lists(clock):
    log = []
    horus.run(counting("a", log), [counting("b", log), counting("c", log)], duration=0.001)
    assert log == ["a", "b", "c"]


# stepping -----------------------------------------------------------------------------------------


def test_tick_once_starts_once_and_ticks_each_node_once_in_order():
    log = []
    a = counting("a", log, order=2, init=lambda n: log.append("init a"))
    b = counting("b", log, order=1, shutdown=lambda n: log.append("shutdown b"))
    with horus.Scheduler() as scheduler:
        scheduler.add(a, b).tick_once()
        assert log == ["init a", "b", "a"]
        assert a.info.state == horus.NodeState.RUNNING
        scheduler.tick_once()
        assert log == ["init a", "b", "a", "b", "a"]
        assert a.info.get_metrics()["total_ticks"] == 2
    assert log[5:] == ["shutdown b"]
    assert a.info.state == horus.NodeState.STOPPED


def test_stepping_ends_where_a_node_fails():
    log = []

    def fail(node):
        raise ValueError("no")

    nodes = [
        horus.Node("a", tick=fail, order=0),
        counting("b", log, shutdown=lambda n: log.append("shutdown b")),
    ]
    with pytest.raises(ValueError, match="no"):
        horus.Scheduler().add(nodes).tick_once()
    assert log == ["shutdown b"]


def test_a_stepped_scheduler_can_be_run(clock):
    log = []
    scheduler = horus.Scheduler(clock=clock)
    scheduler.add(counting("n", log, rate=10, init=lambda n: log.append("init")))
    scheduler.tick_once()
    scheduler.run(0.2)
    assert log == ["init", "n", "n", "n"]


# rates and figures --------------------------------------------------------------------------------


def test_set_node_rate_before_the_run(clock):
    log = []
    scheduler = horus.Scheduler(clock=clock).add(counting("n", log, rate=10))
    scheduler.set_node_rate("n", 20)
    scheduler.run(1.0)
    assert len(log) == 20
    assert scheduler.nodes[0].rate == 20.0


def test_set_node_rate_inside_a_tick_counts_from_that_tick(clock):
    times = []
    start = clock.now_ns

    def tick(node):
        times.append(round((clock.now_ns - start) * 1e-6))
        if len(times) == 3:
            scheduler.set_node_rate("n", 20)

    scheduler = horus.Scheduler(clock=clock).add(horus.Node("n", tick=tick, rate=10))
    scheduler.run(0.4)
    assert times == [0, 100, 200, 250, 300, 350]


def test_set_node_rate_checks_its_arguments():
    scheduler = horus.Scheduler().add(horus.Node("wheel"))
    with pytest.raises(ValueError, match="must be greater than 0 Hz"):
        scheduler.set_node_rate("wheel", 0)
    with pytest.raises(KeyError, match="did you mean 'wheel'"):
        scheduler.set_node_rate("wheels", 10)


def test_node_stats_hold_the_metrics_and_what_the_scheduler_knows(clock):
    def tick(node):
        clock.advance(0.015 if node.info.tick_count() == 0 else 0.001)
        node.get("a")

    node = horus.Node("n", subs=horus.Sub("a", depth=4), tick=tick, rate=100, order=7)
    scheduler = horus.Scheduler(clock=clock).add(node)
    source = horus.Node(pubs="a")
    for number in range(10):
        source.send("a", number)
    scheduler.run(0.1)
    stats = scheduler.get_node_stats("n")
    assert node.info.get_metrics().items() <= stats.items()
    assert stats["name"] == "n"
    assert stats["state"] == "stopped"
    assert (stats["rate_hz"], stats["order"]) == (100.0, 7)
    assert (stats["overruns"], stats["total_ticks"]) == (1, 9)
    assert stats["dropped"] == {"a": 6}
    assert stats["uptime_s"] == pytest.approx(0.1)
    with pytest.raises(KeyError, match="no node 'm' in this scheduler"):
        scheduler.get_node_stats("m")


# threads ------------------------------------------------------------------------------------------


def test_a_node_with_a_thread_blocks_nobody(wait_for):
    go_on, log = threading.Event(), []

    def block(node):
        go_on.wait(30)

    def tick(node):
        log.append(threading.current_thread())
        if len(log) == 5:
            go_on.set()
            node.request_stop()

    blocking = horus.Node("blocking", tick=block, thread=True)
    horus.run(blocking, horus.Node("free", tick=tick, rate=1000))
    assert len(log) == 5
    assert set(log) == {threading.current_thread()}


def test_all_functions_of_a_node_with_a_thread_run_on_it():
    threads = {}

    def note(what, node):
        threads[what] = threading.current_thread()
        if what == "tick":
            node.request_stop()

    functions = {w: functools.partial(note, w) for w in ("init", "tick", "shutdown")}
    horus.run(horus.Node("apart", **functions, thread=True))
    assert len(threads) == 3
    assert len(set(threads.values())) == 1
    assert threading.current_thread() not in threads.values()


def test_a_crash_in_a_thread_ends_the_run_and_is_raised():
    def fail(node):
        raise LookupError("in a thread")

    other = horus.Node("other", tick=lambda node: None)
    with pytest.raises(LookupError, match="in a thread"):
        horus.run(horus.Node("apart", tick=fail, thread=True), other)
    assert other.info.state == horus.NodeState.STOPPED


def test_a_tick_that_never_ends_does_not_keep_the_others_from_stopping(caplog, monkeypatch):
    monkeypatch.setattr("horus.scheduler.places.THREAD_STOP", 0.05)
    never, begun, log = threading.Event(), threading.Event(), []

    def block(node):
        begun.set()
        never.wait(60)

    stuck = horus.Node("stuck", tick=block, thread=True, shutdown=log.append)
    free = horus.Node(
        "free",
        tick=lambda n: begun.is_set() and n.request_stop(),
        shutdown=lambda n: log.append("free"),
    )
    try:
        horus.run(stuck, free, duration=30)
        assert log == ["free"]
        assert "its tick has not ended within 0.05 s; its shutdown is left out" in caplog.text
    finally:
        never.set()


def test_the_switch_interval_is_put_back_after_a_run_with_threads():
    before, during = sys.getswitchinterval(), []
    node = horus.Node(tick=lambda n: during.append(sys.getswitchinterval()), thread=True, rate=1000)
    horus.run(node, duration=0.05)
    assert during[-1] < before
    assert sys.getswitchinterval() == before


def test_of_several_runs_at_once_the_last_puts_the_switch_interval_back():
    before, begun, during = sys.getswitchinterval(), [threading.Event(), threading.Event()], []
    nodes = [horus.Node(tick=lambda n, number=number: begun[number].set()) for number in (0, 1)]
    schedulers = [horus.Scheduler().add(node) for node in nodes]
    threads = [threading.Thread(target=scheduler.run) for scheduler in schedulers]
    try:
        for number in (0, 1):  # the first to begin is the first to end
            threads[number].start()
            assert begun[number].wait(30)
        for number in (0, 1):
            during.append(sys.getswitchinterval())
            schedulers[number].stop()
            threads[number].join(30)
        assert max(during) < before
        assert sys.getswitchinterval() == before
    finally:
        sys.setswitchinterval(before)


# coroutines ---------------------------------------------------------------------------------------


def test_async_functions_run_to_their_end_at_each_call():
    log = []

    async def init(node):
        await asyncio.sleep(0)
        log.append("init")

    async def tick(node):
        await asyncio.sleep(0.001)
        log.append("tick")
        if len(log) == 3:
            raise ValueError("no")
        if len(log) == 5:
            node.request_stop()

    async def on_error(node, error):
        await asyncio.sleep(0)
        log.append(str(error))

    class Logic:
        async def shutdown(self, node):
            await asyncio.sleep(0)
            log.append("shutdown")

    node = horus.Node(init=init, tick=tick, on_error=on_error, shutdown=Logic().shutdown, rate=1000)
    horus.run(node)
    assert log == ["init", "tick", "tick", "no", "tick", "shutdown"]
    assert node.info.failed_ticks() == 1


def test_what_an_async_tick_left_running_is_cancelled_at_the_end():
    log = []

    async def forever():
        try:
            await asyncio.sleep(3600)
        finally:
            log.append("cancelled")

    async def tick(node):
        node.task = asyncio.ensure_future(forever())
        await asyncio.sleep(0)

    horus.run(horus.Node(tick=tick), duration=0.001)
    assert log == ["cancelled"]


def test_callable_objects_and_partials_may_be_async():
    log = []

    class Logic:
        async def __call__(self, node):
            log.append("object")

    async def tick(gain, node):
        log.append(gain)

    horus.Scheduler().add(
        horus.Node(tick=Logic()), horus.Node(tick=functools.partial(tick, 2))
    ).tick_once()
    assert log == ["object", 2]


def test_a_node_too_slow_for_its_rate_is_told_so_once(clock, caplog):
    node = horus.Node("slow", tick=lambda node: clock.sleep(0.05), rate=100)
    other = horus.Node("quick", tick=lambda node: None, rate=100)
    horus.Scheduler(clock=clock).add(node).run(10.0)
    horus.Scheduler(clock=clock).add(other).run(1.0)
    told = [r.getMessage() for r in caplog.records if "too slow for its rate" in r.getMessage()]
    assert len(told) == 1
    assert "a tick takes 50 ms, 100 Hz allows 10 ms" in told[0]


def test_a_quick_node_that_another_one_keeps_waiting_is_not_told_to_do_less(clock, caplog):
    hog = horus.Node("hog", tick=lambda node: clock.sleep(0.05), rate=10)
    quick = horus.Node("quick", tick=lambda node: None, rate=100)
    horus.Scheduler(clock=clock).add(hog, quick).run(10.0)
    (told,) = [r.getMessage() for r in caplog.records if r.name.endswith("quick")]
    assert "called too late for its rate of 100 Hz" in told
    assert "do less" not in told
