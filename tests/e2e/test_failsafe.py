"""However a robot is left alone, every motor comes to rest; the times are printed (``pytest -s``).

``HORUS_FAILSAFE_RUNS`` says how often each is tried. The times are judged by a person, or by
``python -m tests.failsafe --runs 50``: on a busy machine they say more about that than about HORUS.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNS = os.environ.get("HORUS_FAILSAFE_RUNS") or ("5" if os.environ.get("CI") else "1")
SCENARIOS = (
    "source killed",
    "NaN",
    "exception in the node",
    "neighbour unplugged",
    "e-stop",
    "driver killed",
    "all drivers killed",
    "driver and supervisor",
    "driver hung",
    "supervisor killed",
    "Ctrl-C",
    "SIGTERM",
)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_motor_comes_to_rest(scenario: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.failsafe", "--runs", RUNS, "--only", scenario],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60 + 120 * int(RUNS),
    )
    print(done.stdout)
    assert "every run ended with every motor at rest" in done.stdout, done.stdout + done.stderr
    assert done.stdout.splitlines()[1].startswith(scenario)
