"""`horus service`: a unit that systemd accepts, with what a robot needs."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from horus.cli import service
from horus.cli.main import main

ROVER = Path(__file__).parents[2] / "examples" / "rover"


def printed(capsys, *arguments: str) -> str:
    assert main(["service", "install", "--print", *arguments]) == 0
    return capsys.readouterr().out


def lines(text: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


def test_the_unit_runs_this_robot_as_this_user(capsys, monkeypatch):
    monkeypatch.delenv("SUDO_USER", raising=False)
    text = printed(capsys, str(ROVER))
    assert lines(text, "User") == [getpass.getuser()]
    yaml = ROVER / "horus.yaml"
    assert lines(text, "ExecStart") == [f"{sys.executable} -m horus run {yaml}"]
    assert lines(text, "WorkingDirectory") == [str(ROVER)]
    assert lines(text, "KillSignal") == ["SIGINT"]
    assert lines(text, "LimitRTPRIO") == ["80"]


def test_under_sudo_it_runs_as_who_typed_it(capsys, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "daemon")
    assert lines(printed(capsys, str(ROVER)), "User") == ["daemon"]


def test_the_groups_are_those_of_the_buses_as_far_as_they_exist(monkeypatch):
    monkeypatch.setattr(service, "_existing", lambda groups: groups)
    text = service.unit("robot", Path("/home/me/horus.yaml"), "me", {"i2c", "serial", "can"})
    assert lines(text, "SupplementaryGroups") == ["dialout i2c"]
    monkeypatch.undo()
    assert "no_such_group" not in service._existing(["no_such_group", "root"])


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not on this machine")
def test_systemd_finds_nothing_wrong_with_it(tmp_path, capsys):
    folder = tmp_path / "my robot's 50% $HOME"
    shutil.copytree(ROVER, folder)
    assert main(["service", "install", "--units", str(tmp_path), "--mock", str(folder)]) == 0
    assert "systemctl enable --now horus-rover" in capsys.readouterr().out
    (made,) = tmp_path.glob("*.service")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(made)], capture_output=True, text=True, timeout=60
    )
    assert made.name not in done.stderr, done.stderr


def test_what_was_installed_can_be_removed(tmp_path, capsys):
    for action, status in (("remove", 1), ("install", 0), ("remove", 0), ("remove", 1)):
        assert main(["service", action, "--units", str(tmp_path), str(ROVER)]) == status
    assert list(tmp_path.iterdir()) == []
    assert "there is no" in capsys.readouterr().err


def test_wrong_input_is_told(tmp_path, capsys):
    assert main(["service", "install", "--print", "--user", "nobodi", str(ROVER)]) == 2
    assert "no user 'nobodi' (did you mean 'nobody'?)" in capsys.readouterr().err
    assert main(["service", "install", "--units", str(tmp_path / "gone"), str(ROVER)]) == 1
    assert "run by systemd?" in capsys.readouterr().err
    assert main(["service", "install", "--print", str(tmp_path)]) == 2
    assert "there is no horus.yaml" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_without_root_it_says_so():
    code = (
        "import os, sys; from horus.cli.service import _write; os.setuid(65534); "
        "from pathlib import Path; sys.exit(_write(Path('/etc/horus-test.service'), 'x'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "can only be written by root: use sudo" in done.stderr


def test_the_command_for_sudo_is_one_that_can_be_called(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/opt/robot/.venv/bin/horus"])
    assert service._command() == "/opt/robot/.venv/bin/horus"
    monkeypatch.setattr(sys, "argv", ["/opt/robot/horus/__main__.py"])  # python -m horus
    assert service._command() == f"{sys.executable} -m horus"
