"""What the monitor finds out about a session, and that it leaves no trace there."""

from __future__ import annotations

import json
import math
import time

import numpy as np
import pytest
from horus_plugins.monitor.model import Model
from horus_plugins.monitor.rows import Lately
from horus_plugins.monitor.series import Point, Series, fields_of, thinned
from horus_plugins.monitor.topics import is_internal

from horus.bus import Subscriber, session
from horus.bus.leftovers import topic_ends
from horus.bus.observer import NoSuchTopic
from horus.hardware import estop
from horus.msgs import Imu
from horus.runtime.sessions import STOPPED, RunDevice, RunProcess, note_devices, note_processes

# devices


def test_the_failing_device_comes_first_and_says_why(robot, found):
    robot.device("air")
    robot.device(
        "imu", "absent", "imu on i2c1: nothing answers at address 0x68", errors=16, rate=0.0
    )
    robot.device("wheel", "ready", "told to stop")
    snapshot = found(lambda s: len(s.devices) == 3)
    assert [(d.name, d.level, d.state) for d in snapshot.devices] == [
        ("imu", "bad", "absent"),
        ("air", "ok", "active"),
        ("wheel", "ok", "ready"),
    ]
    assert snapshot.devices[0].text == "nothing answers at address 0x68"
    assert snapshot.devices[0].bus == "i2c1:0x68"
    assert snapshot.mock
    (trouble,) = snapshot.failing
    assert (trouble.kind, trouble.name, trouble.state) == ("device", "imu", "absent")


def test_errors_on_the_bus_and_a_low_rate_are_pointed_out(robot, found):
    robot.device("imu", errors=3)
    robot.device("air", rate=20.0)
    found(lambda s: len(s.devices) == 2)
    robot.device("imu", errors=8)
    snapshot = found(lambda s: any(d.errors_lately for d in s.devices))
    air, imu = snapshot.devices
    assert (imu.level, imu.errors, imu.errors_lately) == ("warn", 8, 5)
    assert imu.text.startswith("bus errors: 5 in 10 s")
    assert air.level == "warn"
    assert air.text.startswith("slow: 20 of 100 samples a second")
    assert not snapshot.failing and len(snapshot.troubles) == 2


def test_a_device_that_was_never_heard_of_is_waited_for_and_then_gone(robot, monkeypatch):
    robot.has_devices("imu")
    model = Model(robot.id)
    (device,) = model.sample().devices
    assert (device.level, device.state) == ("off", "waiting")
    monkeypatch.setattr("horus_plugins.monitor.devices.PATIENCE", 0.0)
    (device,) = model.sample().devices
    assert (device.level, device.state) == ("bad", "gone")
    assert "no process looks after it" in device.text
    model.close()


def test_a_device_that_a_person_has_stopped_does_not_fail_and_is_not_forgotten(robot):
    note_devices(robot.session.path, [RunDevice("imu", "mpu6050", "i2c1", "0x68", "i2c1")])
    note_processes(robot.session.path, [RunProcess("i2c1", "driver", 1, 1, end=STOPPED)])
    model = Model(robot.id)
    snapshot = model.sample()
    model.close()
    (device,), (node,) = snapshot.devices, snapshot.nodes
    assert (device.level, device.state) == (node.level, "stopped") == ("warn", "stopped")
    assert "horus node restart i2c1" in device.text and "horus node restart i2c1" in node.text
    assert not snapshot.failing


# nodes


def test_a_nodes_rate_is_the_present_one_not_that_since_its_start(robot, model, found):
    robot.node(ticks=1000)
    found(lambda s: any(n.asked_rate == 50 for n in s.nodes))
    robot.node(ticks=10)
    snapshot = found(lambda s: s.nodes[0].rate == pytest.approx(10))
    (node,) = snapshot.nodes
    assert (node.name, node.process, node.level) == ("drive", "drive", "warn")
    assert node.text == "slow: 10 of 50 ticks a second"
    assert node.jitter == 0.002
    robot.node(ticks=0)
    (node,) = found(lambda s: s.nodes[0].level == "bad").nodes
    assert (node.state, node.text) == ("hangs", "no tick ends any more")


@pytest.mark.parametrize(
    ("more", "level", "text"),
    [
        ({"state": "crashed", "last_error": "ZeroDivisionError: x"}, "bad", "ZeroDivisionError: x"),
        ({"failed": 4, "last_error": "ValueError: y"}, "warn", "errors: 4 in 10 s, ValueError: y"),
        ({"deadline_misses": 2}, "warn", "missed deadlines: 2 in 10 s"),
        ({"state": "paused"}, "off", ""),
        ({}, "ok", ""),
    ],
)
def test_what_is_wrong_with_a_node_is_said(robot, model, found, more, level, text):
    robot.node()
    found(lambda s: any(n.asked_rate == 50 for n in s.nodes))
    robot.node(**more, over_budget=1)
    (node,) = found(lambda s: s.nodes[0].level == level).nodes
    assert node.text == text


def test_how_a_process_has_ended_is_seen(robot, found):
    ends = [
        RunProcess("lost", "node", 2**22 - 1, 1, end="killed by SIGKILL"),
        RunProcess("done", "node", 2**22 - 2, 1, end="exit code 0"),
        RunProcess("i2c1.sim", "twin", 2**22 - 3, 1, end="exit code 0"),
        RunProcess("can0.sim", "twin", 2**22 - 4, 1, end="exit code 1"),
    ]
    note_processes(robot.session.path, [*robot.processes, *ends])
    snapshot = found(lambda s: len(s.nodes) == 4)
    assert [(n.name, n.level, n.state) for n in snapshot.nodes] == [
        ("can0.sim", "bad", "exit code 1"),
        ("lost", "bad", "killed by SIGKILL"),
        ("drive", "ok", "running"),
        ("done", "off", "exit code 0"),
    ]
    cpu = found(lambda s: not math.isnan(s.nodes[2].cpu)).nodes[2].cpu
    assert 0 <= cpu < 1000


# topics


def test_rate_bandwidth_and_who_is_there(robot, found):
    reader = Subscriber("imu")
    robot.send("imu", Imu())
    found(lambda s: any(t.name == "imu" for t in s.topics))
    for _ in range(100):
        robot.send("imu", Imu())
    (imu,) = found(lambda s: s.topics[0].rate > 0).topics
    assert (imu.level, imu.type, imu.publishers, imu.readers) == (
        "ok",
        "Imu",
        ("drive",),
        ("drive",),
    )
    assert imu.bandwidth == pytest.approx(imu.rate * Imu.__horus_spec__.size)
    assert imu.age < 30
    reader.close()


def test_what_readers_lose_and_lag_behind(robot, found, model):
    now = time.monotonic_ns()
    robot.send("imu", Imu(), now)
    robot.reads("imu", dropped=5, age=0.5)
    found(lambda s: s.topics and s.topics[0].lost == 5)
    assert model.last.topics[0].lag == pytest.approx(0.5, abs=0.4)
    robot.send("imu", Imu())
    robot.reads("imu", dropped=9, age=0.0)
    (imu,) = found(lambda s: s.topics[0].lost == 9).topics
    assert (imu.lag, imu.level, imu.lost_lately) == (0.0, "warn", 4)
    assert imu.text == "LOST 4 in 10 s: drive reads too slowly"


def test_a_topic_that_falls_silent_is_pointed_out_and_one_that_nobody_sends_is_not(
    robot, found, monkeypatch
):
    monkeypatch.setattr("horus_plugins.monitor.topics.SILENT", 0.05)
    waiting = Subscriber("estop")
    for _ in range(20):
        robot.send("imu", Imu())
    found(lambda s: len(s.topics) == 2)
    for _ in range(20):
        robot.send("imu", Imu())
    imu, stop = found(lambda s: s.topics[0].level == "warn").topics
    assert imu.text.startswith("SILENT, it had ")
    assert (stop.level, stop.text) == ("off", "nobody sends")
    waiting.close()


def test_topics_of_horus_itself_are_hidden_until_they_are_asked_for(robot, model, found):
    for name in ("imu", "sim.imu", "arm.request", "arm.reply", "wire.i2c1"):
        robot.send(name, 1)
    robot.device("imu")
    snapshot = found(lambda s: s.devices)
    assert [topic.name for topic in snapshot.topics] == ["imu"]
    assert snapshot.hidden_topics == 7  # horus/nodes and horus/readers are the others
    model.everything = True
    assert len(found(lambda s: len(s.topics) > 1).topics) == 8
    assert is_internal("left.status") and not is_internal("left.state")


# log, e-stop, the end


def test_the_log_comes_in_order(robot, found):
    robot.log.add("drive", [b"hello", b"12:00:00.000 WARNING planner: lost"])
    snapshot = found(lambda s: len(s.log) == 2)
    assert [(line.number, line.who, line.level) for line in snapshot.log] == [
        (1, "drive", "info"),
        (2, "drive/planner", "warning"),
    ]
    robot.log.add("", [b"   Stopped [drive]"])
    assert found(lambda s: len(s.log) == 3).log[2].who == "horus"


def test_an_emergency_stop_is_seen_until_it_is_released(robot, found):
    estop.keep(estop.Stop(time.monotonic_ns(), "too close", "button"))
    stop = found(lambda s: s.stop).stop
    assert (stop.reason, stop.source) == ("too close", "button")
    estop.forget(time.monotonic_ns())
    found(lambda s: s.stop is None)


def test_when_the_run_is_over_it_says_so_and_keeps_what_it_knew(robot, model, found):
    robot.device("imu", "fault", "cable")
    found(lambda s: s.devices)
    robot.ends()
    snapshot = found(lambda s: s.ended)
    assert [device.name for device in snapshot.devices] == ["imu"]
    model.close()
    assert not robot.session.path.exists()


def test_a_snapshot_is_json(robot, found):
    robot.node()
    robot.send("imu", Imu())
    snapshot = found(lambda s: s.topics and s.nodes)
    about = json.loads(json.dumps(snapshot.as_json(), allow_nan=False))
    assert about["topics"][0]["lag"] is None
    assert about["session"] == robot.id


def test_it_reads_no_topic_of_the_robots_own_and_leaves_nothing(robot, wait_for):
    robot.send("imu", Imu())
    robot.device("imu")
    model = Model(robot.id)
    model.sample()
    series = Series("imu", "gyro_x")
    series.look(time.monotonic())
    readers = {name for name, ends in topic_ends(session.topics_dir()).items() if ends.readers}
    assert readers == {"horus/nodes", "horus/readers"}
    model.close(), series.close()
    left = {path.name for path in session.topics_dir().iterdir() if path.is_dir()}
    assert left == {"imu", "imu.status"}


# series


def test_the_numeric_fields_of_a_topic_can_be_chosen(robot):
    robot.send("imu", Imu())
    fields = {field.path: field.unit for field in fields_of("imu")}
    assert fields["gyro_z"] == "rad/s"
    assert "orientation.0" in fields
    robot.send("plain", {"pose": {"x": 1.0}, "name": "a", "on": True, "list": [1, [2, 3]]})
    assert [field.path for field in fields_of("plain")] == [
        "pose.x",
        "on",
        "list.0",
        "list.1.0",
        "list.1.1",
    ]
    robot.send("number", 5)
    assert [field.path for field in fields_of("number")] == [""]
    robot.send("image", np.zeros((480, 640), "uint8"))
    assert fields_of("image")[0].path == "0.0"
    assert len(fields_of("image")) == 256
    with pytest.raises(NoSuchTopic, match="did you mean 'imu'"):
        fields_of("imo")


def test_a_series_follows_a_field_over_an_absence_of_its_topic(robot):
    robot.send("wheel", {"v": 1.0})
    series = Series("wheel", "v")
    now = time.monotonic()
    assert [point.value for point in series.look(now)] == [1.0]
    robot.send("wheel", {"v": 2.0})
    robot.send("wheel", {"w": 0.0})
    found = series.look(now)
    assert found[0].value == 2.0 and math.isnan(found[1].value)
    assert "no field 'v'" in series.trouble
    robot.close("wheel")
    series.look(now)
    assert series.trouble == "the topic is not there"
    robot.send("wheel", {"v": 3.0})
    assert [point.value for point in series.look(now)] == [3.0]
    assert series.trouble == ""
    assert series.look(now + 100) == [] and not series.points
    series.close()


def test_many_points_keep_their_lows_and_highs():
    points = [Point(i / 1000, math.sin(i)) for i in range(1000)]
    points[500] = Point(0.5, 9.0)
    points[700] = Point(0.7, -9.0)
    thin = thinned(points)
    assert len(thin) <= 100
    assert {points[500], points[700]} <= set(thin)
    assert thin == sorted(thin)
    assert thinned(points[:50]) == points[:50]


def test_growth_is_that_of_the_last_seconds():
    lately = Lately(10.0)
    assert lately.of("a", 5, 0.0) == 0
    assert lately.of("a", 8, 1.0) == 3
    assert lately.of("a", 9, 8.0) == 4
    assert lately.of("a", 9, 12.0) == 1
    assert lately.of("a", 9, 19.0) == 0
    assert lately.of("a", 2, 20.0) == 0, "it began anew"
    assert lately.of("a", 3, 21.0) == 1
    assert lately.of("b", 7, 21.0) == 0
