"""Every Python block of the production guide runs here, and does what the text around it says."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

import horus
from horus import NodeState

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
TEXT = (HERE / "production-guide.md").read_text(encoding="utf-8")
ROBOT = REPOSITORY / "examples" / "my_robot" / "nodes"


def digest(code):
    return hashlib.sha256(code.encode()).hexdigest()[:12]


#: Every Python block of the guide by its hash: (line in the guide, code).
BLOCKS = {
    digest(found[1]): (TEXT[: found.start(1)].count("\n") + 1, found[1])
    for found in re.finditer(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
}
NAMES = {
    "exports": "0634839d04ea",
    "typed node": "0ea47f5a9413",
    "robust controller": "36626d748c27",
    "performance aware": "69eec7180cc5",
    "metrics": "2867531d02c7",
    "accessors": "534bdc22e666",
    "sensor_node": "a2615821209c",
    "controller_node": "cfd6ad5962e1",
    "motor_node": "97523d04f7cd",
    "class node": "0f22879714b6",
    "monitor": "be8941d0f751",
    "stale": "85e153192699",
    "type hints": "8c616119192e",
    "recovery": "97e7b8707c58",
    "introspection": "6f2b7063c727",
    "development": "805a006ca256",
    "production": "8d1a27df95be",
    "slow ticks": "0f8f1d462b41",
    "error rate": "8dbfe2b1a8b4",
}
#: The rows of the guide's error table.
ROWS = {
    "row 1": "| Exception in tick() | ❌ | Exception propagates, node crashes |",
    "row 2": "| Exception in tick() | ✅ | on_error() called, execution continues |",
    "row 3": "| Exception > 10 times | ✅ | Auto-transition to ERROR state |",
    "row 4": "| Exception in on_error() | ✅ | Logged, original exception suppressed |",
}
shown: set[str] = set()


def shows(*names):
    """Say which blocks or rows a test is about."""
    shown.update(names)
    return lambda test: test


def source(name):
    return BLOCKS[NAMES[name]][1]


def execute(name, **surroundings):
    """Run a block as printed; ``horus`` is imported around it where the guide does so earlier."""
    line, code = BLOCKS[NAMES[name]]
    scope = {"__name__": "guide", "horus": horus, **surroundings}
    padded = "\n" * (line - 1) + code  # tracebacks name the guide's own lines
    exec(compile(padded, str(HERE / "production-guide.md"), "exec"), scope)
    return scope


def messages(caplog, level):
    return [record.message for record in caplog.records if record.levelname == level]


@pytest.fixture(autouse=True)
def _show_all(caplog):
    caplog.set_level("DEBUG", logger="horus")


def step(*nodes):
    """Return a scheduler that is stepped by hand."""
    return horus.Scheduler().add(*nodes)


def test_no_block_and_no_row_is_forgotten():
    assert sorted(NAMES.values()) == sorted(BLOCKS), "the guide has other blocks than these tests"
    table = TEXT[TEXT.index("### Error Handling Behavior") :].split("---\n")[0]
    rows = [line for line in table.splitlines() if line.startswith("| Exception")]
    assert rows == list(ROWS.values())
    assert shown == {*NAMES, *ROWS}


# exports and types --------------------------------------------------------------------------------


@shows("exports")
def test_the_core_classes_are_exported(caplog):
    execute("exports")
    for name in ("Node", "Scheduler", "NodeState"):
        assert isinstance(getattr(horus, name), type)
    assert callable(horus.run)
    for name in ("Topic", "Pub", "Sub", "message", "msgs", "Rate", "HorusError", "__version__"):
        assert hasattr(horus, name)


@shows("typed node")
def test_the_typed_node_passes_data_on_and_its_handler_takes_errors(caplog):
    scope = execute("typed node")
    node = scope["node"]
    assert (node.name, node.rate) == ("typed_node", 100.0)
    sensor, output = horus.Topic("sensor"), horus.Topic("output")
    with step(node) as scheduler:
        scheduler.tick_once()
        assert output.recv() is None, "no data, nothing sent"
        sensor.send({"x": 1})
        scheduler.tick_once()
        assert output.recv() == {"x": 1}
        sensor.send({"x": 2})
        node.send = lambda topic, data: 1 / 0
        scheduler.tick_once()
    assert messages(caplog, "ERROR") == ["Error occurred: division by zero"]
    assert node.info.failed_ticks() == 1


@shows("type hints")
def test_type_hints_do_not_change_what_happens():
    node = horus.Node(pubs="output", subs="sensor", tick=execute("type hints")["typed_tick"])
    sensor, output = horus.Topic("sensor"), horus.Topic("output")
    with step(node) as scheduler:
        scheduler.tick_once()
        sensor.send({"x": 1.5})
        scheduler.tick_once()
    assert output.recv_all() == [{"success": True}]


UNTYPED = {  # what these blocks leave without annotations is their own
    "typed node": {"type-arg"},
    "robust controller": {"type-arg", "no-untyped-def", "no-untyped-call"},
    "class node": {"no-untyped-def", "no-untyped-call"},
    "development": {"no-untyped-def"},
    "production": {"type-arg", "no-untyped-def", "no-untyped-call"},
}


def test_mypy_strict_accepts_every_block(tmp_path):
    for name in NAMES:
        code = source(name)
        if "import horus" not in code:
            code = "import horus\n" + code
        if "= node." in code and "(node" not in code:
            code = code.replace("import horus\n", "import horus\nnode = horus.Node()\n", 1)
        (tmp_path / f"{name.replace(' ', '_')}.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "mypy",
                "--strict",
                "--config-file=",
                "--follow-imports=silent",
            ),
            *("--cache-dir", str(tmp_path / "cache"), "--no-error-summary", "."),
        ],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    complaints = [line for line in done.stdout.splitlines() if ": note: " not in line]
    unexpected = []
    for line in complaints:
        found = re.match(r"(\w+)\.py:\d+: error: .*\[([\w-]+)\]$", line)
        if not found or found[2] not in UNTYPED.get(found[1].replace("_", " "), set()):
            unexpected.append(line)
    assert unexpected == []
    assert done.stderr == ""
    assert complaints, "mypy did look: the guide's untyped functions are reported"


# the error table ----------------------------------------------------------------------------------


def broken(node):
    raise ValueError("broken")


@shows("row 1")
def test_an_exception_in_tick_without_on_error_propagates_and_the_node_crashes():
    node = horus.Node(tick=broken)
    with pytest.raises(ValueError, match="broken"):
        horus.run(node)
    assert node.info.state() == NodeState.CRASHED
    assert node.info.get_metrics()["failed_ticks"] == 1


@shows("row 2")
def test_an_exception_in_tick_with_on_error_calls_it_and_execution_continues(clock):
    seen = []
    node = horus.Node(tick=broken, on_error=lambda *given: seen.append(given), rate=100)
    horus.Scheduler(clock=clock).add(node).run(0.05)
    assert [(given[0], str(given[1])) for given in seen] == [(node, "broken")] * 5


@shows("row 3")
def test_more_than_ten_exceptions_bring_the_error_state_and_ticks_go_on(clock, caplog):
    states = []

    def tick(node):
        states.append(node.info.state())
        raise ValueError("broken")

    node = horus.Node(tick=tick, on_error=lambda node, error: None, rate=100)
    horus.Scheduler(clock=clock).add(node).run(0.15)
    assert states == [NodeState.RUNNING] * 11 + [NodeState.ERROR] * 4
    assert len(messages(caplog, "ERROR")) == 1


@shows("row 4")
def test_an_exception_in_on_error_is_logged_and_the_original_suppressed(clock, caplog):
    def on_error(node, error):
        raise RuntimeError("handler broken")

    node = horus.Node(tick=broken, on_error=on_error, rate=100)
    horus.Scheduler(clock=clock).add(node).run(0.03)
    assert node.info.tick_count() == 3
    assert len(messages(caplog, "ERROR")) == 3
    assert "RuntimeError: handler broken" in caplog.text
    assert "ValueError: broken" in caplog.text


@shows("robust controller")
def test_the_robust_controller_in_normal_operation(caplog):
    scope = execute("robust controller")
    node, controller = scope["node"], scope["controller"]
    sensor, output = horus.Topic("sensor"), horus.Topic("output")
    with step(node) as scheduler:
        scheduler.tick_once()
        controller.consecutive_errors = 4
        sensor.send({"x": 1})
        scheduler.tick_once()
        assert output.recv_all() == [{"processed": True, "value": {"x": 1}}]
        assert controller.consecutive_errors == 0, "reset on success"
        assert node.info.state() == NodeState.RUNNING


@shows("robust controller")
def test_the_robust_controller_takes_a_value_error_by_itself(caplog):
    scope = execute("robust controller")
    node, controller = scope["node"], scope["controller"]

    def process_data(node, data):
        raise ValueError("out of range")

    controller.process_data = process_data
    sensor = horus.Topic("sensor")
    with step(node) as scheduler:
        sensor.send({"x": 1})
        scheduler.tick_once()
        scheduler.tick_once()
    assert messages(caplog, "WARNING") == ["Recoverable error: out of range"]
    assert node.info.get_metrics()["errors_count"] == 0


@shows("robust controller")
def test_the_robust_controller_enters_safe_mode_and_stays_in_it(caplog):
    scope = execute("robust controller")
    node, controller = scope["node"], scope["controller"]

    def process_data(node, data):
        raise OSError("sensor gone")

    controller.process_data = process_data
    sensor, cmd_vel = horus.Topic("sensor"), horus.Topic("cmd_vel")
    with step(node) as scheduler:
        for number in range(10):
            assert node.info.state() != NodeState.ERROR
            sensor.send({"x": number})
            scheduler.tick_once()
        assert node.info.state() == NodeState.ERROR, "the controller's own tenth error"
        assert controller.safe_mode is True
        assert cmd_vel.recv_all() == [{"linear": 0.0, "angular": 0.0}]
        sensor.send({"x": 10})
        scheduler.tick_once()
        scheduler.tick_once()
        metrics = node.info.get_metrics()
    assert (metrics["total_ticks"], metrics["errors_count"]) == (12, 10), "it ticks, and returns"
    errors = messages(caplog, "ERROR")
    assert [line for line in errors if line.startswith("Error #")] == [
        f"Error #{number}: sensor gone" for number in range(1, 11)
    ]
    assert errors.count("state ERROR: Too many consecutive errors") == 1
    assert errors.count("Entering SAFE MODE - degraded operation") == 1


@shows("recovery")
def test_the_recovering_handler_logs_and_sends_a_safe_command(caplog):
    handler = execute("recovery")["on_error"]
    node = horus.Node(pubs="cmd_vel", tick=broken, on_error=handler)
    cmd_vel = horus.Topic("cmd_vel")
    with step(node) as scheduler:
        scheduler.tick_once()
        scheduler.tick_once()
    assert messages(caplog, "ERROR") == ["Recoverable error: broken"] * 2
    assert cmd_vel.recv_all() == [{"linear": 0.0, "angular": 0.0}] * 2


# performance --------------------------------------------------------------------------------------


def run_timed(clock, tick, durations, **options):
    """Run a tick once for each duration (s), each tick taking so long; return the node."""
    left = list(durations)

    def timed(node):
        tick(node)
        clock.advance(left.pop(0))
        if not left:
            node.request_stop()

    node = horus.Node(tick=timed, **options)
    horus.Scheduler(clock=clock).add(node).run()
    return node


@shows("performance aware")
def test_the_performance_aware_tick_sees_its_state_figures_and_uptime(clock, caplog):
    tick = execute("performance aware")["performance_aware_tick"]
    output, sensor = horus.Topic("output"), horus.Topic("input")
    sent = []

    def feed(node):
        if not sent:
            sent.append(sensor.send({"x": 1}))
        tick(node)

    run_timed(clock, feed, [0.15, 0.01, 0.01], pubs="output", subs="input", rate=1)
    assert messages(caplog, "INFO") == [
        "Running for 0.0s",
        "Running for 1.0s",
        "Running for 2.0s",
    ]
    assert messages(caplog, "WARNING") == ["Slow tick detected: 150.0ms"]
    assert messages(caplog, "ERROR") == []
    assert output.recv_all() == [{"x": 1}]


@shows("performance aware", "error rate")
@pytest.mark.parametrize(
    ("name", "line"),
    [("performance aware", "High error rate: {}"), ("error rate", "Error rate: {}")],
)
def test_a_high_error_rate_is_logged_and_does_not_feed_itself(clock, caplog, name, line):
    scope = execute(name)
    tick = scope.get("performance_aware_tick") or scope["tick"]

    def fail_first(node):
        tick(node)
        if node.info.tick_count() == 0:
            raise ValueError("broken")

    node = horus.Node(
        pubs="output", subs="input", tick=fail_first, on_error=lambda node, error: None, rate=100
    )
    horus.Scheduler(clock=clock).add(node).run(1.5)
    rates = [line.format(f"{1 / ticks:.2%}") for ticks in range(1, 100)]
    assert messages(caplog, "ERROR") == rates, "one exception: 1 % is passed after 100 ticks"
    assert node.info.get_metrics()["errors_count"] == 1
    assert node.info.state == NodeState.STOPPED


@shows("metrics")
def test_the_metrics_have_the_guides_keys_and_types(clock):
    node = run_timed(clock, lambda node: None, [0.001, 0.0154, 0.0023], rate=10)
    scope = execute("metrics", node=node)
    printed = eval(source("metrics").split("# Returns:\n")[1])
    metrics = scope["metrics"]
    assert list(metrics) == list(printed)
    assert [type(value) for value in metrics.values()] == [type(v) for v in printed.values()]
    assert list(metrics.values()) == pytest.approx([3, 3, 0, 0, 18.7 / 3, 1.0, 15.4, 2.3])


@shows("accessors")
def test_the_accessors_return_the_same_numbers(clock):
    def tick(node):
        if node.info.tick_count() == 1:
            raise ValueError("broken")

    node = horus.Node(tick=tick, on_error=lambda node, error: clock.advance(0.1), rate=10)
    horus.Scheduler(clock=clock).add(node).run(0.5)
    scope, metrics = execute("accessors", node=node), node.info.get_metrics()
    assert scope["total"] == metrics["total_ticks"] == 5
    assert scope["errors"] == metrics["errors_count"] == 1
    assert scope["avg_ms"] == metrics["avg_tick_duration_ms"]
    assert scope["failed"] == metrics["failed_ticks"] == 1
    assert scope["success"] == metrics["successful_ticks"] == 4
    assert scope["uptime"] == pytest.approx(0.5)


@shows("monitor", "slow ticks")
@pytest.mark.parametrize(
    ("name", "durations", "lines"),
    [
        ("monitor", [0.02, 0.001, 0.03, 0.001], ["20.0ms", "30.0ms"]),  # the last tick
        ("slow ticks", [0.02, 0.001, 0.03, 0.001], ["20.0ms", "10.5ms", "17.0ms"]),  # the average
    ],
)
def test_slow_ticks_are_noticed_in_the_tick_after(clock, caplog, name, durations, lines):
    run_timed(clock, execute(name)["tick"], durations, rate=10)
    assert messages(caplog, "WARNING") == [f"Slow tick: {line}" for line in lines]


# several nodes ------------------------------------------------------------------------------------


@shows("sensor_node", "controller_node", "motor_node")
@pytest.mark.parametrize("name", ["sensor_node", "controller_node", "motor_node"])
def test_the_example_has_the_nodes_as_printed(name):
    assert (ROBOT / f"{name}.py").read_text(encoding="utf-8") == source(name)
    assert f"**nodes/{name}.py**:\n```python\n{source(name)}" in TEXT


@shows("sensor_node", "controller_node", "motor_node")
def test_the_robot_turns_the_gyro_into_motor_commands(caplog):
    sensor = execute("sensor_node")["sensor"]
    controller = execute("controller_node")["controller"]
    motor = execute("motor_node")["motor"]
    assert [(node.name, node.rate) for node in (sensor, controller, motor)] == [
        ("imu_sensor", 100.0),
        ("controller", 50.0),
        ("motor_controller", 100.0),
    ]
    step(sensor, controller, motor).tick_once()
    assert messages(caplog, "INFO") == ["Motors: linear=1.0, angular=-0.2"]


@shows("sensor_node")
@pytest.mark.parametrize(
    ("name", "variable"),
    [("sensor_node", "sensor"), ("controller_node", "controller"), ("motor_node", "motor")],
)
def test_each_node_runs_as_a_script_until_it_is_stopped(name, variable, wait_for):
    scope = {"__name__": "__main__"}

    def stop():
        try:
            wait_for(lambda: variable in scope and scope[variable].info.tick_count() > 3)
        finally:
            scope[variable].request_stop()

    stopper = threading.Thread(target=stop)
    stopper.start()
    exec(compile(source(name), f"{name}.py", "exec"), scope)
    stopper.join()
    assert scope[variable].info.state() == NodeState.STOPPED


def test_the_logger_that_the_guide_names_logs_at_10_hz(caplog):
    scope = {"__name__": "guide"}
    exec(compile((ROBOT / "logger_node.py").read_text(), "logger_node.py", "exec"), scope)
    logger = scope["logger"]
    assert logger.rate == 10.0
    nodes = execute("sensor_node")["sensor"], execute("controller_node")["controller"], logger
    step(*nodes).tick_once()
    assert messages(caplog, "INFO") == ["gyro_z=0.1 rad/s -> angular=-0.2 rad/s"]


# best practices -----------------------------------------------------------------------------------


@shows("class node")
def test_a_class_keeps_the_state_of_a_node(clock):
    scope = execute("class node")
    node, logic = scope["node"], scope["logic"]
    horus.Scheduler(clock=clock).add(node).run(0.1)
    assert (node.info.tick_count(), node.info.failed_ticks()) == (10, 0)
    assert (logic.calibration, logic.mode) == (0.0, "idle")


@pytest.mark.parametrize("rate", [1, 10, 30, 50, 100, 200, 1000])
def test_the_rates_that_the_guide_recommends_are_kept(clock, rate):
    node = horus.Node(tick=lambda node: None, rate=rate)
    horus.Scheduler(clock=clock).add(node).run(2.0)
    assert node.info.tick_count() == 2 * rate
    assert node.info.overruns() == 0


@pytest.fixture
def now(monkeypatch):
    """Hold the nodes' clock at one moment, so that what is fresh stays so on a busy machine."""
    moment = time.monotonic_ns()
    monkeypatch.setattr("horus.node.node.now_ns", lambda: moment)
    return moment


@shows("stale")
def test_stale_data_is_noticed_and_fresh_data_is_used(caplog, now):
    node = horus.Node(subs="sensor", tick=execute("stale")["tick"])
    sensor = horus.Topic("sensor")
    with step(node) as scheduler:
        sensor.send({"x": 1}, stamp_ns=now - 60_000_000)
        scheduler.tick_once()
        assert messages(caplog, "WARNING") == ["Sensor data is stale!"]
        sensor.send({"x": 2}, stamp_ns=now - 40_000_000)
        scheduler.tick_once()
        assert len(messages(caplog, "WARNING")) == 1
        assert node.has_msg("sensor") is False, "it was read"


@shows("introspection")
def test_init_can_log_what_is_declared(caplog):
    node = horus.Node(pubs=["a", "b"], subs="c", init=execute("introspection")["init"])
    step(node).tick_once()
    assert messages(caplog, "INFO") == ["Publishers: ['a', 'b']", "Subscribers: ['c']"]


# from development to production -------------------------------------------------------------------


@shows("development")
def test_the_development_code_crashes_with_the_users_traceback_once_and_a_hint(tmp_path):
    script = tmp_path / "dev.py"
    script.write_text("import horus\n" + source("development"), encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.count("Traceback (most recent call last)") == 1
    assert done.stderr.count("node.get('sensor') returns None while no message is there") == 1
    last = done.stderr[done.stderr.rindex(f'File "{script}"') :]
    assert last.startswith(f'File "{script}", line 5, in tick\n    node.send("output", data * 2)')
    assert last.endswith("TypeError: unsupported operand type(s) for *: 'NoneType' and 'int'\n")


@shows("development")
def test_the_development_code_works_while_there_is_data():
    with pytest.raises(TypeError):
        scope = {"horus": horus}
        exec(source("development"), scope)
    node = horus.Node(name="dev", subs="sensor", pubs="output", tick=scope["tick"])
    sensor, output = horus.Topic("sensor"), horus.Topic("output")
    with step(node) as scheduler:
        sensor.send(21)
        scheduler.tick_once()
    assert output.recv() == 42


@shows("production")
def test_the_production_code_works_through_fresh_stale_and_bad_data(caplog, now):
    scope = execute("production")
    node, logic = scope["node"], scope["logic"]
    sensor, output = horus.Topic("sensor"), horus.Topic("output", depth=32)

    def sample(value):
        sensor.send({"value": value}, stamp_ns=now)

    with step(node) as scheduler:
        sample(5)
        scheduler.tick_once()
        assert output.recv_all() == [{"value": 10}]
        for number in range(1, 12):
            assert node.info.state() == NodeState.RUNNING
            sample(None)  # None * 2 raises
            scheduler.tick_once()
            assert logic.error_count == number
        assert output.recv_all() == [{"safe_mode": True}]
        assert node.info.state() == NodeState.ERROR
        sample(6)
        scheduler.tick_once()
        assert output.recv_all() == [], "in ERROR it returns at once"
        node.info.reset_errors()
        scheduler.tick_once()
        assert output.recv_all() == [{"value": 12}]


@shows("production")
def test_the_production_code_warns_of_stale_data_and_of_bad_performance(clock, caplog):
    scope = execute("production")
    sensor = horus.Topic("sensor")

    def stale(node):
        sensor.send({"value": 1}, stamp_ns=clock.monotonic_ns() - 200_000_000)
        scope["logic"].tick(node)

    run_timed(clock, stale, [0.2, 0.2], pubs="output", subs="sensor")
    assert messages(caplog, "WARNING") == [
        "Stale sensor data",
        "Performance degraded: 200.0ms",
        "Stale sensor data",
    ]


# the traps ----------------------------------------------------------------------------------------


def test_trap_1_a_slow_reader_keeps_the_newest_counts_the_rest_and_is_told_once(clock, caplog):
    got = []
    fast = execute("sensor_node")["sensor"]
    slow = horus.Node(
        "slow", subs="imu_data", tick=lambda node: got.append(node.get("imu_data")), rate=50
    )
    horus.Scheduler(clock=clock).add(fast, slow).run(2.0)
    assert len(got) == 100
    assert slow.dropped("imu_data") == 200 - 100 - 16, "never more than the depth behind"
    (warning,) = messages(caplog, "WARNING")
    assert "node.get_latest('imu_data')" in warning
    assert "Sub('imu_data', depth=...)" in warning


def test_trap_2_a_backlog_of_old_messages_does_not_block_the_reader_for_ever(caplog, now):
    got = []
    tick = textwrap.dedent(source("stale")) + '    got.append(data["n"])\n'
    scope = {"horus": horus, "got": got}
    exec(tick, scope)
    sensor = horus.Topic("sensor")
    with step(horus.Node(subs="sensor", tick=scope["tick"])) as scheduler:
        for number in range(16):
            sensor.send({"n": number}, stamp_ns=now - 1_000_000_000)
        sensor.send({"n": 16}, stamp_ns=now)
        scheduler.tick_once()
    assert got == [16]


def test_trap_3_a_sensor_that_falls_silent_or_never_speaks_is_stale(wait_for, caplog):
    silent = horus.Node(subs="sensor", tick=execute("stale")["tick"])

    with step(silent) as scheduler:

        def warned():
            scheduler.tick_once()
            return messages(caplog, "WARNING")

        wait_for(warned)
    assert silent.info.failed_ticks() == 0


def test_trap_5_log_lines_are_no_errors(clock):
    node = horus.Node(tick=lambda node: node.log_error("not good"), rate=100)
    horus.Scheduler(clock=clock).add(node).run(0.2)
    assert node.info.error_count() == 0
    assert node.info.state == NodeState.STOPPED


def test_trap_6_zero_is_a_message_and_none_is_none():
    node = horus.Node(pubs="a", subs="a")
    node.open_topics()
    for empty in (0, {}, [], ""):
        node.send("a", empty)
    assert node.get_all("a") == [0, {}, [], ""]
    with pytest.raises(TypeError, match="None"):
        node.send("a", None)
