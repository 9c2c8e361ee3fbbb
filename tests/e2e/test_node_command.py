"""`horus node` beside a run."""

from __future__ import annotations

import json

import pytest

DRIVE = """\
import horus

def tick(node):
    node.send("odometry", {"x": 1.0})
    if node.info.tick_count() == 2:
        node.log_warning("a wheel slips")

horus.run(horus.Node("drive", pubs="odometry", subs="goal", tick=tick, rate=50,
                     params={"gain": 1.0}))
"""


@pytest.fixture
def command(horus_command):
    """Run a `horus` command to its end; return status, output and errors."""

    def to_the_end(*arguments: str) -> tuple[int, str, str]:
        run = horus_command(*arguments)
        return run.finish(), run.out, run.err

    return to_the_end


def test_nodes_are_listed_and_told_about(horus_run, write, command):
    write("drive.py", DRIVE)
    write("bad.py", "raise SystemExit(3)\n")
    run = horus_run("drive.py", "bad.py")
    run.wait_for("a wheel slips")
    run.wait_for(r"Crashed \[bad\]")
    status, out, _ = command("node", "list")
    rows = {line.split()[0]: line for line in out.splitlines()}
    assert status == 1
    assert "running" in rows["drive"] and "odometry" in rows["drive"] and "goal" in rows["drive"]
    assert "exit code 3" in rows["bad"]
    found = json.loads(command("node", "info", "drive", "--json")[1])
    assert found["rates_hz"]["odometry"] > 5 and found["memory_bytes"] > 1e6
    assert [param["name"] for param in found["params"]] == ["gain"]
    assert found["warnings"] == ["WARNING drive: a wheel slips"]
    out = command("node", "info", "drive")[1]
    assert "reads: goal" in out and "parameter: drive.gain = 1" in out
    assert "node drive: running, " in out and " of 50 Hz, jitter " in out and "of 20 ms" in out
    (timing,) = found["nodes"]
    assert timing["node"] == "drive" and timing["asked_rate"] == 50.0 and timing["ticks"] > 2
    assert 0.0 < timing["tick_p50"] <= timing["tick_max"] and timing["budget"] == 0.02
    status, _, err = command("node", "info", "drvie")
    assert status == 1 and "this run has no node or device 'drvie' (did you mean 'drive'?)" in err
    assert command("node", "info", "bad")[0] == 0


BUS = """\
name: bench
buses:
  can0: {use: socketcan, channel: can0}
hardware:
  left: {use: odrive, bus: can0, node: 3}
  right: {use: odrive, bus: can0, node: 4}
"""


def test_of_two_devices_in_a_process_only_the_one_that_is_meant_is_told_about(
    horus_run, write, command
):
    write("horus.yaml", BUS)
    run = horus_run("--mock")
    run.wait_for("left: ready")
    run.wait_for("right: ready")
    found = json.loads(command("node", "info", "left", "--json")[1])
    topics = {*found["publishes"], *found["rates_hz"], *found["reads"]}
    assert {"left.state", "left.command", "estop"} <= topics
    assert not [name for name in topics if name.startswith("right")]
    assert all(param["node"] == "left" for param in found["params"])
    both = json.loads(command("node", "info", "can0", "--json")[1])
    assert {"left.state", "right.state"} <= set(both["publishes"])
    assert command("node", "stop", "can0")[0] == 0
    status, out, _ = command("devices")
    assert status == 1
    assert out.count("stopped on request: horus node restart can0 starts it again") == 2
