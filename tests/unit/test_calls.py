"""Requests and replies: carried out once, answered whichever side was there first."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated, Any, Literal

import pytest

from horus import SimClock
from horus.bus import Publisher, Subscriber
from horus.errors import HorusError
from horus.node.caller import (
    CallAbsentError,
    Caller,
    CallError,
    CallFailedError,
    CallRefusedError,
    CallTimeoutError,
    call,
    describe,
    servers,
)
from horus.node.calls import Calls


@contextmanager
def serving(*calls: Calls) -> Iterator[None]:
    """Serve in another thread, as a node's tick would."""
    end = threading.Event()

    def work() -> None:
        while not end.wait(0.001):
            for server in calls:
                server.serve()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
        for server in calls:
            server.close()


@pytest.fixture
def sim_clock() -> Iterator[SimClock]:
    """Simulated time for both ends."""
    with SimClock() as clock:
        yield clock


def add(a: float, b: float = 1.0) -> float:
    """Add two numbers.

    More about it.
    """
    return a + b


def test_where_simulated_time_stands_still_a_call_without_an_answer_ends_all_the_same(sim_clock):
    errors = []

    def ask() -> None:
        try:
            call("nobody", "add", timeout=0.1)
        except CallAbsentError as error:
            errors.append(str(error))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(30)
    assert errors == ["nobody answers to 'nobody': is its process running?"]
    assert sim_clock.seconds == 0


def test_a_call_returns_what_the_handler_returned():
    with serving(Calls("sum", {"add": add})):
        assert call("sum", "add", 1, b=2.5) == 3.5
        assert call("sum", "add", a=1) == 2.0


def test_a_request_from_before_the_server_existed_is_not_lost():
    with Caller("late") as caller:
        pending = caller.start("add", 1, timeout=30)
        assert not pending.poll()
        with serving(Calls("late", {"add": add})):
            while not pending.poll():
                pass
            assert pending.result() == 2.0


def test_a_request_that_comes_twice_is_carried_out_once():
    done: list[float] = []
    replies = Subscriber("once.reply")
    requests = Publisher("once.request")
    with Calls("once", {"do": lambda: done.append(1)}) as server:
        request = {"id": "x", "method": "do", "args": [], "kwargs": {}, "expires_ns": 2**62}
        for _ in range(3):
            requests.send(request)
            server.serve()
        assert done == [1]
        assert [reply["state"] for reply in replies.recv_all()] == ["done"] * 3


def test_a_request_whose_caller_has_given_up_is_not_carried_out():
    done: list[float] = []
    requests = Publisher("old.request")
    with Calls("old", {"do": lambda: done.append(1)}) as server:
        requests.send({"id": "x", "method": "do", "expires_ns": 1})
        requests.send({"id": "y", "method": "do"})
        requests.send("nonsense")
        requests.send({"method": "do"})
        assert server.serve() == 0
        assert not done


def test_a_generator_is_resumed_when_it_is_due(sim_clock):
    steps: list[float] = []

    def work(seconds: float) -> Any:
        for _ in range(3):
            steps.append(sim_clock.monotonic_ns() / 1e9)
            yield seconds
        return "finished"

    with Calls("slow", {"work": work}) as server, Caller("slow") as caller:
        pending = caller.start("work", 0.5)
        for _ in range(200):
            server.serve()
            sim_clock.advance(0.01)
            if pending.poll():
                break
        assert pending.result() == "finished"
        assert [round(b - a, 2) for a, b in itertools.pairwise(steps)] == [0.5, 0.5]


def test_a_second_call_waits_for_the_first_and_help_does_not(sim_clock):
    order: list[str] = []

    def work(name: str) -> Any:
        order.append(f"{name} begins")
        yield 1.0
        order.append(f"{name} ends")

    with Calls("queue", {"work": work}) as server, Caller("queue") as caller:
        pending = [caller.start("work", name) for name in ("a", "b")]
        asked = caller.start("help")
        server.serve()
        assert asked.poll()
        while not all(one.poll() for one in pending):
            sim_clock.advance(0.05)
            server.serve()
    assert order == ["a begins", "a ends", "b begins", "b ends"]


def test_a_call_that_takes_too_long_says_what_the_server_is_busy_with(sim_clock):
    def calibrate() -> Any:
        yield 100.0

    with Calls("imu", {"calibrate": calibrate, "add": add}) as server, Caller("imu") as caller:
        first = caller.start("calibrate", timeout=2)
        server.serve()
        second = caller.start("add", 1, timeout=2)
        while not (first.poll() and second.poll()):
            sim_clock.advance(0.05)
            server.serve()
        with pytest.raises(CallTimeoutError, match=r"imu.calibrate .* within 2 s: imu is still at"):
            first.result()
        with pytest.raises(CallTimeoutError, match=r"imu.add .*: imu is busy with calibrate"):
            second.result()


def test_nobody_there_is_told_with_the_nearest_name(sim_clock):
    with Calls("left_wheel", {"add": add}), Caller("left_whel") as caller:
        pending = caller.start("add", 1)
        while not pending.poll():
            sim_clock.advance(0.1)
        with pytest.raises(CallAbsentError, match=r"nobody answers to 'left_whel' \(did you mean"):
            pending.result()


def test_a_device_without_commands_is_told_from_one_that_is_not_there(sim_clock):
    with closing(Publisher("imu.status")), Caller("imu") as caller:
        pending = caller.start("scan")
        while not pending.poll():
            sim_clock.advance(0.05)
        with pytest.raises(CallAbsentError, match="^imu has no commands$"):
            pending.result()


def test_an_argument_may_be_called_timeout():
    def wait(timeout: str) -> str:
        return timeout

    with serving(Calls("arm", {"wait": wait})), Caller("arm") as caller:
        assert caller.wait(caller.ask("wait", (), {"timeout": "abc"}, timeout=30)) == "abc"


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("-inf")])
def test_a_time_that_is_none_is_refused(timeout):
    with Caller("arm") as caller, pytest.raises(CallRefusedError, match="not above 0 s"):
        caller.start("scan", timeout=timeout)


@pytest.mark.parametrize("timeout", [float("inf"), 1e300])
def test_a_time_without_end_is_a_long_one(timeout):
    with serving(Calls("math", {"add": add})):
        assert call("math", "add", 1, timeout=timeout) == 2


def test_a_server_that_has_ended_is_no_server():
    with Calls("gone", {"add": add}):
        assert servers() == ["gone"]
    assert servers() == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("ad",), r"no method 'ad' \(did you mean 'add'\?\)"),
        (("add",), "missing a required argument: 'a'; it takes a: a number, b: a number = 1.0"),
        (("add", "one"), "a must be a number, not 'one'"),
        (("add", True), "a must be a number, not True"),
        (("add", float("nan")), "a must be a number, not nan"),
        (("add", 1, 2, 3), "too many positional arguments"),
        (("refuse",), "^it.refuse: the lid is open$"),
    ],
)
def test_a_refusal_says_what_is_wrong(arguments, text):
    def refuse() -> None:
        raise HorusError("the lid is open")

    with serving(Calls("it", {"add": add, "refuse": refuse})):
        with pytest.raises(CallRefusedError, match=text):
            call("it", *arguments)
        with pytest.raises(CallRefusedError, match="unknown argument 'bb'"):
            call("it", "add", 1, bb=2)


def test_a_bug_in_a_handler_is_a_failure_and_the_server_goes_on():
    def bug() -> None:
        raise ZeroDivisionError("by zero")

    with serving(Calls("it", {"bug": bug, "odd": object, "add": add})):
        with pytest.raises(CallFailedError, match=r"it.bug: ZeroDivisionError: by zero"):
            call("it", "bug")
        with pytest.raises(CallFailedError, match="its answer cannot be sent"):
            call("it", "odd")
        assert call("it", "add", 1) == 2.0


def test_what_is_under_way_is_answered_when_the_server_ends(sim_clock):
    closed: list[bool] = []

    def work() -> Any:
        try:
            yield 100.0
        finally:
            closed.append(True)

    with Caller("ends") as caller:
        with Calls("ends", {"work": work}) as server:
            pending = caller.start("work")
            server.serve()
        with pytest.raises(CallFailedError, match=r"ends.work: its process ends"):
            pending.result()
    assert closed == [True]


def test_methods_of_a_class_are_called_as_the_server_says():
    class Device:
        def turn(self, angle: Annotated[float, "rad"], way: Literal["cw", "ccw"] = "cw") -> str:
            """Turn it."""
            return f"{angle} {way}"

    device = Device()
    calls = Calls(
        "dev", {"turn": Device.turn}, invoke=lambda function, args: function(device, **args)
    )
    with serving(calls):
        assert call("dev", "turn", 2, way="ccw") == "2.0 ccw"
        assert describe("dev")["methods"]["turn"] == {
            "doc": "Turn it.",
            "arguments": [
                {"name": "angle", "type": "a number", "unit": "rad"},
                {"name": "way", "type": "cw or ccw", "unit": "", "default": "'cw'"},
            ],
        }
        with pytest.raises(CallRefusedError, match="way must be cw or ccw, not 'up'"):
            call("dev", "turn", 1, "up")


def test_many_callers_at_once_get_their_own_answers():
    answers: dict[int, list[float]] = {}
    errors: list[CallError] = []

    def ask(number: int) -> None:
        try:
            answers[number] = [call("sum", "add", number, n, timeout=30) for n in range(10)]
        except CallError as error:
            errors.append(error)

    with serving(Calls("sum", {"add": add})):
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors
    assert answers == {number: [number + n for n in range(10)] for number in range(8)}


def test_a_call_from_another_process():
    code = "from horus.node.caller import call; print(call('sum', 'add', 20, 22.0, timeout=30))"
    with serving(Calls("sum", {"add": add})):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("42.0\n", "")


def test_callers_that_died_cost_nothing():
    code = "import os, horus.node.caller as c; c.Caller('sum').start('add', 1); os._exit(1)"
    with serving(Calls("sum", {"add": add})):
        subprocess.run([sys.executable, "-c", code], check=False)
        assert call("sum", "add", 1) == 2.0
