"""All the ways in which somebody stops minding a robot, and how long it then takes to stop it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from horus.hardware import stopping
from horus.node.caller import call
from horus.runtime.hang import DEFAULT_LIMIT

from .robot import Robot

TIMEOUT = 0.25  # s, the command_timeout of the robot's wheel


@dataclass(frozen=True)
class Scenario:
    """One way; ``act`` does it to a robot that drives and returns the moment it counts from."""

    name: str
    act: Callable[[Robot], int]
    #: What the time counts from, and what it should be below (s).
    since: str
    aim: float
    #: Whether the robot goes on and can be driven again.
    survives: bool = False


def _kill_source(robot: Robot) -> int:
    robot.leave()
    return robot.last_command()


def _nan(robot: Robot) -> int:
    robot.tell("nan")
    robot.wait(lambda: robot.state("wheel") == "ready", "an end")
    return robot.last_command()


def _exception(robot: Robot) -> int:
    robot.tell("raise")
    assert robot.driver is not None
    robot.driver.wait()
    return robot.last_command()


def _unplug_neighbour(robot: Robot) -> int:
    call("sim.neighbour", "fault", "unplug")
    robot.wait(lambda: robot.state("neighbour") in ("fault", "absent"), "a lost neighbour")
    assert robot.state("wheel") == "active"
    robot.leave()
    moment = robot.last_command()
    robot.told_after(moment)
    call("sim.neighbour", "fault", "plug")
    return moment


def _estop(robot: Robot) -> int:
    moment = time.monotonic_ns()
    answers = stopping.send("measured")
    assert all(answer.ok for answer in answers), answers
    robot.wait(robot.resting, "rest")
    robot.leave()
    stopping.send(release=True)
    return moment


def _to_driver(signum: int) -> Callable[[Robot], int]:
    def act(robot: Robot) -> int:
        pid = robot.pid_of("horus.hardware.worker", "can0")
        moment = time.monotonic_ns()
        os.kill(pid, signum)
        robot.told_after(moment)
        robot.leave()
        return moment

    return act


def _kill_all_drivers(robot: Robot) -> int:
    pids = [robot.pid_of("horus.hardware.worker", bus) for bus in ("i2c1", "port", "can0")]
    moment = time.monotonic_ns()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return moment


def _kill_driver_and_supervisor(robot: Robot) -> int:
    driver = robot.pid_of("horus.hardware.worker", "can0")
    moment = time.monotonic_ns()
    os.kill(driver, signal.SIGKILL)
    robot.process.kill()
    return moment


def _to_supervisor(signum: int) -> Callable[[Robot], int]:
    def act(robot: Robot) -> int:
        moment = time.monotonic_ns()
        robot.process.send_signal(signum)
        return moment

    return act


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("source killed", _kill_source, "last command", TIMEOUT + 0.02, True),
        Scenario("NaN", _nan, "last good command", TIMEOUT + 0.02, True),
        Scenario("exception in the node", _exception, "last command", TIMEOUT + 0.02, True),
        Scenario("neighbour unplugged", _unplug_neighbour, "last command", TIMEOUT + 0.02, True),
        Scenario("e-stop", _estop, "e-stop", 0.1, True),
        Scenario("driver killed", _to_driver(signal.SIGKILL), "kill", 0.1),
        Scenario("all drivers killed", _kill_all_drivers, "kill", 0.1),
        Scenario("driver and supervisor", _kill_driver_and_supervisor, "both killed", 0.1),
        Scenario("driver hung", _to_driver(signal.SIGSTOP), "SIGSTOP", DEFAULT_LIMIT + 0.2),
        Scenario("supervisor killed", _to_supervisor(signal.SIGKILL), "kill", 0.1),
        Scenario("Ctrl-C", _to_supervisor(signal.SIGINT), "signal", 0.1),
        Scenario("SIGTERM", _to_supervisor(signal.SIGTERM), "signal", 0.1),
    )
}
