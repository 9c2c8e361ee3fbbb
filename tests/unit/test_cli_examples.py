"""Every command explains itself with examples, and each example is one that it takes."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex

import pytest

from horus.cli import live
from horus.cli.main import COMMANDS, main

WORDS = [
    [name, *action]
    for name, command in COMMANDS.items()
    for action in (
        [[a] for a in getattr(importlib.import_module(command.module), "ACTIONS", ())] or [[]]
    )
]


def helped(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main([*words, "--help"]) == 0
    return capsys.readouterr().out


def typed(line: str) -> list[str]:
    """What is typed behind ``horus`` in an example; what is said about it is left out."""
    line = re.split(r" {2,}(?=\S)| > ", line.strip())[0]
    line = line.removeprefix('eval "$(').removesuffix(')"') if "eval" in line else line
    return shlex.split(line[line.index("horus ") + len("horus ") :])


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_help_has_examples_that_the_command_takes(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = helped(words, capsys)
    assert text.startswith(f"usage: horus {' '.join(words)} ")
    assert "--debug" in text and "\x1b" not in text
    examples = re.split(r"^examples?:$", text, flags=re.MULTILINE)[1:]
    assert examples, "it has an example"
    lines = [line for line in examples[0].splitlines() if re.search(r"\bhorus ", line)]
    assert lines
    module = importlib.import_module(COMMANDS[words[0]].module)
    if len(words) > 1:
        module = importlib.import_module(module.ACTIONS[words[1]].module)
    for line in lines:
        found = typed(line)
        assert found[: len(words)] == words, line
        parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
        module.configure(parser)
        rest = [word for word in found[len(words) :] if word != "--"]
        try:
            _, unknown = parser.parse_known_intermixed_args(rest)
        except (argparse.ArgumentError, SystemExit) as error:
            pytest.fail(f"{line.strip()}: {error} {capsys.readouterr().err}")
        assert not [word for word in unknown if word.startswith("--")] or "--" in found, line


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_a_wrong_option_is_status_2_with_one_message(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status = main([*words, "--no-such-option"])
    err = capsys.readouterr().err
    assert status == 2
    assert f"horus {' '.join(words)}: error: " in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("terminal", "env", "wanted"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    terminal: bool, env: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.isatty", lambda _: terminal)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert live.colours() is wanted
