"""Run a scenario so many times; each must end with every motor at rest."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from .robot import Robot
from .scenarios import Scenario


def times_to_safe(
    scenario: Scenario, runs: int, told: Callable[[float], object] = lambda _: None
) -> list[float]:
    """Return how long (s) it took in each run until the wheel was told to stop."""
    found: list[float] = []
    while len(found) < runs:
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="horus-failsafe-"))
            robot = Robot(Path(folder))
            stack.callback(robot.close)
            for _ in range(runs - len(found) if scenario.survives else 1):
                robot.drive()
                time.sleep(0.1 + 0.01 * (len(found) % 10))  # not always at one phase of its ticks
                moment = scenario.act(robot)
                found.append(robot.told_after(moment))
                robot.wait(robot.resting, f"{scenario.name}: every motor at rest")
                robot.leave()
                told(found[-1])
    return found
