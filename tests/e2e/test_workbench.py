"""The workbench: a device of every kind, each bus in a process of its own."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import pytest

from horus.bus import Subscriber
from horus.hardware import topics
from horus.hardware.config import load

WORKBENCH = Path(__file__).parents[2] / "examples" / "workbench"


def test_it_has_ten_devices_and_more_on_four_buses_and_more():
    robot = load(WORKBENCH)
    assert len(robot.hardware) >= 10
    assert len(robot.roots()) >= 4
    assert {bus.backend.kind for bus in robot.buses.values()} >= {"i2c", "can", "serial"}
    assert any(bus.parent for bus in robot.buses.values()), "one is behind a multiplexer"
    assert sum(device.bus == "can0" for device in robot.hardware.values()) == 3


def test_every_device_sends_and_what_moves_stops(horus_run, wait_for, monkeypatch):
    run = horus_run("--mock", str(WORKBENCH))
    run.wait_for(r"Session: \S+")
    monkeypatch.setenv("HORUS_SESSION_ID", run.session_id)
    devices = load(WORKBENCH).hardware
    ends = {n: Subscriber(topics.data_topic(n, d.driver), depth=1000) for n, d in devices.items()}
    count = dict.fromkeys(ends, 0)
    moved: set[str] = set()

    def all_send() -> bool:
        for name, end in ends.items():
            for message in end.recv_all():
                assert message.mock
                count[name] += 1
                velocity = getattr(message, "velocity", 0.0)
                if any(
                    abs(v) > 0.5 for v in (velocity if hasattr(velocity, "__len__") else [velocity])
                ):
                    moved.add(name)
        return min(count.values()) >= 5 and moved >= {"left_wheel", "right_wheel", "brush", "arm"}

    wait_for(all_send, 120)
    wait_for(lambda: run.out.count("MOCK") >= 4, 60)
    for end in ends.values():
        end.close()
    run.signal(signal.SIGINT)
    assert run.finish() == 0
    for name, rest in (("left_wheel", "idle"), ("right_wheel", "idle"), ("brush", "idle")):
        assert f"{name}: stopped (" in run.out and rest in run.out
    assert "arm: stopped (" in run.out
    assert "servos: outputs off" in run.out


def test_without_the_hardware_every_missing_bus_is_named_at_once(horus_run, capsys):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = horus_run(str(WORKBENCH))
    assert run.finish() == 1
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    robot = load(WORKBENCH)
    lines = run.err.splitlines()
    for bus in robot.roots():
        path = getattr(bus.config, "device", "")
        if path and Path(path).exists():
            pytest.skip(f"this machine has {path}")
        named = [line for line in lines if line.startswith(f"{bus.name}: ")]
        assert len(named) == 1, run.err
        assert " in horus.yaml" in named[0], "the cure"
    assert f"{len(robot.roots())} faults; nothing was started" in lines[-1]
    assert "MOCK" not in run.out + run.err
    assert "Started" not in run.out
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    with capsys.disabled():
        print(f"\n{len(robot.roots())} missing buses named within {cpu:.2f} s of CPU")
    assert cpu < 2.0
