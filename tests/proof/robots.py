"""Kill the supervisor, drivers and nodes of a simulated robot at random; every motor must rest."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.failsafe.robot import Robot

VICTIMS = ("supervisor", "can0", "i2c1", "port", "driver")


def kill_robots(robots: int, seed: int, told: Callable[[str], object]) -> int:
    """Kill one to three processes of each of so many robots; return how many were killed.

    An AssertionError says which motor did not come to rest. $HORUS_SHM_DIR must be ours.
    """
    dice, killed = random.Random(seed), 0
    for number in range(robots):
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="horus-proof-"))
            robot = Robot(Path(folder))
            stack.callback(robot.close)
            robot.drive()
            assert robot.driver is not None
            pids = {"supervisor": robot.process.pid, "driver": robot.driver.pid}
            for bus in ("can0", "i2c1", "port"):
                pids[bus] = robot.pid_of("horus.hardware.worker", bus)
            chosen = dice.sample(VICTIMS, dice.choice((1, 1, 2, 3)))
            for name in chosen:
                time.sleep(dice.random() * dice.choice((0.0, 0.05, 0.5)))
                with suppress(ProcessLookupError):
                    os.kill(pids[name], signal.SIGKILL)
                    killed += 1
            robot.leave()
            robot.wait(robot.resting, f"{', '.join(chosen)} killed: every motor at rest")
            told(f"robot {number}: {', '.join(chosen)} killed, every motor at rest")
    return killed
