"""`horus node stop` and `restart`: one process of a run at a time, and what it moves made safe."""

from __future__ import annotations

import json
import os
import signal

import pytest

from horus.bus import Subscriber
from horus.msgs import MotorState
from horus.node.caller import Caller
from horus.runtime.sessions import noted_processes

TICKING = """\
import horus
horus.run(horus.Node("{name}", pubs="{name}", tick=lambda node: node.send("{name}", 1), rate=50))
"""
TWO = """\
import horus
horus.run(*(horus.Node(n, pubs=n, tick=lambda node: node.send(node.name, 1)) for n in "ab"))
"""
DEAF = """\
import signal, select
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
while True:
    select.select([], [], [], 10)
"""
ROBOT = """\
nodes: [turn.py]
buses:
  can0: {use: socketcan, channel: can0}
  i2c1: {use: i2c, device: /dev/i2c-1}
hardware:
  wheel: {use: odrive, bus: can0, node: 3, max_velocity: 12.0}
  lift: {use: odrive, bus: can0, node: 4, max_velocity: 12.0}
  imu: {use: mpu6050, bus: i2c1}
"""
TURN = """\
import horus
from horus.msgs import MotorCommand

def tick(node):
    for name in ("wheel.command", "lift.command"):
        node.send(name, MotorCommand(velocity=5.0))

pubs = [horus.Pub(name, MotorCommand) for name in ("wheel.command", "lift.command")]
horus.run(horus.Node("turn", pubs=pubs, tick=tick, rate=50))
"""


@pytest.fixture
def command(horus_command):
    """Run a `horus` command to its end; return status, output and errors."""

    def to_the_end(*arguments: str) -> tuple[int, str, str]:
        run = horus_command(*arguments)
        return run.finish(), run.out, run.err

    return to_the_end


@pytest.fixture
def robot(horus_run, write, monkeypatch, wait_for):
    """A robot of which two motors turn."""
    write("horus.yaml", ROBOT)
    write("turn.py", TURN)
    run = horus_run("--mock", HORUS_HANG_LIMIT="60")  # what hangs is left to these tests
    run.wait_for("All processes running")
    monkeypatch.setenv("HORUS_SESSION_ID", run.session_id)
    for name in ("wheel", "lift"):
        turning(name, wait_for)
    return run


def turning(name: str, wait_for) -> None:
    state = Subscriber(f"{name}.state", MotorState)

    def turns() -> bool:
        found = state.latest()
        return found is not None and found.velocity > 4.0

    wait_for(turns)
    state.close()


def at_rest(name: str) -> bool:
    """Whether the device itself, not its driver, is at rest."""
    with Caller(f"sim.{name}") as caller:
        return bool(caller.call("truth")["at_rest"])


def process(run, name: str):
    (found,) = (p for p in noted_processes(run.session_id) if p.name == name)
    return found


def test_a_node_is_stopped_and_started_again_while_the_others_go_on(
    horus_run, write, command, wait_for
):
    write("one.py", TICKING.format(name="one"))
    write("other.py", TICKING.format(name="other"))
    run = horus_run("one.py", "other.py")
    run.wait_for("All processes running")
    other = process(run, "other").pid
    assert command("node", "stop", "one")[:2] == (0, "stopped one: stopped on request\n")
    run.wait_for(r"Stopped \[one\]")
    assert process(run, "one").end == "stopped on request"
    assert command("node", "list")[0] == 0, "that is no failure"
    status, out, _ = command("node", "stop", "one")
    assert (status, out) == (0, "one was not running: stopped on request\n")
    status, out, err = command("node", "restart", "one", "--json")
    answer = json.loads(out)
    now = process(run, "one")
    assert status == 0, err
    assert answer["ready"] and answer["pid"] == now.pid and not now.end
    assert now.restarts == 0
    assert command("node", "restart", "one")[0] == 0
    assert process(run, "one").pid != now.pid
    assert process(run, "other").pid == other
    run.signal(signal.SIGINT)
    assert run.finish() == 0
    assert "Crashed" not in run.out and "Restarting" not in run.out


def test_a_run_whose_only_node_was_stopped_goes_on(horus_run, write, command):
    write("one.py", TICKING.format(name="one"))
    run = horus_run("one.py", "--restart", "always", "--fail-fast")
    run.wait_for("All processes running")
    assert command("node", "stop", "one")[0] == 0
    assert command("node", "restart", "one")[0] == 0
    run.signal(signal.SIGINT)
    assert run.finish() == 0
    assert "Restarting" not in run.out


def test_a_turning_motor_is_at_rest_when_its_driver_has_stopped(robot, command, wait_for):
    status, out, err = command("node", "stop", "wheel")
    assert (status, out) == (2, "")
    assert "wheel is in the process can0 with lift: to stop all of them: " in err
    assert process(robot, "can0").end == ""
    status, out, _ = command("node", "stop", "wheel", "--with-others")
    assert status == 0
    assert out.splitlines()[-1] == "stopped can0 (wheel, lift): stopped on request"
    assert "wheel: stopped (0.0 rad/s, idle)" in out and "lift: stopped (" in out
    assert at_rest("wheel") and at_rest("lift")
    assert command("node", "restart", "can0")[0] == 0
    turning("wheel", wait_for)
    assert process(robot, "i2c1").end == ""


def test_stopping_the_node_that_commands_it_stops_a_motor_too(robot, command, wait_for):
    assert command("node", "stop", "turn")[0] == 0
    wait_for(lambda: at_rest("wheel") and at_rest("lift"))
    assert command("node", "restart", "turn")[0] == 0
    turning("wheel", wait_for)


def test_a_driver_that_hangs_is_killed_and_its_motors_made_safe(robot, command):
    os.kill(process(robot, "can0").pid, signal.SIGSTOP)
    status, out, err = command("node", "restart", "can0", "--grace", "0.2", "--json")
    answer = json.loads(out)
    assert status == 0, err
    assert len(answer["last_words"]) == 2
    assert all("made safe by the supervisor" in line for line in answer["last_words"])
    assert answer["end"] == "stopped on request: killed by signal 9 (SIGKILL)"
    assert process(robot, "can0").pid == answer["pid"]
    assert process(robot, "can0").restarts == 0


def test_a_node_that_does_not_listen_is_killed(horus_run, write, command):
    write("deaf.py", DEAF)
    run = horus_run("deaf.py")
    run.wait_for("deaf$")
    status, out, _ = command("node", "stop", "deaf", "--grace", "0.2")
    assert status == 0
    assert out == "stopped deaf: stopped on request: killed by signal 9 (SIGKILL)\n"


def test_one_of_two_nodes_in_a_process_is_not_stopped_alone(horus_run, write, command):
    write("two.py", TWO)
    run = horus_run("two.py")
    run.wait_for("All processes running")
    status, _, err = command("node", "stop", "a")
    assert status == 2
    assert "a is in the process two with b: to stop all of them: horus node stop a --with" in err
    assert command("node", "stop", "a", "--with-others")[:2] == (
        0,
        "stopped two (b): stopped on request\n",
    )


def test_what_makes_no_sense(horus_run, write, command):
    assert command("node", "stop", "one")[0] == 2
    write("one.py", TICKING.format(name="one"))
    write("once.py", "print('done', flush=True)\n")
    run = horus_run("one.py", "once.py")
    run.wait_for(r"Ended \[once\]")
    status, out, err = command("node", "stop", "oen")
    assert (status, out) == (1, "")
    assert err == "horus: this run has no node or device 'oen' (did you mean 'one'?)\n"
    assert command("node", "stop", "one", "--grace", "-1")[0] == 2
    assert "at most 60 s" in command("node", "stop", "one", "--grace", "61")[2]
    assert process(run, "one").end == ""
    status, _, err = command("node", "restart", "once")
    assert (status, err) == (1, "horus: once ended again at once: exit code 0\n")
    run.wait_for(r"\[once\] done[^$]*\[once\] done")
