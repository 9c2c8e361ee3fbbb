"""`horus plugins`, and the subcommands that plugins bring."""

from __future__ import annotations

import json
import re
import sys
from types import ModuleType
from typing import Any

import pytest

from horus.cli.main import main


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes a module with a subcommand; it returns the module's name."""

    def make(name: str, run: Any) -> str:
        module = ModuleType(name)
        module.__doc__ = "Survey the field.\n"
        module.__dict__["configure"] = lambda parser: parser.add_argument("--fast", type=int)
        module.__dict__["main"] = run
        monkeypatch.setitem(sys.modules, name, module)
        return name

    return make


def listed(capsys: pytest.CaptureFixture[str], status: int) -> list[str]:
    assert main(["plugins"]) == status
    return capsys.readouterr().out.splitlines()


def test_every_plugin_is_a_line_with_its_package_and_what_it_offers(
    install: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    install(
        "survey",
        "survey-kit",
        horus_drivers={"mine": "x:Y"},
        horus_commands={"survey": "x"},
        horus_check=lambda config: [],
    )
    header, ours, theirs = listed(capsys, 0)
    assert header.split() == ["PLUGIN", "PACKAGE", "VERSION", "OFFERS"]
    assert ours.split()[:3] == ["drivers", "horus", "0.1.0"]
    assert theirs.split()[:3] == ["survey", "survey-kit", "1.0"]
    assert theirs.endswith("driver mine; command survey; hooks check")


def test_a_broken_plugin_is_a_line_and_the_status_is_1(
    install: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    install("broken", "broken-kit", module="no_such_module_here")
    lines = listed(capsys, 1)
    assert lines[-1].startswith("problem: plugin broken of broken-kit 1.0: ModuleNotFoundError: ")


def test_two_plugins_with_one_name_are_told_with_both_packages(
    install: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    install("same", "package-a", horus_drivers={})
    install("same", "package-b", horus_drivers={})
    assert "two plugins are called 'same', of package-a 1.0 and of package-b 1.0" in "\n".join(
        listed(capsys, 1)
    )


def test_two_plugins_that_offer_one_thing_are_told_with_both(
    install: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    install("a", "package-a", horus_commands={"survey": "x"})
    install("b", "package-b", horus_commands={"survey": "y"})
    (problem,) = [line for line in listed(capsys, 1) if line.startswith("problem: ")]
    assert problem == (
        "problem: command survey is offered by two plugins, "
        "plugin a of package-a 1.0 and plugin b of package-b 1.0: uninstall one"
    )
    assert main(["survey"]) == 1
    assert "offered by two plugins" in capsys.readouterr().err


def test_the_list_as_json(install: Any, capsys: pytest.CaptureFixture[str]) -> None:
    install("a", "package-a", horus_commands={"survey": "x"}, horus_buses={"my_bus": "x:Y"})
    install("b", "package-b", horus_drivers=ValueError("on fire"))
    assert main(["plugins", "--json"]) == 1
    found = {plugin["name"]: plugin for plugin in json.loads(capsys.readouterr().out)["plugins"]}
    assert found["a"]["commands"] == ["survey"]
    assert found["a"]["buses"] == ["my_bus"]
    assert (found["a"]["package"], found["a"]["version"]) == ("package-a", "1.0")
    assert found["b"]["problem"] == "horus_drivers(): ValueError: on fire"
    assert "mpu6050" in found["drivers"]["drivers"]


def test_a_plugins_subcommand_runs_with_its_arguments_and_its_status(
    install: Any, command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    heard = []

    def run(args: Any) -> int:
        heard.append(args.fast)
        return 7

    install("survey", "survey-kit", horus_commands={"survey": command("survey_command", run)})
    assert main(["survey", "--fast", "3"]) == 7
    assert heard == [3]
    assert main(["survey", "--fsat", "3"]) == 2
    assert "--fsat (did you mean '--fast'?)" in capsys.readouterr().err
    assert main(["survey", "--help"]) == 0
    assert "Survey the field." in capsys.readouterr().out
    assert main(["--help"]) == 0
    assert re.search(r"\n  survey +plugin survey of survey-kit 1.0\n", capsys.readouterr().out)
    assert main(["surve"]) == 2
    assert "did you mean 'survey'?" in capsys.readouterr().err


def test_a_subcommand_may_be_an_object_in_a_module(
    install: Any, command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    module = command("survey_command", lambda args: 0)
    sys.modules[module].__dict__["Inner"] = sys.modules[command("other", lambda args: 5)]
    install("survey", "survey-kit", horus_commands={"survey": f"{module}:Inner"})
    assert main(["survey"]) == 5


def test_what_a_plugins_subcommand_raises_is_one_line_that_names_it(
    install: Any, command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(args: Any) -> int:
        raise KeyError("lost")

    install("survey", "survey-kit", horus_commands={"survey": command("survey_command", run)})
    assert main(["survey"]) == 1
    assert capsys.readouterr().err == (
        "horus: command survey (survey_command, plugin survey of survey-kit 1.0) failed: "
        "KeyError: 'lost'; --debug shows where\n"
    )
    with pytest.raises(ImportError, match="failed: KeyError"):
        main(["survey", "--debug"])


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("no_such_module_here", "cannot be imported: ModuleNotFoundError"),
        ("json", "is not a command: it needs configure(parser) and main(args)"),
    ],
)
def test_a_subcommand_that_cannot_be_loaded_is_one_line(
    install: Any, target: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    install("survey", "survey-kit", horus_commands={"survey": target})
    assert main(["survey"]) == 1
    err = capsys.readouterr().err
    assert text in err
    assert "plugin survey of survey-kit 1.0" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("name", ["run", "help", "--version", "Two Words"])
def test_our_own_commands_cannot_be_replaced(
    install: Any, name: str, command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(args: Any) -> int:
        raise AssertionError("it was run")

    install("bad", "bad-kit", horus_commands={name: command("bad_command", run)})
    assert main(["--version"]) == 0
    assert main(["help"]) == 0
    assert main(["run", "absent.py"]) == 2
    capsys.readouterr()
    (problem,) = [line for line in listed(capsys, 1) if line.startswith("problem: ")]
    assert problem.startswith("problem: plugin bad of bad-kit 1.0: command ")
    assert name in problem


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["drivers"], ["surve"]])
def test_a_broken_plugin_leaves_the_command_line_alive(
    install: Any, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    install("broken", "broken-kit", module="no_such_module_here")
    install("raises", "raising-kit", horus_commands=RuntimeError("on fire"))
    assert main(arguments) == (2 if arguments == ["surve"] else 0)
    assert "Traceback" not in capsys.readouterr().err
