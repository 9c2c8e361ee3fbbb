"""States and figures of a node."""

from __future__ import annotations

import pytest

import horus
from horus import NodeState

KEYS = [
    "total_ticks",
    "successful_ticks",
    "failed_ticks",
    "errors_count",
    "avg_tick_duration_ms",
    "min_tick_duration_ms",
    "max_tick_duration_ms",
    "last_tick_duration_ms",
]


def test_the_states_are_lowercase_strings():
    assert [state.value for state in NodeState] == [
        "uninitialized",
        "initializing",
        "running",
        "paused",
        "stopping",
        "stopped",
        "error",
        "crashed",
    ]
    assert NodeState.ERROR == "error"
    assert f"{NodeState.ERROR}" == str(NodeState.ERROR) == "error"
    assert NodeState("error") is NodeState.ERROR


def test_the_state_can_be_called_or_not():
    info = horus.Node().info
    assert info.state() is NodeState.UNINITIALIZED
    assert info.state == NodeState.UNINITIALIZED
    assert info.state() == info.state == "uninitialized"
    assert info.state != NodeState.ERROR


def test_info_is_there_and_true_from_construction_on():
    node = horus.Node()
    assert node.info
    assert node.info is node.info


def test_before_the_first_tick_all_figures_are_zero():
    metrics = horus.Node().info.get_metrics()
    assert list(metrics) == KEYS
    assert [type(value) for value in metrics.values()] == [int] * 4 + [float] * 4
    assert set(metrics.values()) == {0}
    assert horus.Node().info.get_uptime() == 0.0


def test_inside_tick_n_the_figures_cover_the_ticks_before(clock):
    seen = []

    def tick(node):
        seen.append(node.info.get_metrics())
        clock.advance([0.004, 0.001, 0.0025][len(seen) - 1])

    node = horus.Node(tick=tick, rate=100)
    horus.Scheduler(clock=clock).add(node).run(0.03)
    assert [m["total_ticks"] for m in seen] == [0, 1, 2]
    assert seen[0]["min_tick_duration_ms"] == 0.0
    assert seen[2]["avg_tick_duration_ms"] == pytest.approx(2.5)
    assert seen[2]["min_tick_duration_ms"] == pytest.approx(1.0)
    assert seen[2]["max_tick_duration_ms"] == pytest.approx(4.0)
    assert seen[2]["last_tick_duration_ms"] == pytest.approx(1.0)
    assert node.info.get_metrics()["total_ticks"] == 3
    assert node.info.last_tick_duration_ms() == pytest.approx(2.5)


def test_accessors_and_metrics_say_the_same(clock):
    def tick(node):
        clock.advance(0.002)
        if node.info.tick_count() == 1:
            raise ValueError("second tick")

    node = horus.Node(tick=tick, rate=100, on_error=lambda node, error: None)
    horus.Scheduler(clock=clock).add(node).run(0.05)
    info = node.info
    assert list(info.get_metrics().values()) == [
        info.tick_count(),
        info.successful_ticks(),
        info.failed_ticks(),
        info.error_count(),
        info.avg_tick_duration_ms(),
        info.min_tick_duration_ms(),
        info.max_tick_duration_ms(),
        info.last_tick_duration_ms(),
    ]
    assert list(info.get_metrics().values())[:4] == [5, 4, 1, 1]
    assert info.last_error() == "ValueError: second tick"


def test_the_uptime_runs_from_the_start_to_the_stop(clock):
    node = horus.Node(tick=lambda node: uptimes.append(node.info.get_uptime()), rate=10)
    uptimes = []
    horus.Scheduler(clock=clock).add(node).run(0.5)
    assert uptimes == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    clock.advance(100.0)
    assert node.info.get_uptime() == pytest.approx(0.5)


def test_states_follow_the_life_of_a_node():
    seen = []

    def note(node):
        seen.append(node.info.state())
        if len(seen) == 2:
            node.request_stop()

    node = horus.Node(tick=note, init=note, shutdown=note, rate=1000)
    horus.run(node)
    assert seen == [NodeState.INITIALIZING, NodeState.RUNNING, NodeState.STOPPING]
    assert node.info.state == NodeState.STOPPED


def test_transition_to_error_is_logged_once_and_reset_errors_leaves_it(caplog):
    node = horus.Node("n")
    node.info.transition_to_error("motor too hot")
    node.info.transition_to_error("motor too hot")
    assert node.info.state == NodeState.ERROR
    assert [r.message for r in caplog.records] == ["state ERROR: motor too hot"]
    node.info.reset_errors()
    assert node.info.state == NodeState.RUNNING
