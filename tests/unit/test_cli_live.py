"""Commands for a running robot: what can be told without one, or from what a run leaves behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from horus.bus import session
from horus.cli import call as call_command
from horus.cli import live
from horus.cli.main import COMMANDS, main
from horus.hal.driver import marked
from horus.node.calls import Calls
from horus.plugins import drivers
from horus.runtime.lastwords import FOLDER
from horus.runtime.sessions import (
    RunDevice,
    RunProcess,
    armed_devices,
    note_devices,
    note_processes,
    noted_devices,
)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[session.Session]:
    """A run of this process's, in which all commands take part."""
    made = session.new_session()
    monkeypatch.setenv("HORUS_SESSION_ID", made.id)
    yield made
    session.end_session(made.id)


# arguments


@pytest.mark.parametrize("timeout", ["nan", "1e400", "-1", "0", "soon"])
def test_call_refuses_a_time_that_is_none(run, timeout, capsys):
    assert main(["call", "arm", "scan", "--timeout", timeout]) == 2
    assert f"{timeout!r} is not a number of seconds above 0" in capsys.readouterr().err


@pytest.mark.parametrize("rate", ["fast", "0", "-1", "nan", "inf"])
def test_pub_refuses_a_rate_that_is_none_as_a_rate(run, rate, capsys):
    assert main(["topic", "pub", "goal", "1", "--create", "--rate", rate]) == 2
    assert f"{rate!r} is not a rate in Hz above 0" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["topic", "pub", "goal", "1", "--create"], ["log"]])
@pytest.mark.parametrize("number", ["many", "0", "-5", "1.5"])
def test_a_number_of_things_is_whole_and_above_0(run, words, number, capsys):
    assert main([*words, "-n", number]) == 2
    assert f"{number!r} is not a whole number above 0" in capsys.readouterr().err


def test_log_says_that_nothing_was_printed(run, capsys):
    note_processes(run.path, [RunProcess("drive", "node", os.getpid(), 0)])
    assert main(["log", "--node", "drive", "--level", "error"]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "horus: drive has printed nothing of the level error or above lately\n"


def test_an_error_of_a_file_is_told_with_its_cure(tmp_path, monkeypatch, capsys):
    def refuse(self: Path, *args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "mkdir", refuse)
    assert main(["new", "robot"]) == 1
    told = capsys.readouterr().err
    assert "robot: Permission denied: this user may not: see ls -ld, or name another place" in told
    assert "Errno" not in told


@pytest.mark.parametrize(
    ("arguments", "required"),
    [(["call"], "DEVICE"), (["mock"], "action"), (["mock", "-f"], "action")],
)
def test_only_what_is_really_required_is_asked_for(arguments, required, capsys):
    assert main(arguments) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith(f"the following arguments are required: {required}")


@pytest.mark.parametrize(
    ("text", "value"),
    [("-5e-1", -0.5), ("-1e9", -1e9), ("-.5", -0.5), ("5.", 5.0), ("-0x10", -16), ("nan", "nan")],
)
def test_numbers_are_read_in_any_notation(text, value):
    assert live.value(text) == value


@pytest.mark.parametrize("text", ["-5e-1", "-1e9", "-.5", "-.5e3", "-5.", "-0x10", "-inf"])
def test_mock_takes_no_negative_number_for_an_option(run, text, capsys):
    assert main(["mock", "set", "gps.current", text, "-1"]) == 1
    assert "no simulated device runs" in capsys.readouterr().err


def test_mock_still_knows_an_option_that_is_none(capsys):
    assert main(["mock", "set", "gps.current", "-z"]) == 2
    assert "unrecognized arguments: -z" in capsys.readouterr().err


# help


@pytest.mark.parametrize("name", list(COMMANDS))
def test_help_is_plain_text(name, capsys):
    assert main([name, "--help"]) == 0
    assert "`" not in capsys.readouterr().out


def test_help_of_the_measurements_is_plain_text():
    done = subprocess.run(
        [sys.executable, "-m", "tests.failsafe", "--help"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "`" not in done.stdout


def test_the_examples_of_call_are_commands_that_a_driver_has():
    has = {name for entry in drivers().values() for name in marked(entry.load(), "command")}
    examples = f"{COMMANDS['call'].example}\n{call_command._EXAMPLES}"
    named = re.findall(r"horus call \w+ (\w+)", examples)
    assert len(named) == 2
    assert set(named) <= has


# another user's


@pytest.mark.parametrize("words", ["devices", "ps", "stop", "topic list", "log", "param list"])
def test_a_run_of_another_user_is_told_as_that(shm, monkeypatch, words, capsys):
    session.sessions_dir().mkdir(parents=True)

    def refuse(self: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.delenv("HORUS_SESSION_ID", raising=False)
    monkeypatch.setattr(Path, "iterdir", refuse)
    assert main(words.split()) == 2
    told = capsys.readouterr().err
    assert "belongs to the user" in told and "run as that user" in told
    assert "Errno" not in told


# devices


def test_the_devices_of_a_run_are_noted(run):
    assert noted_devices() == []
    devices = [RunDevice("wheel", "odrive", "can0", "3"), RunDevice("gps", "ublox", "gps_port")]
    note_devices(run.path, devices)
    assert noted_devices() == devices
    (run.path / "devices.json").write_text('[{"name": 1}]')
    assert noted_devices() == []


def test_a_device_that_was_never_heard_of_is_gone(run, capsys):
    note_devices(run.path, [RunDevice("wheel", "odrive", "can0", "3")])
    assert main(["devices"]) == 1
    line = capsys.readouterr().out.splitlines()[1]
    assert line.split()[:4] == ["wheel", "gone", "odrive", "can0:3"]
    assert "no process looks after it" in line


@pytest.mark.parametrize(
    ("noted", "state", "text"),
    [
        ({}, "starting", "its process can0 is not there yet"),
        ({"own": True}, "starting", "its process can0 began"),
        ({"end": "stopped on request"}, "stopped", "horus node restart can0 starts it again"),
        ({"end": "exit code 1"}, "gone", "its process can0 has ended (exit code 1): see horus log"),
    ],
)
def test_of_a_silent_device_it_is_told_what_became_of_its_process(run, noted, state, text, capsys):
    note_devices(run.path, [RunDevice("wheel", "odrive", "can0", "3", "can0")])
    child = subprocess.Popen(["sleep", "60"])
    start = session.process_start_time(child.pid) or 0
    process = RunProcess("can0", "driver", child.pid, start, end=noted.get("end", ""))
    note_processes(run.path, [process] if noted else [])
    try:
        assert main(["devices"]) == 1
        line = capsys.readouterr().out.splitlines()[1]
        assert main(["devices", "--json"]) == 1
    finally:
        child.kill()
        child.wait()
    assert line.split()[:4] == ["wheel", state, "odrive", "can0:3"]
    assert text in line
    (about,) = json.loads(capsys.readouterr().out)
    assert (about["state"], text in about["message"]) == (state, True)


# call


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("lft_wheel", "nobody here is called 'lft_wheel' (did you mean 'left_wheel'?)"),
        ("left_wheel", "no process looks after left_wheel, or not yet: see horus devices"),
        ("arrm", "(did you mean 'arm'?)"),
    ],
)
def test_who_cannot_be_called_is_told(run, name, text, capsys):
    note_devices(run.path, [RunDevice("left_wheel", "odrive", "can0", "3")])
    with Calls("arm", {"scan": lambda: 1}):
        assert main(["call", name]) == 1
    assert text in capsys.readouterr().err


# clean


def _arm(run: session.Session, pid: int) -> None:
    (run.path / FOLDER).mkdir()
    (run.path / FOLDER / f"{pid}-left-wheel.json").write_text("{}")


def test_clean_does_not_take_armed_actuators_out_of_reach(run, capsys):
    left = session.new_session()
    _arm(run, os.getpid())
    assert main(["clean", "--force"]) == 1
    found = capsys.readouterr()
    assert found.out == ""
    assert f"session {run.id} has armed actuators (left-wheel)" in found.err
    assert f"horus estop --session {run.id}" in found.err
    assert "Ctrl-C" in found.err
    assert "nothing was removed" in found.err
    assert run.path.exists()
    assert left.path.exists()


def test_clean_by_force_says_which_runs_it_has_cut_off(run, capsys):
    assert main(["clean", "--force"]) == 0
    assert f"session {run.id} went on" in capsys.readouterr().err
    assert not run.path.exists()


def test_words_of_the_dead_keep_nothing_from_being_removed(run):
    _arm(run, 2**22 - 1)
    assert armed_devices() == {run.id: ["left-wheel"]}, "its supervisor has them still to say"
    owner = run.path / session.OWNER_FILE
    owner.write_text(owner.read_text().replace(str(os.getpid()), str(2**22 - 1)))
    assert armed_devices() == {}
    assert main(["clean", "--force"]) == 0
    assert not run.path.exists()
