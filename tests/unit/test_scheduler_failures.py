"""What an exception does: the guide's table row by row, and the failure policies."""

from __future__ import annotations

import itertools
import traceback

import pytest

import horus
from horus import NodeState


def failing(*turns, error=None):
    """Return a tick that raises in these turns (all, if none is given)."""
    count = iter(range(1_000_000))

    def tick(node):
        turn = next(count)
        if not turns or turn in turns:
            raise error or ValueError("broken")

    return tick


def test_without_on_error_the_node_crashes_and_the_original_is_raised_when_all_is_stopped(clock):
    log = []
    error = ValueError("broken")
    bad = horus.Node("bad", tick=failing(2, error=error), rate=100)
    other = horus.Node("other", rate=100, shutdown=lambda n: log.append("other stopped"))
    with pytest.raises(ValueError) as caught:
        horus.Scheduler(clock=clock).add(bad, other).run(1.0)
    assert caught.value is error
    assert log == ["other stopped"]
    assert (bad.info.state, other.info.state) == (NodeState.CRASHED, NodeState.STOPPED)
    assert bad.info.get_metrics()["total_ticks"] == 3
    assert bad.info.get_metrics()["failed_ticks"] == bad.info.get_metrics()["errors_count"] == 1


def test_the_traceback_is_the_users_own():
    def inner():
        raise ValueError("broken")

    def tick(node):
        inner()

    with pytest.raises(ValueError) as caught:
        horus.run(horus.Node(tick=tick))
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames[-2:] == ["tick", "inner"]
    assert len(frames) <= 6
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


def test_a_crash_is_logged_on_one_line_without_the_traceback(caplog):
    with pytest.raises(ValueError):
        horus.run(horus.Node("bad", tick=failing()))
    (record,) = caplog.records
    assert record.message == "crashed in tick: ValueError: broken"
    assert record.exc_info is None


def test_a_crashed_node_is_shut_down_too_and_stays_crashed():
    log = []
    bad = horus.Node(tick=failing(), shutdown=lambda n: log.append(n.info.state()))
    with pytest.raises(ValueError):
        horus.run(bad)
    assert log == [NodeState.CRASHED]
    assert bad.info.state == NodeState.CRASHED


def test_with_on_error_the_node_goes_on(clock):
    seen = []
    error = ValueError("broken")
    node = horus.Node(
        tick=failing(1, 3, error=error),
        on_error=lambda *arguments: seen.append(arguments),
        rate=100,
    )
    horus.Scheduler(clock=clock).add(node).run(0.1)
    assert seen == [(node, error)] * 2
    metrics = node.info.get_metrics()
    assert (metrics["total_ticks"], metrics["successful_ticks"]) == (10, 8)
    assert (metrics["failed_ticks"], metrics["errors_count"]) == (2, 2)


def test_the_eleventh_exception_puts_the_node_into_error_and_it_keeps_ticking(clock, caplog):
    states = []

    def tick(node):
        states.append(node.info.state())
        raise ValueError("broken")

    node = horus.Node("bad", tick=tick, on_error=lambda node, error: None, rate=100)
    horus.Scheduler(clock=clock).add(node).run(0.2)
    assert states == [NodeState.RUNNING] * 11 + [NodeState.ERROR] * 9
    assert [r.message for r in caplog.records] == ["state ERROR: more than 10 exceptions"]


def test_the_exceptions_need_not_be_in_a_row(clock):
    node = horus.Node(tick=failing(*range(0, 22, 2)), on_error=lambda node, error: None, rate=100)
    horus.Scheduler(clock=clock).add(node).run(0.2)
    assert (node.info.error_count(), node.info.state) == (10, NodeState.STOPPED)
    states = []
    tick = failing(*range(0, 22, 2))
    node = horus.Node(
        tick=lambda node: (states.append(node.info.state()), tick(node)),
        on_error=lambda node, error: None,
        rate=100,
    )
    horus.Scheduler(clock=clock).add(node).run(0.23)
    assert states.index(NodeState.ERROR) == 21


def test_reset_errors_leaves_error_and_counts_anew(clock):
    states = []

    def tick(node):
        states.append(node.info.state())
        if len(states) == 15:
            node.info.reset_errors()
        raise ValueError("broken")

    node = horus.Node(tick=tick, on_error=lambda node, error: None, rate=100)
    horus.Scheduler(clock=clock).add(node).run(0.3)
    running, error = NodeState.RUNNING, NodeState.ERROR
    assert states == [running] * 11 + [error] * 4 + [running] * 10 + [error] * 5
    assert node.info.error_count() == 16
    assert node.info.failed_ticks() == 30


def test_what_on_error_raises_is_logged_with_both_tracebacks_and_the_node_goes_on(clock, caplog):
    def on_error(node, error):
        raise KeyError("handler")

    node = horus.Node(tick=failing(1), on_error=on_error, rate=100)
    horus.Scheduler(clock=clock).add(node).run(0.1)
    assert node.info.tick_count() == 10
    assert node.info.error_count() == 1
    (record,) = caplog.records
    text = "".join(traceback.format_exception(*record.exc_info))
    assert "ValueError: broken" in text
    assert "KeyError: 'handler'" in text


def test_on_error_may_raise_the_same_exception_again(clock, caplog):
    def on_error(node, error):
        raise error

    node = horus.Node(tick=failing(1), on_error=on_error, rate=100)
    horus.Scheduler(clock=clock).add(node).run(0.1)
    assert node.info.tick_count() == 10
    assert "on_error raised" in caplog.text


def test_an_init_that_raises_is_a_crash_before_the_first_tick():
    log = []

    def init(node):
        raise OSError("no device")

    first = horus.Node("first", tick=log.append, shutdown=lambda n: log.append("first stopped"))
    bad = horus.Node(
        "bad", tick=log.append, init=init, shutdown=log.append, on_error=lambda *_: log.append("e")
    )
    last = horus.Node("last", init=log.append, tick=log.append, shutdown=log.append)
    with pytest.raises(OSError, match="no device"):
        horus.run(first, bad, last)
    assert log == ["first stopped"]
    assert bad.info.state == NodeState.CRASHED
    assert last.info.state == NodeState.UNINITIALIZED


def test_a_shutdown_that_raises_is_logged_and_the_others_still_run(caplog):
    log = []

    def shutdown(node):
        raise OSError("stuck")

    horus.run(
        horus.Node("first", shutdown=lambda n: log.append("first")),
        horus.Node("bad", shutdown=shutdown),
        horus.Node("last", shutdown=lambda n: log.append("last")),
        duration=0.001,
    )
    assert log == ["last", "first"]
    assert "shutdown raised: stuck" in caplog.text
    assert caplog.records[0].exc_info


@pytest.mark.parametrize("leave", [KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("options", [{}, {"on_error": lambda node, error: None}, {"thread": True}])
def test_keyboard_interrupt_and_system_exit_are_never_swallowed(leave, options):
    log = []
    node = horus.Node("n", tick=failing(error=leave), **options)
    other = horus.Node("other", shutdown=lambda n: log.append("stopped"))
    with pytest.raises(type(leave)) as caught:
        horus.run(node, other)
    assert caught.value is leave
    assert log == ["stopped"]


def test_system_exit_in_on_error_and_in_shutdown_ends_the_run_too():
    def leave(*_):
        raise SystemExit(4)

    with pytest.raises(SystemExit):
        horus.run(horus.Node(tick=failing(), on_error=leave))
    log = []
    with pytest.raises(SystemExit):
        horus.run(horus.Node(shutdown=log.append), horus.Node(shutdown=leave), duration=0.0)
    assert len(log) == 1


# the hint -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "work", [lambda data: data * 2, lambda data: data["x"], lambda data: data.x]
)
def test_working_on_the_none_of_an_empty_topic_brings_a_hint_once(work, caplog):
    node = horus.Node("dev", subs="sensor", tick=lambda node: work(node.get("sensor")))
    with pytest.raises((TypeError, AttributeError)):
        horus.run(node)
    (record,) = caplog.records
    assert "node.get('sensor') returns None while no message is there" in record.message


def test_other_errors_bring_no_hint(caplog):
    node = horus.Node("dev", subs="sensor", tick=lambda node: len(5))
    with pytest.raises(TypeError):
        horus.run(node)
    assert "hint" not in caplog.text


# policies -----------------------------------------------------------------------------------------


def test_restart_goes_through_shutdown_and_init_with_a_growing_pause(clock, caplog):
    log = []
    start = clock.now_ns

    def at(what):
        return lambda node: log.append((what, round((clock.now_ns - start) * 1e-6)))

    def tick(node):
        at("tick")(node)
        if len([entry for entry in log if entry[0] == "tick"]) in (2, 3):
            raise ValueError("broken")

    node = horus.Node(
        tick=tick, init=at("init"), shutdown=at("stop"), rate=100, failure_policy="restart"
    )
    horus.Scheduler(clock=clock).add(node).run(0.345)
    assert log == [
        ("init", 0),
        ("tick", 0),
        ("tick", 10),
        ("stop", 10),
        ("init", 110),  # after 100 ms
        ("tick", 120),
        ("stop", 120),
        ("init", 320),  # after 200 ms
        ("tick", 330),
        ("tick", 340),
        ("stop", 345),
    ]
    assert node.info.restarts() == 2
    assert node.info.state == NodeState.STOPPED
    assert (node.info.tick_count(), node.info.failed_ticks()) == (5, 2)
    assert "restart 1 of 5 in 0.1 s" in caplog.text


def test_restarts_have_a_limit_and_then_the_original_is_raised(clock):
    inits = []
    node = horus.Node(
        tick=failing(),
        init=inits.append,
        rate=100,
        failure_policy="restart",
        max_restarts=2,
        restart_delay=0.01,
    )
    with pytest.raises(ValueError, match="broken"):
        horus.Scheduler(clock=clock).add(node).run(10.0)
    assert len(inits) == 3
    assert node.info.state == NodeState.CRASHED


def test_a_node_that_ran_well_for_long_has_all_its_restarts_again(clock):
    node = horus.Node(tick=failing(40, 80, 120), rate=1, failure_policy="restart", max_restarts=1)
    horus.Scheduler(clock=clock).add(node).run(200)
    assert node.info.restarts() == 3


def test_an_init_that_fails_is_tried_again_under_restart(clock):
    tries = []

    def init(node):
        tries.append(clock.now_ns)
        if len(tries) < 3:
            raise OSError("not there yet")

    ticks = []
    node = horus.Node(tick=ticks.append, init=init, rate=100, failure_policy="restart")
    horus.Scheduler(clock=clock).add(node).run(1.0)
    assert [round((b - a) * 1e-6) for a, b in itertools.pairwise(tries)] == [100, 200]
    assert ticks
    assert node.info.error_count() == 2


def test_a_node_without_tick_is_restarted_too(clock):
    tries = []

    def init(node):
        tries.append(node)
        if len(tries) < 2:
            raise OSError("not there yet")

    node = horus.Node(init=init, failure_policy="restart")
    horus.Scheduler(clock=clock).add(node).run(1.0)
    assert len(tries) == 2
    assert (node.info.state, node.info.error_count()) == (NodeState.STOPPED, 1)


def test_a_restart_leaves_error(clock):
    states = []

    def tick(node):
        states.append(node.info.state())
        if len(states) == 1:
            node.info.transition_to_error("bad")
        if len(states) == 3:
            raise ValueError("broken")

    node = horus.Node(tick=tick, rate=100, failure_policy="restart")
    horus.Scheduler(clock=clock).add(node).run(0.15)
    assert states[:4] == [NodeState.RUNNING, NodeState.ERROR, NodeState.ERROR, NodeState.RUNNING]


def test_skip_goes_on_with_the_next_tick_and_rests_after_five_in_a_row(clock, caplog):
    times = []
    start = clock.now_ns
    tick = failing(1, 3, 4, 5, 6, 7)

    def timed(node):
        times.append(round((clock.now_ns - start) * 1e-6))
        tick(node)

    node = horus.Node(tick=timed, rate=100, failure_policy="skip")
    horus.Scheduler(clock=clock).add(node).run(1.1)
    assert times == [0, 10, 20, 30, 40, 50, 60, 70, 1070, 1080, 1090]
    assert node.info.failed_ticks() == 6
    assert node.info.state == NodeState.STOPPED
    assert [r.message for r in caplog.records].count("tick raised; skipped: broken") == 6


def test_a_resting_node_is_paused(clock):
    states = []
    bad = horus.Node("bad", tick=failing(0, 1, 2, 3, 4), rate=100, failure_policy="skip")
    watch = horus.Node(tick=lambda node: states.append(bad.info.state()), rate=5)
    horus.Scheduler(clock=clock).add(bad, watch).run(1.3)
    assert states[1:] == [NodeState.PAUSED] * 5 + [NodeState.RUNNING]


def test_ignore_counts_and_logs_the_first_only(clock, caplog):
    node = horus.Node(tick=failing(), rate=100, failure_policy="ignore")
    horus.Scheduler(clock=clock).add(node).run(0.2)
    assert (node.info.tick_count(), node.info.failed_ticks()) == (20, 20)
    assert [r.message for r in caplog.records] == ["tick raised, ignored from now on: broken"]
    assert "broken" in caplog.text
    assert "horus/scheduler" not in caplog.text  # the traceback is that of the node's code alone


@pytest.mark.parametrize("policy", ["skip", "ignore"])
def test_a_node_whose_init_fails_is_left_out_under_skip_and_ignore(clock, policy):
    def init(node):
        raise OSError("no device")

    ticks = []
    bad = horus.Node("bad", init=init, tick=ticks.append, failure_policy=policy)
    good = horus.Node("good", tick=lambda node: None, rate=10)
    horus.Scheduler(clock=clock).add(bad, good).run(1.0)
    assert ticks == []
    assert (bad.info.state, good.info.tick_count()) == (NodeState.CRASHED, 10)


def test_a_run_with_no_node_left_ends(clock):
    def init(node):
        raise OSError("no device")

    horus.Scheduler(clock=clock).add(horus.Node(init=init, failure_policy="skip")).run()


def test_on_error_goes_before_the_policy(clock):
    node = horus.Node(tick=failing(), on_error=lambda *_: None, failure_policy="restart", rate=100)
    horus.Scheduler(clock=clock).add(node).run(0.1)
    assert (node.info.tick_count(), node.info.restarts()) == (10, 0)
