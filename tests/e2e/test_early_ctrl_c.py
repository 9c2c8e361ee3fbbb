"""Ctrl-C at any moment of a command's start: an end in silence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

#: Python runs this before anything else: it presses Ctrl-C at the n-th import from horus.early on,
#: which imports nothing itself.
CUSTOM = """\
import os, sys

class Press:
    left = int(os.environ["PRESS_AT"])

def watch(event, arguments, press=Press):
    if event != "import" or "horus.early" not in sys.modules:
        return
    press.left -= 1
    if press.left == 0:
        import _signal
        _signal.raise_signal(2)
        for _ in range(10):
            pass  # a signal is handled between two steps of Python

sys.addaudithook(watch)
"""
SCRIPT = Path(sysconfig.get_path("scripts"), "horus")
STARTS = {
    "module": [sys.executable, "-m", "horus"],
    "module of commands": [sys.executable, "-m", "horus.cli"],
    "script": [sys.executable, str(SCRIPT)],
}


def pressed(start: str, arguments: list[str], at: int, folder: Path) -> tuple[int, str, str]:
    done = subprocess.run(
        [*STARTS[start], *arguments],
        env={**os.environ, "PYTHONPATH": str(folder), "PRESS_AT": str(at)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sitecustomize.py").write_text(CUSTOM)
    return tmp_path


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("at", [1, 2, 3, 5, 8, 13, 21, 34, 55])
def test_at_any_import_it_ends_without_a_word(start: str, at: int, folder: Path):
    if start == "script" and not SCRIPT.is_file():
        pytest.skip("the command is not installed as a script")
    assert pressed(start, ["run", "absent.py"], at, folder) == (0, "", "")
    assert pressed(start, ["drivers", "absent"], at, folder) == (130, "", "")


def test_without_ctrl_c_the_same_command_does_its_work(folder: Path):
    status, _, err = pressed("module", ["drivers", "absent"], 0, folder)
    assert status not in (0, 130) and "absent" in err


PROGRAM = """\
import signal
import horus
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted in order")
"""


@pytest.mark.parametrize("name", ["robot.py", "horus"])
def test_a_users_program_keeps_its_own_ctrl_c(name: str, tmp_path: Path):
    path = tmp_path / "bin" / name
    path.parent.mkdir()
    path.write_text(PROGRAM)
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted in order\n", "")


def test_a_run_interrupted_at_its_start_leaves_nothing(horus_run, write, shm: Path):
    write("a.py", "print('began', flush=True)\n")
    run = horus_run("a.py")
    run.signal(signal.SIGINT)  # Python itself may not have begun: then the signal ends it
    assert run.finish() in (0, -signal.SIGINT, 130, 1)
    assert "horus/" not in run.err
    sessions = shm / "sessions"
    assert not sessions.exists() or not list(sessions.iterdir())
