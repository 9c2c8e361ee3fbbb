"""`horus topic` beside a simulated robot that runs."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest

from horus.bus import session
from horus.bus.leftovers import topic_ends

YAML = """\
name: test
nodes: [claw.py]
buses:
  i2c1: {use: i2c, device: /dev/i2c-77}
  can0: {use: socketcan, channel: nocan9}
hardware:
  imu: {use: mpu6050, bus: i2c1, rate: 50}
  wheel: {use: odrive, bus: can0, node: 3}
"""
CLAW = """\
import horus
from horus.message import message

@message
class Claw:
    grip: float = 0.0  # N
    open: bool = False

node = horus.Node("claw", pubs=horus.Pub("claw", Claw), subs=horus.Sub("goal", Claw),
                  init=lambda n: print("claw: here", flush=True),
                  tick=lambda n: n.send("claw", n.get_latest("goal") or Claw(2.5)), rate=20)
horus.run(node)
"""


@pytest.fixture
def command(horus_command):
    """Run a `horus` command to its end; return status, output and errors."""

    def to_the_end(*arguments: str) -> tuple[int, str, str]:
        run = horus_command(*arguments)
        return run.finish(), run.out, run.err

    return to_the_end


@pytest.fixture
def robot(horus_run: Callable[..., Any], write: Callable[[str, str], Any]) -> Any:
    write("claw.py", CLAW)
    write("horus.yaml", YAML)
    run = horus_run("--mock")
    run.wait_for(r"imu: active")
    run.wait_for(r"wheel: ready")
    run.wait_for(r"claw: here")  # its topics are made before its init
    return run


def test_topics_are_listed_with_who_is_there_and_how_much_they_carry(robot, command):
    status, out, _ = command("topic", "list")
    rows = {line.split()[0]: line.split() for line in out.splitlines()[1:]}
    assert status == 0
    assert rows["imu"][1] == "Imu" and rows["imu"][-2:] == ["i2c1", "-"]
    assert 10 < float(rows["imu"][2]) < 60
    assert rows["goal"][-2:] == ["-", "claw"]
    listed = {one["topic"]: one for one in json.loads(command("topic", "list", "--json")[1])}
    assert listed["claw"]["type"] == "Claw"
    assert listed["claw"]["bytes_per_second"] == pytest.approx(
        16 * listed["claw"]["rate_hz"], abs=1
    )
    assert listed["claw"]["publishers"][0]["name"] == "claw"


def test_messages_of_a_class_that_only_its_node_has_are_shown(robot, command):
    status, out, _ = command("topic", "echo", "claw", "--once")
    assert status == 0
    assert re.fullmatch(r"--- [\d:.]+\ngrip: 2.5 N\nopen: false\n", out)
    lines = command("topic", "echo", "claw", "-n", "3", "--json")[1].splitlines()
    assert [json.loads(line)["message"] for line in lines] == [{"grip": 2.5, "open": False}] * 3
    assert command("topic", "echo", "imu", "--field", "mock", "--once")[1] == "true\n"
    assert command("topic", "echo", "imu.mock", "--once")[1] == "true\n"
    status, out, _ = command("topic", "info", "claw")
    assert status == 0 and "type: Claw" in out and "grip   Float64  N" in out


def test_rates_are_measured(robot, command):
    status, out, _ = command("topic", "hz", "imu", "--duration", "1", "--json")
    assert status == 0 and 10 < json.loads(out)["rate_hz"] < 60
    status, out, _ = command("topic", "bw", "claw", "--duration", "1", "--json")
    assert status == 0 and json.loads(out)["mean_bytes"] == 16
    status, out, _ = command("topic", "latency", "imu", "--duration", "1", "--json")
    found = json.loads(out)
    assert status == 0 and 0 < found["p50_ms"] <= found["p99_ms"] <= found["max_ms"]
    status, out, _ = command("topic", "hz", "estop", "--duration", "0.3")
    assert (status, "no messages" in out) == (1, True)


def test_fields_are_plotted(robot, command):
    status, out, _ = command("topic", "plot", "imu", "accel_z", "gyro_z", "--duration", "1")
    assert status == 0 and re.search(r"^imu accel_z: [-\d.e]+ m/s²$", out, re.M)
    assert "imu gyro_z:" in out and "┤" in out and "\x1b" not in out
    status, _, err = command("topic", "plot", "imu", "frame", "--duration", "1")
    assert status == 2 and "frame is no number" in err


def test_a_field_to_plot_may_follow_a_dot_and_of_several_one_is_asked_for(robot, command):
    status, out, _ = command("topic", "plot", "imu.accel_z", "--duration", "1")
    assert status == 0 and re.search(r"^imu accel_z: [-\d.e]+ m/s²$", out, re.M)
    status, _, err = command("topic", "plot", "imu", "--duration", "1")
    assert status == 2 and "say which of its fields: accel_x, accel_y, accel_z, gyro_x" in err
    status, _, err = command("topic", "plot", "imu.accel_q", "--duration", "1")
    assert status == 2 and "no field 'accel_q'" in err


def test_what_is_sent_by_hand_arrives(robot, command, horus_command):
    echo = horus_command("topic", "echo", "claw", "--field", "grip")
    echo.wait_for("^2.5 N$")
    assert command("topic", "pub", "goal", "{grip: 7, open: true}")[:2] == (0, "goal: 1 sent\n")
    echo.wait_for("^7 N$")
    echo.signal(signal.SIGINT)
    assert echo.finish() == 130


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["echo", "imo"], 1, "no topic 'imo' here (did you mean 'imu'?)"),
        (["echo", "claw", "--field", "gripp"], 2, "no field 'gripp' in the message (did you mean"),
        (["hz", "../imu"], 1, "cannot be used"),
        (["pub", "gaol", "{}"], 1, "did you mean 'goal'"),
        (["pub", "goal", "{gripp: 1}"], 2, "Claw has no field 'gripp' (did you mean 'grip'?)"),
        (["pub", "goal", "{grip: x}"], 1, "Claw.grip: expected float, got str ('x')"),
        (["pub", "goal", "{"], 2, "the message is no YAML"),
        (["pub", "goal", "3"], 2, "Claw has fields: write them as YAML, such as '{grip: 0}'"),
        (["pub", "wheel.command", "{velocity: 1}"], 2, "arms wheel, and it moves"),
        (["ecko", "imu"], 2, "unknown action 'ecko' (did you mean 'echo'?)"),
    ],
)
def test_what_makes_no_sense(robot, command, arguments, status, text):
    found = command("topic", *arguments)
    assert (found[0], found[1]) == (status, ""), found[2]
    assert text in found[2]


def test_a_device_is_armed_only_by_who_says_so(robot, command):
    pub = ("topic", "pub", "wheel.command", "{velocity: 1.0}", "--rate", "20", "--duration", "0.5")
    assert command(*pub, "--arm")[0] == 0
    robot.wait_for(r"wheel: active: armed, follows wheel.command")
    robot.wait_for(r"wheel: WARNING: ready: no command for 0.25 s: told to stop")


def test_looking_is_seen_by_nobody_and_ends_with_the_run(robot, horus_command):
    echo = horus_command("topic", "echo", "imu", "--rate", "5")
    echo.wait_for("accel_z")
    before = topic_ends(session.topics_dir(robot.session_id))
    assert before["imu"].readers == ()
    robot.signal(signal.SIGINT)
    assert echo.finish() == 0
    assert "the session has ended" in echo.err


def test_two_runs_are_named(robot, horus_run, command):
    other = horus_run("claw.py")
    other.wait_for("All processes running")
    status, _, err = command("topic", "list")
    assert status == 2 and robot.session_id in err and other.session_id in err
    status, out, _ = command("topic", "list", "--session", other.session_id)
    assert status == 0 and "imu" not in out


def test_topics_of_plain_scripts_need_no_run(command, shm):
    from horus.bus import Topic

    with Topic("hello") as topic:
        topic.send({"to": ["you", 1.5]})
        status, out, _ = command("topic", "echo", "hello", "--last", "--once")
        assert status == 0 and "to: ['you', 1.5]" in out
    assert command("topic", "list")[0] == 2
