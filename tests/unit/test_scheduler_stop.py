"""Every kind of stop: actuators first, then shutdowns, then the topics; signals included."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

import horus
from horus.scheduler.clock import SimClock


class Motor(horus.Node):
    """An actuator that notes when it is made safe."""

    is_actuator = True

    def __init__(self, name, log, **options):
        super().__init__(name, shutdown=lambda node: log.append(f"shutdown {name}"), **options)
        self.log = log

    def safe(self):
        self.log.append(f"safe {self.name}")


def crash(node):
    raise ValueError("broken")


def leave(node):
    raise SystemExit(3)


def stop(node):
    node.request_stop()


@pytest.mark.parametrize("end", [crash, leave, stop])
@pytest.mark.parametrize("where", ["tick", "init"])
def test_actuators_are_made_safe_before_any_shutdown_on_every_kind_of_stop(end, where):
    log = []
    user = horus.Node("user", **{where: end}, shutdown=lambda node: log.append("shutdown user"))
    scheduler = horus.Scheduler().add(Motor("left", log), user, Motor("right", log))
    try:
        scheduler.run()
    except (ValueError, SystemExit):
        assert end is not stop
    assert sorted(log[:2]) == ["safe left", "safe right"]
    if where == "tick":
        assert log[2:] == ["shutdown right", "shutdown user", "shutdown left"]


def test_a_node_that_is_no_actuator_is_not_asked_for_safe():
    log = []
    node = Motor("m", log)
    node.is_actuator = False
    horus.run(node, duration=0.0)
    assert log == ["shutdown m"]


def test_one_actuator_that_fails_does_not_keep_the_others_from_being_made_safe(caplog):
    log = []

    class Broken(Motor):
        def safe(self):
            raise OSError("bus off")

    horus.run(Broken("a", log), Motor("b", log), duration=0.0)
    assert log == ["safe b", "shutdown b", "shutdown a"]
    assert "safe() raised: bus off" in caplog.text


def test_one_actuator_that_hangs_holds_up_the_stop_for_its_time_only(caplog, monkeypatch):
    monkeypatch.setattr("horus.scheduler.stopping.SAFE_TIME", 0.05)
    log, never = [], threading.Event()

    class Hanging(Motor):
        def safe(self):
            never.wait(60)

    try:
        horus.run(Hanging("a", log), Motor("b", log), duration=0.0)
        assert log == ["safe b", "shutdown b", "shutdown a"]
        assert "safe() has not ended within 0.05 s" in caplog.text
    finally:
        never.set()


def test_actuators_are_made_safe_all_at_once():
    meet, log = threading.Barrier(3), []

    class Meeting(Motor):
        def safe(self):
            meet.wait(0.9)  # passes only if all three are here together
            super().safe()

    horus.run([Meeting(name, log) for name in "abc"], duration=0.0)
    assert sorted(log[:3]) == ["safe a", "safe b", "safe c"]


class Refused(threading.Thread):
    def start(self):
        raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("kind", [threading.Thread, Refused])
def test_an_actuator_on_a_thread_of_its_own_is_made_safe_after_its_last_tick(
    wait_for, monkeypatch, kind
):
    monkeypatch.setattr("horus.scheduler.stopping.TICK_TIME", 0.02)
    monkeypatch.setattr("horus.scheduler.stopping.threading", SimpleNamespace(Thread=kind))
    log, go_on, ticking = [], threading.Event(), threading.Event()

    def tick(node):
        ticking.set()
        go_on.wait(30)
        log.append("command")

    motor = Motor("m", log, tick=tick, thread=True)
    scheduler = horus.Scheduler().add(motor)
    thread = threading.Thread(target=scheduler.run)
    thread.start()
    assert ticking.wait(30)
    scheduler.stop()
    wait_for(lambda: log)
    go_on.set()
    thread.join(30)
    assert log == ["safe m", "command", "safe m", "shutdown m"]


@pytest.mark.parametrize("policy", ["restart", "skip"])
def test_an_actuator_that_is_given_a_rest_is_made_safe_first(clock, policy):
    log = []
    motor = Motor("m", log, tick=crash, failure_policy=policy, rate=100, restart_delay=1.0)
    horus.Scheduler(clock=clock).add(motor).run(0.5)
    assert log.count("safe m") == 2, "before the rest, and at the stop"


def test_safe_is_called_when_stepping_ends_too():
    log = []
    with horus.Scheduler() as scheduler:
        scheduler.add(Motor("m", log)).tick_once()
        assert log == []
    assert log == ["safe m", "shutdown m"]


def test_the_context_manager_closes_topics_of_nodes_that_never_ran(shm):
    with horus.Scheduler() as scheduler:
        scheduler.add(horus.Node(pubs="a", subs="b"))
        assert (shm / "topics").exists()
    assert not list(shm.glob("topics/*/*"))


@pytest.mark.parametrize("kind", ["thread", "async", "simulated"])
def test_a_shutdown_that_never_ends_elsewhere_is_left_after_a_time(kind, caplog, monkeypatch):
    monkeypatch.setattr("horus.scheduler.places.SHUTDOWN_TIME", 0.1)
    log, go_on = [], threading.Event()

    async def tick(node):
        pass

    async def wait_for_nothing(node):
        await asyncio.Event().wait()

    options = {"tick": tick, "shutdown": wait_for_nothing}
    if kind == "thread":
        options = {"thread": True, "shutdown": lambda n: go_on.wait(60)}
    first = horus.Node("first", shutdown=lambda n: log.append("first"))
    clock = SimClock() if kind == "simulated" else None
    scheduler = horus.Scheduler(clock=clock).add(first, horus.Node("n", **options))
    runner = threading.Thread(target=lambda: scheduler.run(0.01), daemon=True)
    runner.start()
    runner.join(30)
    try:
        assert not runner.is_alive(), "the stop does not end"
        assert log == ["first"]
        assert "its shutdown has not ended within 0.1 s" in caplog.text
    finally:
        go_on.set()


@pytest.mark.parametrize("kind", ["thread", "async"])
def test_an_init_that_never_ends_elsewhere_is_left_at_a_stop(kind, caplog, monkeypatch):
    monkeypatch.setattr("horus.scheduler.places.THREAD_STOP", 0.1)
    begun, go_on = threading.Event(), threading.Event()

    async def tick(node):
        pass

    async def wait_for_nothing(node):
        begun.set()
        await asyncio.Event().wait()

    options = {"tick": tick, "init": wait_for_nothing}
    if kind == "thread":
        options = {"thread": True, "init": lambda n: (begun.set(), go_on.wait(60))}
    log = []
    scheduler = horus.Scheduler().add(
        horus.Node("first", shutdown=lambda n: log.append("first")),
        horus.Node("n", shutdown=lambda n: log.append("n"), **options),
        horus.Node("last", init=lambda n: log.append("init"), shutdown=log.append),
    )
    runner = threading.Thread(target=scheduler.run, daemon=True)
    runner.start()
    try:
        assert begun.wait(30)
        scheduler.stop()
        runner.join(30)
        assert not runner.is_alive(), "the stop does not end"
        assert log == ["first"]
        assert "its init has not ended within 0.1 s; it is left" in caplog.text
    finally:
        go_on.set()


def test_a_shutdown_that_keeps_the_stop_waiting_is_told_of(caplog, monkeypatch, wait_for):
    monkeypatch.setattr("horus.scheduler.places.SHUTDOWN_TIME", 0.02)
    told = "its shutdown has not ended after 0.02 s; the stop waits for it: press Ctrl-C again"
    node = horus.Node("n", shutdown=lambda n: wait_for(lambda: told in caplog.text))
    horus.run(node, duration=0.01)
    assert told in caplog.text
    assert "shutdown raised" not in caplog.text


# signals ------------------------------------------------------------------------------------------

HEAD = """
import os, signal, sys, threading, time
import horus

def say(*words):
    print(*words, flush=True)

class Motor(horus.Node):
    is_actuator = True
    def safe(self):
        say("safe")

def shutdown(node):
    say("shutdown", node.name)
"""


class Child:
    """A Python process whose lines can be waited for."""

    def __init__(self, code: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HEAD + code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        return self.process.stdout.readline().rstrip()

    def kill(self, signum: int) -> None:
        os.kill(self.process.pid, signum)

    def end(self) -> tuple[int, list[str], str]:
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out.splitlines(), err


@pytest.fixture
def start():
    children = []

    def start(code):
        children.append(Child(code))
        return children[-1]

    yield start
    for child in children:
        if child.process.poll() is None:
            child.process.kill()
        child.process.communicate()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_loop_sleeps_is_an_orderly_stop(start, signum):
    child = start(
        """
before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
def tick(node):
    say("ticking")
horus.run(Motor("motor", tick=tick, rate=0.001, shutdown=shutdown))
assert before == [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
say("returned")
"""
    )
    assert child.line() == "ticking"
    child.kill(signum)
    assert child.end() == (0, ["safe", "shutdown motor", "returned"], "")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", ["tick", "init"])
def test_a_signal_interrupts_a_callback_that_blocks(start, signum, where):
    child = start(
        f"""
def block(node):
    try:
        say("blocking")
        time.sleep(3600)
    except KeyboardInterrupt:
        say("interrupted")
        raise
horus.run(Motor("motor", {where}=block, shutdown=shutdown))
say("returned")
"""
    )
    assert child.line() == "blocking"
    child.kill(signum)
    code, lines, err = child.end()
    stopped = ["shutdown motor"] if where == "tick" else []  # only what was begun is ended
    assert (code, lines, err) == (0, ["interrupted", "safe", *stopped, "returned"], "")


def test_a_signal_does_not_wait_for_an_init_that_blocks_on_its_own_thread(start):
    child = start(
        """
def block(node):
    say("blocking")
    threading.Event().wait(3600)
motor = Motor("motor", init=block, shutdown=shutdown, thread=True)
horus.run(horus.Node("first", shutdown=shutdown), motor)
say("returned", motor.info.state)
"""
    )
    assert child.line() == "blocking"
    child.kill(signal.SIGINT)
    assert child.end() == (0, ["safe", "shutdown first", "returned stopped"], "")


def test_a_signal_interrupts_an_async_tick_whose_cleanup_runs(start):
    child = start(
        """
import asyncio
async def tick(node):
    try:
        say("blocking")
        await asyncio.sleep(3600)
    finally:
        say("cleaned up")
horus.run(horus.Node("n", tick=tick, shutdown=shutdown))
"""
    )
    assert child.line() == "blocking"
    child.kill(signal.SIGINT)
    assert child.end() == (0, ["cleaned up", "shutdown n"], "")


def test_a_tick_that_swallows_the_interrupt_ends_the_run_all_the_same(start):
    child = start(
        """
def tick(node):
    try:
        say("blocking")
        time.sleep(3600)
    except KeyboardInterrupt:
        pass
horus.run(horus.Node("n", tick=tick, rate=1000, shutdown=shutdown))
"""
    )
    assert child.line() == "blocking"
    child.kill(signal.SIGINT)
    assert child.end() == (0, ["shutdown n"], "")


def test_a_second_signal_does_not_keep_actuators_from_being_made_safe(start):
    child = start(
        """
class Slow(Motor):
    def safe(self):
        say("making safe")
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.3)
        say("safe")
import horus.scheduler.signals
horus.scheduler.signals.REPEAT = 0.0
def tick(node):
    say("ticking")
horus.run(Slow("motor", tick=tick, rate=0.001, shutdown=shutdown))
say("returned")
"""
    )
    assert child.line() == "ticking"
    child.kill(signal.SIGINT)
    assert child.end() == (0, ["making safe", "safe", "shutdown motor", "returned"], "")


def test_a_second_signal_leaves_a_shutdown_that_blocks_and_the_others_still_run(start):
    child = start(
        """
import horus.scheduler.signals
horus.scheduler.signals.REPEAT = 0.0
def block(node):
    say("blocking")
    time.sleep(3600)
def tick(node):
    say("ticking")
horus.run(Motor("motor", shutdown=shutdown), horus.Node("n", tick=tick, rate=0.001, shutdown=block))
say("returned")
"""
    )
    assert child.line() == "ticking"
    child.kill(signal.SIGINT)
    assert [child.line(), child.line()] == ["safe", "blocking"]
    child.kill(signal.SIGINT)
    code, lines, err = child.end()
    assert (code, lines) == (0, ["shutdown motor", "returned"])
    assert "shutdown interrupted by a second signal" in err


def test_one_ctrl_c_that_comes_twice_interrupts_no_shutdown(start):
    child = start(
        """
def slow(node):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.05)
    say("done")
def tick(node):
    os.kill(os.getpid(), signal.SIGINT)
horus.run(horus.Node("n", tick=tick, shutdown=slow))
"""
    )
    assert child.end() == (0, ["done"], "")


def test_a_first_signal_during_the_shutdown_of_a_run_that_ended_interrupts_nothing(start):
    child = start(
        """
def slow(node):
    os.kill(os.getpid(), signal.SIGINT)
    say("done")
horus.run(horus.Node("n", shutdown=slow), duration=0.0)
say("returned")
"""
    )
    assert child.end() == (0, ["done", "returned"], "")


def test_a_signal_and_a_crash_at_once_still_end_with_the_crash(start):
    child = start(
        """
def tick(node):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(3600)
    except KeyboardInterrupt:
        raise ValueError("while stopping")
horus.run(Motor("motor", tick=tick))
"""
    )
    code, lines, err = child.end()
    assert (code, lines) == (1, ["safe"])
    assert err.count("ValueError: while stopping\n") == 2, "one log line, one traceback"


def test_a_crash_makes_the_process_exit_with_the_users_traceback_once(start):
    child = start(
        """
def tick(node):
    1 / 0
horus.run(Motor("motor", tick=tick, shutdown=shutdown))
"""
    )
    code, lines, err = child.end()
    assert (code, lines) == (1, ["safe", "shutdown motor"])
    assert err.count("Traceback") == 1
    assert err.count("in tick\n") == 1


def test_sys_exit_in_a_tick_gives_the_process_its_status(start):
    child = start("horus.run(Motor('motor', tick=lambda node: sys.exit(7)))")
    assert child.end()[:2] == (7, ["safe"])


def test_outside_the_main_thread_signals_are_left_alone(start):
    child = start(
        """
signal.signal(signal.SIGTERM, lambda *_: say("mine"))
def tick(node):
    os.kill(os.getpid(), signal.SIGTERM)
thread = threading.Thread(target=horus.run, args=[horus.Node(tick=tick, rate=0.001)],
                          kwargs={"duration": 0.2})
thread.start()
while thread.is_alive():
    thread.join(0.01)
"""
    )
    assert child.end() == (0, ["mine"], "")


@pytest.mark.parametrize("round_number", range(4))
def test_a_signal_at_any_moment_makes_safe_and_returns(start, round_number):
    """Signals at random moments of a busy loop: none may slip past the orderly stop."""
    child = start(
        f"""
import random
random.seed({round_number})
safe = 0
class Busy(Motor):
    def safe(self):
        global safe
        safe += 1
def fail(node):
    raise ValueError("handled")
for turn in range(25):
    timer = threading.Timer(random.uniform(0.0, 0.01), os.kill, (os.getpid(), signal.SIGINT))
    run = horus.Scheduler().add(
        Busy("a", pubs="t", tick=lambda n: n.send("t", [1.0] * 5), rate=20000),
        horus.Node("b", subs="t", tick=lambda n: n.get_all("t"), rate=20000),
        horus.Node("c", tick=fail, on_error=lambda n, e: None, rate=20000),
    )
    def init(node):
        timer.start()
    run.add(horus.Node("t", init=init))
    run.run()
    timer.join()
say(safe)
"""
    )
    code, lines, err = child.end()
    assert (code, lines) == (0, ["25"]), err
