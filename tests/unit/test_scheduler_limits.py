"""How long a tick may take: budget, deadline and what follows a miss, and the watchdog."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

import horus


class Motor(horus.Node):
    """An actuator that notes when it is made safe."""

    is_actuator = True

    def __init__(self, name, log, **options):
        super().__init__(name, **options)
        self.log = log

    def safe(self):
        self.log.append(f"safe {self.name}")


def taking(clock, *seconds):
    """Return a tick whose turns take so long in simulated time; after the last, none."""
    turns = iter(seconds)
    return lambda node: clock.advance(next(turns, 0.0))


# options ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["budget", "deadline", "watchdog"])
def test_a_limit_is_a_number_of_seconds(what):
    with pytest.raises(TypeError, match=f"node 'n': {what} is 'soon'; it must be a number of sec"):
        horus.Node("n", **{what: "soon"})
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"node 'n': {what} is .*; it is seconds"):
            horus.Node("n", **{what: wrong})


def test_an_unknown_on_miss_is_refused_with_the_likely_one():
    with pytest.raises(ValueError, match=r"is none of warn, skip, safe, stop \(did you mean 'sto"):
        horus.Node("n", deadline=1, on_miss="stopp")


def test_on_miss_without_anything_to_miss_is_refused():
    with pytest.raises(ValueError, match=r"give deadline=\.\.\. or watchdog=\.\.\."):
        horus.Node("n", budget=1, on_miss="stop")


def test_a_node_without_limits_is_called_directly(clock):
    node = horus.Node("n", tick=lambda n: None)
    scheduler = horus.Scheduler(clock=clock).add(node)
    scheduler.tick_once()
    assert scheduler._run._tasks["n"].call is node._node_calls.tick
    scheduler.stop()


# budget -------------------------------------------------------------------------------------------


def test_ticks_over_the_budget_are_counted_and_told_once(clock, caplog):
    node = horus.Node("n", tick=taking(clock, 0.002, 0.006, 0.001, 0.007), rate=100, budget=0.005)
    scheduler = horus.Scheduler(clock=clock).add(node)
    scheduler.run(0.1)
    assert node.info.over_budget() == 2
    assert scheduler.get_node_stats("n")["over_budget"] == 2
    (told,) = [r.message for r in caplog.records if "over its budget" in r.message]
    assert "took 0.006 s, 0.005 s are planned" in told
    assert node.info.tick_count() == 10


# deadline -----------------------------------------------------------------------------------------


def test_a_deadline_counts_from_the_moment_that_a_tick_was_due(clock, caplog):
    """The tick itself is quick; another node has kept it from beginning."""
    slow = horus.Node("slow", tick=taking(clock, 0.008), rate=10, order=0)
    node = horus.Node("n", tick=lambda n: None, rate=10, deadline=0.005)
    horus.Scheduler(clock=clock).add(slow, node).run(0.35)
    assert node.info.deadline_misses() == 1
    assert "ended 0.008 s after it was due, 0.005 s are allowed" in caplog.text
    assert node.info.tick_count() == 4


def test_misses_are_logged_at_most_once_a_second(clock, caplog):
    node = horus.Node("n", tick=taking(clock, *[0.006] * 300), rate=100, deadline=0.005)
    horus.Scheduler(clock=clock).add(node).run(2.5)
    assert node.info.deadline_misses() == 250
    assert caplog.text.count("missed its deadline") == 3


def test_a_tick_that_raises_can_miss_its_deadline_too(clock):
    def tick(node):
        clock.advance(0.01)
        raise ValueError("broken")

    node = horus.Node("n", tick=tick, rate=10, deadline=0.005, failure_policy="ignore")
    horus.Scheduler(clock=clock).add(node).run(0.35)
    assert (node.info.deadline_misses(), node.info.failed_ticks()) == (4, 4)


def test_skip_leaves_the_next_tick_out_and_counts_it(clock):
    times, start = [], clock.now_ns
    takes = taking(clock, 0.0, 0.006)

    def tick(node):
        times.append(round((clock.now_ns - start) * 1e-6))
        takes(node)

    node = horus.Node("n", tick=tick, rate=100, deadline=0.005, on_miss="skip")
    horus.Scheduler(clock=clock).add(node).run(0.055)
    assert times == [0, 10, 30, 40, 50]
    assert (node.info.tick_count(), node.info.overruns()) == (5, 1)


@pytest.mark.parametrize("on_miss", ["warn", "skip"])
@pytest.mark.parametrize("besides", [0.0, 0.025])
def test_every_tick_of_the_grid_was_made_or_is_counted(clock, on_miss, besides, caplog):
    """Also those that pass while a tick that is left out is held up by another node."""
    tick = taking(clock, *[0.035] * 100)
    node = horus.Node("n", rate=100, deadline=0.005, on_miss=on_miss, tick=tick)
    other = horus.Node("other", rate=20, tick=lambda n: clock.advance(besides), order=0)
    horus.Scheduler(clock=clock).add(node, other).run(1.0)
    last = (clock.seconds - 1.0) * 100  # the last tick goes beyond the end
    assert node.info.tick_count() + node.info.overruns() == pytest.approx(100 + last, abs=3)
    assert node.info.tick_count() > 5
    assert "a tick takes 35 ms" in caplog.text


def test_safe_makes_every_actuator_safe_and_calls_the_own_safe(clock):
    log = []

    class Arm(horus.Node):
        def safe(self):
            log.append("own safe")

    arm = Arm("arm", tick=taking(clock, 0.0, 0.006), rate=100, deadline=0.005, on_miss="safe")
    horus.Scheduler(clock=clock).add(Motor("m", log), arm).run(0.05)
    assert log == ["safe m", "own safe", "safe m"], "at the miss, and at the stop"
    assert arm.info.tick_count() > 3, "it goes on"


def test_stop_ends_the_run_in_order_with_an_error_that_names_the_node(clock):
    log = []
    node = horus.Node(
        "slow", tick=taking(clock, 0.0, 0.006), rate=100, deadline=0.005, on_miss="stop"
    )
    other = horus.Node("other", shutdown=lambda n: log.append("shutdown"))
    with pytest.raises(horus.DeadlineError, match="node 'slow' missed its deadline") as caught:
        horus.Scheduler(clock=clock).add(Motor("m", log), other, node).run(1.0)
    assert isinstance(caught.value, TimeoutError)
    assert log == ["safe m", "shutdown"]
    assert node.info.tick_count() == 2


def test_a_message_that_is_served_too_late_misses_the_deadline(clock):
    def tick(node):
        node.get_all("a")
        clock.advance(0.01)

    sink = horus.Node("sink", subs="a", on="a", tick=tick, deadline=0.005)
    source = horus.Node("source", pubs="a", tick=lambda n: n.send("a", 1), rate=10)
    horus.Scheduler(clock=clock).add(sink, source).run(0.25)
    assert sink.info.deadline_misses() == 3


# the watchdog -------------------------------------------------------------------------------------


@pytest.mark.parametrize("thread", [False, True])
def test_a_tick_that_hangs_is_noticed_while_it_does_and_actuators_are_safe(
    thread, wait_for, caplog
):
    log, go_on = [], threading.Event()

    def dig_in(node):
        go_on.wait(30)

    node = horus.Node("stuck", tick=dig_in, rate=100, thread=thread, watchdog=0.03)
    scheduler = horus.Scheduler().add(Motor("m", log), node)
    run = threading.Thread(target=scheduler.run)
    run.start()
    try:
        wait_for(lambda: log)
        assert node.info.tick_count() == 0, "it hangs still"
        wait_for(lambda: "hangs" in caplog.text)
        (told,) = [r.message for r in caplog.records if "hangs" in r.message]
        assert "its tick has not ended after 0.0" in told
        assert "in dig_in\n    go_on.wait(30)" in told
        assert "horus/scheduler" not in told
    finally:
        go_on.set()
        wait_for(lambda: node.info.tick_count() > 1)
        scheduler.stop()
        run.join(30)
    assert node.info.hangs() == caplog.text.count("hangs:") >= 1


def test_no_thread_is_started_for_runs_without_a_watchdog():
    before, during = set(threading.enumerate()), set()
    node = horus.Node(tick=lambda n: during.update(threading.enumerate()), deadline=1)
    horus.run(node, duration=0.05)
    assert during
    assert not [thread for thread in during - before if thread.name == "horus-watchdog"]


def test_quick_ticks_and_simulated_time_never_bark(clock):
    quick = horus.Node("quick", tick=lambda n: None, rate=1000, watchdog=0.5)
    horus.run(quick, duration=0.1)
    slow = horus.Node("slow", tick=lambda n: clock.advance(5.0), rate=1, watchdog=0.5)
    horus.Scheduler(clock=clock).add(slow).run(20)
    assert (quick.info.hangs(), slow.info.hangs()) == (0, 0)


HEAD = """
import sys, threading, time
import horus

class Motor(horus.Node):
    is_actuator = True
    def safe(self):
        print("safe", flush=True)

def block(node):
    while True:
        time.sleep(3600)
"""


def run(code):
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", HEAD + code], capture_output=True, text=True, timeout=60
    )
    return done, time.monotonic() - began


def test_stop_leaves_a_tick_that_hangs_on_the_main_thread():
    done, seconds = run("""
horus.run(horus.Node("n", tick=block, watchdog=0.1, on_miss="stop"), Motor("m"),
          horus.Node("last", shutdown=lambda n: print("shutdown")))
""")
    assert done.returncode == 1
    assert done.stdout.split() == ["safe", "safe", "shutdown"]
    assert "DeadlineError: node 'n' hangs: its tick has not ended after 0." in done.stderr
    assert ", in block" in done.stderr
    assert seconds < 20


def test_a_tick_that_hangs_past_the_duration_is_left():
    done, _ = run("""
horus.run(horus.Node("n", tick=block, watchdog=0.1), duration=0.3)
print("returned")
""")
    assert (done.returncode, done.stdout.split()) == (0, ["returned"])
    assert "hangs: its tick has not ended" in done.stderr


@pytest.mark.parametrize("thread", [False, True])
def test_a_shutdown_that_never_returns_is_left_and_the_others_still_run(thread):
    done, _ = run(f"""
horus.run(horus.Node("first", shutdown=lambda n: print("first stopped")),
          horus.Node("n", shutdown=block, watchdog=0.1, thread={thread}), duration=0.05)
print("returned")
""")
    assert (done.returncode, done.stdout.splitlines()) == (0, ["first stopped", "returned"])
    assert "its shutdown has not ended after 0." in done.stderr
    assert "its shutdown is left; the stop goes on" in done.stderr


def test_where_nothing_can_be_interrupted_it_says_so():
    done, _ = run("""
done = threading.Event()
node = horus.Node("n", shutdown=lambda n: done.wait(30), watchdog=0.05)
scheduler = horus.Scheduler().add(node)
thread = threading.Thread(target=scheduler.run, args=[0.0])
thread.start()
while not node.info.hangs():
    time.sleep(0.01)
time.sleep(0.1)
done.set()
thread.join()
""")
    assert done.returncode == 0
    assert "its shutdown cannot be left: run() is not on the main thread" in done.stderr
