"""`horus new NAME`: the robot that it writes is right at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from horus.cli.main import main
from horus.cli.robots import TEMPLATES

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_a_robot_is_accepted_runs_and_passes_its_tests(here, template, capsys):
    assert main(["new", "spot-1", "--template", template]) == 0
    assert "cd spot-1" in capsys.readouterr().out
    assert main(["check", "spot-1"]) == 0
    tested = python("pytest", "-q", "-p", "no:cacheprovider", cwd=here / "spot-1")
    assert tested.returncode == 0, tested.stdout
    ran = python("horus", "run", "--mock", "--duration", "1", cwd=here / "spot-1")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Crashed" not in ran.stdout
    for path in (here / "spot-1").rglob("*"):
        if path.is_file():
            assert "my_robot" not in path.read_text()
            assert "TEMPLATE" not in path.read_text()


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_its_code_is_formatted_and_clean(here, template):
    pytest.importorskip("ruff")
    assert main(["new", "robot", "--template", template]) == 0
    length = "--line-length=100"
    rules = "--select=E,F,W,I,UP,B,SIM"
    for arguments in (("check", rules, length), ("format", "--check", length)):
        done = python("ruff", *arguments, "--no-cache", "--isolated", "robot", cwd=here)
        assert done.returncode == 0, done.stdout


def test_without_a_template_it_is_empty(here):
    assert main(["new", "robot"]) == 0
    assert (here / "robot" / "nodes" / "hello.py").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["my robot"], "'my robot' cannot be the name of a robot"),
        (["../up"], "cannot be the name of a robot"),
        ([""], "cannot be the name of a robot"),
        (["one", "two"], "one name, not 2: one two"),
        (["driver"], "a driver needs a name: horus new driver my_sensor"),
        (["driver", "a_b", "c"], "one name, not 2: a_b c"),
        (["driver", "my_dev", "--template", "arm"], "--template is for robots"),
        (["robot", "--bus", "can"], "horus new driver robot"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_written(here, arguments, text, capsys):
    assert main(["new", *arguments]) == 2
    assert text in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_what_is_there_already_is_not_touched(here, capsys):
    (here / "robot").mkdir()
    assert main(["new", "robot"]) == 1
    assert "is there already" in capsys.readouterr().err
    assert list((here / "robot").iterdir()) == []
