"""Nodes that compute on threads of a pool or in a process of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import pytest

import horus
from horus.scheduler.clock import SystemClock
from horus.scheduler.compute import Child
from horus.scheduler.running import Run

sys.path.insert(0, str(Path(__file__).parent))
import compute_functions as functions

# options ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"compute": "proces"}, r"is none of thread, process \(did you mean 'process'\?\)"),
        ({"compute": "thread", "thread": True}, "leave thread away"),
        ({"compute": "process", "tick": None}, "without a tick"),
    ],
)
def test_what_makes_no_sense_is_refused(options, text):
    with pytest.raises(ValueError, match=f"node 'n': .*{text}"):
        horus.Node("n", **{"tick": lambda node: None, **options})


def test_an_async_tick_does_not_compute():
    async def tick(node):
        pass

    with pytest.raises(ValueError, match=r"await asyncio\.to_thread"):
        horus.Node("n", tick=tick, compute="process")


def test_a_node_that_has_no_compute_says_so():
    with pytest.raises(horus.ComputeError, match="node 'n' has no compute="):
        horus.Node("n").compute(functions.square, 3)


# where --------------------------------------------------------------------------------------------


def until_done(node, count=1, seconds=30.0):
    """Run a node until it has ticked so often."""
    tick, deadline = node._node_calls.tick, time.monotonic() + seconds

    def counted(node):
        try:
            tick(node)
        finally:
            if node.info.tick_count() + 1 >= count or time.monotonic() > deadline:
                node.request_stop()

    node._node_calls.tick = counted
    horus.run(node)


def test_a_heavy_tick_in_a_thread_does_not_hold_up_the_others(wait_for):
    go_on, threads = threading.Event(), []

    def heavy(node):
        threads.append(threading.current_thread().name)
        go_on.wait(30)

    slow = horus.Node("heavy", tick=heavy, rate=100, compute="thread")
    quick = horus.Node(
        "quick", tick=lambda n: n.info.tick_count() > 20 and n.request_stop(), rate=200
    )
    timer = threading.Timer(0.5, go_on.set)
    timer.start()
    horus.run(slow, quick)
    timer.cancel()
    go_on.set()
    assert quick.info.tick_count() > 20
    assert threads == ["horus-heavy"], "its next tick waits for the result"


def test_no_more_compute_at_once_than_there_are_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    at_once, most, lock = [0], [0], threading.Lock()

    def heavy(node):
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        time.sleep(0.005)
        with lock:
            at_once[0] -= 1

    nodes = [horus.Node(f"n{i}", tick=heavy, rate=100, compute="thread") for i in range(5)]
    horus.run(nodes, duration=0.2)
    assert most[0] == 2
    assert all(node.info.tick_count() for node in nodes)


@pytest.fixture
def hung(monkeypatch):
    """A node whose tick does not end before the test, on a machine with one core."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setattr("horus.scheduler.places.THREAD_STOP", 0.3)
    go_on, node = threading.Event(), horus.Node("hung", compute="thread", tick=lambda n: None)
    node.begun = threading.Event()
    node._node_calls.tick = lambda n: (n.begun.set(), go_on.wait(60))
    yield node
    go_on.set()


def test_a_tick_that_hangs_does_not_keep_the_others_from_computing(hung, caplog):
    counts = []

    def tick(node):
        counts.append(node.info.tick_count())
        if hung.begun.is_set() and len(counts) > 5:
            node.request_stop()

    horus.run(hung, horus.Node("well", tick=tick, rate=100, compute="thread"), duration=10)
    assert len(counts) > 5
    assert "'hung'" in caplog.text
    assert "more than 1 s (said once)" in caplog.text


def test_who_waits_for_a_core_at_the_stop_is_not_blamed(hung, caplog):
    log, waited = [], []

    def watch(node):
        waited.append(hung.begun.is_set())
        if waited.count(True) > 10:
            node.request_stop()

    well = horus.Node("well", tick=lambda n: None, rate=100, compute="thread")
    well._node_calls.shutdown = log.append
    horus.run(hung, well, horus.Node("watch", tick=watch, rate=100), duration=30)
    assert log == [well]
    assert caplog.text.count("its tick has not ended") == 1
    assert well.info.overruns()


def test_who_waits_for_a_core_is_told_of_a_stop_after_its_loop_is(hung):
    """It would begin to wait again otherwise, and count the same ticks twice."""
    places, stopped = Run([(hung, 0)], SystemClock(), 0).places, []

    class Loop:
        def stop(self):
            stopped.append(places._slots.closed)

    places.loops["hung"] = Loop()
    places.stop()
    assert (stopped, places._slots.closed) == ([False], True)


def test_a_process_computes_and_the_result_comes_back():
    results = []

    def tick(node):
        results.append((node.compute(functions.square, 7), node.compute(functions.pid)))

    until_done(horus.Node("n", tick=tick, rate=1000, compute="process"), 3)
    assert [square for square, _ in results[:3]] == [49] * 3
    pids = {pid for _, pid in results}
    assert len(pids) == 1
    assert os.getpid() not in pids
    wait_until_gone(pids.pop())


def wait_until_gone(pid):
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, "the process is left over"
        time.sleep(0.01)


def test_the_process_is_ready_before_init():
    pids, ready = [], []

    def init(node):
        (child,) = node._node_host._run.places._children.values()
        ready.append(child[1]._process.pid)
        pids.append(node.compute(functions.pid))

    node = horus.Node("n", init=init, tick=lambda n: n.request_stop(), compute="process")
    seen = []
    wait = Child.wait_until_ready
    Child.wait_until_ready = lambda child: (wait(child), seen.append(child._process.pid))
    try:
        horus.run(node, duration=30)
    finally:
        Child.wait_until_ready = wait
    assert seen == ready == pids


def test_on_and_compute_go_together():
    sink, got = horus.Node(subs="b"), []
    sink.open_topics()

    def tick(node):
        number = node.get("a")
        node.send("b", node.compute(functions.square, number))
        got.append(number)
        if len(got) == 3:
            node.request_stop()

    node = horus.Node("n", subs="a", pubs="b", on="a", tick=tick, compute="process")
    scheduler = horus.Scheduler().add(node)
    source = horus.Node(pubs="a")
    for number in (2, 3, 4):
        source.send("a", number)
    scheduler.run(30)
    assert sink.get_all("b") == [4, 9, 16]


def test_stepped_and_in_simulated_time_it_computes_in_place(clock):
    pids = []
    node = horus.Node(
        "n", tick=lambda n: pids.append(n.compute(os.getpid)), rate=10, compute="process"
    )
    horus.Scheduler(clock=clock).add(node).run(1.0)
    with horus.Scheduler() as scheduler:
        scheduler.add(node).tick_once()
    assert pids == [os.getpid()] * 11


# what goes wrong ----------------------------------------------------------------------------------


def error_of(function, *arguments):
    """Return what a run raises whose node computes this."""
    node = horus.Node("n", tick=lambda n: n.compute(function, *arguments), compute="process")
    with pytest.raises(Exception) as caught:
        horus.run(node, duration=30)
    return caught.value


def test_what_the_function_raises_comes_out_with_its_traceback():
    error = error_of(functions.fail, "no")
    assert type(error) is ValueError
    assert "in fail\n" in "".join(traceback.format_exception(error))


def test_an_exception_that_cannot_travel_is_named():
    error = error_of(functions.fail_oddly)
    assert type(error) is horus.ComputeError
    assert str(error) == "OddError: odd one"


@pytest.mark.parametrize("what", [lambda: None, functions.unpicklable])
def test_what_cannot_be_sent_is_refused_with_the_cure(what):
    error = error_of(what)
    assert type(error) is horus.ComputeError
    assert "pickle" in str(error)


def test_a_process_that_dies_is_a_named_error():
    error = error_of(functions.die, signal.SIGSEGV)
    assert type(error) is horus.ComputeError
    assert str(error).startswith("node 'n': the process that computed die was killed by SIGSEGV")


@pytest.mark.parametrize("policy", ["restart", "skip", "ignore"])
def test_under_the_other_policies_a_new_process_goes_on(policy):
    pids = []

    def tick(node):
        if node.info.failed_ticks() == 0:
            node.compute(functions.die)
        pids.append(node.compute(functions.pid))

    node = horus.Node(
        "n", tick=tick, rate=1000, compute="process", failure_policy=policy, restart_delay=0.001
    )
    until_done(node, 3)
    assert node.info.failed_ticks() == 1
    assert pids
    assert node.info.restarts() == (policy == "restart")
    assert "was killed by SIGKILL" in node.info.last_error()


@pytest.mark.parametrize("kind", ["thread", "process"])
@pytest.mark.parametrize("policy", ["fatal", "restart", "skip", "ignore", "on_error"])
def test_every_policy_holds_for_a_tick_that_raises(kind, policy):
    seen = []

    def tick(node):
        seen.append("tick")
        if len(seen) == 2:
            node.compute(functions.fail, "no")
        if len(seen) == 4:
            node.request_stop()

    options = {"failure_policy": policy, "restart_delay": 0.001}
    if policy == "on_error":
        options = {"on_error": lambda node, error: None}
    node = horus.Node("n", tick=tick, rate=1000, compute=kind, **options)
    if policy == "fatal":
        with pytest.raises(ValueError, match="no"):
            horus.run(node, duration=30)
        assert len(seen) == 2
    else:
        horus.run(node, duration=30)
        assert len(seen) == 4
    assert node.info.failed_ticks() == 1


def test_a_stop_does_not_wait_for_a_process_that_computes_for_ever(tmp_path, wait_for):
    log, note = [], tmp_path / "pid"
    node = horus.Node(
        "n",
        tick=lambda n: n.compute(functions.hang, str(note)),
        shutdown=lambda n: log.append("shutdown"),
        compute="process",
    )
    scheduler = horus.Scheduler().add(node)
    thread = threading.Thread(target=scheduler.run)
    thread.start()
    wait_for(lambda: note.exists() and note.read_text())
    began = time.monotonic()
    scheduler.stop()
    thread.join(30)
    assert time.monotonic() - began < 15
    assert log == ["shutdown"], "the tick ended, so it is shut down"
    wait_until_gone(int(note.read_text()))


def test_a_process_leaves_with_a_parent_that_is_killed(tmp_path, wait_for):
    note = tmp_path / "pid"
    code = (
        "import sys, horus\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import compute_functions\n"
        "horus.run(horus.Node('n', compute='process',\n"
        f"    tick=lambda n: n.compute(compute_functions.hang, {str(note)!r})))\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code])
    wait_for(lambda: note.exists() and note.read_text())
    child.kill()
    child.wait()
    wait_until_gone(int(note.read_text()))


def test_a_program_needs_no_guard_of_its_main(tmp_path):
    (tmp_path / "program.py").write_text(
        """
import horus

def square(number):
    return number * number

def tick(node):
    print(node.compute(square, 12), flush=True)
    node.request_stop()

horus.run(horus.Node("n", pubs="a", tick=tick, compute="process"), duration=30)
print("end")
"""
    )
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    # What stands below `run` is done in both processes, as with all of multiprocessing.
    assert (done.returncode, sorted(done.stdout.split()), done.stderr) == (
        0,
        ["144", "end", "end"],
        "",
    )
