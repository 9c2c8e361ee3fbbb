"""Options: types, units, ranges, choices."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from horus.hal import ActuatorConfig, DriverConfig, option
from horus.hal.config import faults, options


@dataclass(frozen=True, kw_only=True)
class Example(DriverConfig):
    address: Literal[0x68, 0x69] = 0x68
    node: int = option(low=0, high=62)
    limit: float = option(5.0, unit="rad/s", above=0, high=100)
    name: str = ""
    on: bool = False
    file: Path | None = None


def fault(**values: object) -> list[tuple[str, str]]:
    return faults(Example, {"node": 1, **values})


def test_good_values_have_no_faults_and_ints_become_floats() -> None:
    assert fault(limit=3, address=0x69, on=True, file="a.csv", name="x") == []
    made = Example(node=1, limit=3)
    assert isinstance(made.limit, float)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"limit": 0}, "must be greater than 0 and at most 100 rad/s, not 0"),
        ({"limit": -1.5}, "must be greater than 0 and at most 100 rad/s, not -1.5"),
        ({"limit": 101}, "must be greater than 0 and at most 100 rad/s, not 101"),
        ({"limit": math.nan}, "must be a finite number, not nan"),
        ({"limit": "fast"}, "must be a number (rad/s), not 'fast'"),
        ({"limit": True}, "must be a number (rad/s), not True"),
        ({"node": 63}, "must be from 0 to 62, not 63"),
        ({"node": 1.5}, "must be a whole number, not 1.5"),
        ({"node": True}, "must be a whole number, not True"),
        ({"address": 68}, "must be one of 0x68, 0x69, not 0x44"),
        ({"on": 1}, "must be true or false, not 1"),
        ({"name": 7}, "must be text, not 7"),
        ({"file": 7}, "must be a file, not 7"),
        ({"limt": 1.0}, "unknown option (did you mean limit?)"),
    ],
)
def test_each_kind_of_fault_says_what_is_allowed(given: dict[str, object], text: str) -> None:
    assert fault(**given) == [(next(iter(given)), text)]


def test_an_unknown_option_like_no_other_lists_the_known_ones() -> None:
    ((_, text),) = fault(zzz=1)
    assert text.startswith("unknown option; known: ")
    assert "limit" in text


def test_a_required_option_that_is_missing_is_named_with_its_range() -> None:
    assert faults(Example, {}) == [("", "option node is missing (from 0 to 62)")]


def test_a_misspelt_required_option_is_one_fault_and_not_two() -> None:
    assert faults(Example, {"nod": 1}) == [("nod", "unknown option (did you mean node?)")]
    text = "option node is missing (from 0 to 62)"
    assert ("", text) in faults(Example, {"limt": 1.0}), "another one's misspelling hides nothing"


@dataclass(frozen=True, kw_only=True)
class Texts(DriverConfig):
    channel: str = option()


def test_without_a_range_the_missing_option_is_named_alone() -> None:
    assert faults(Texts, {}) == [("", "option channel is missing")]


def test_construction_in_code_is_checked_too_and_names_every_fault() -> None:
    with pytest.raises(ValueError, match="node must be from 0 to 62") as info:
        Example(node=99, limit=-1.0)
    assert "limit must be greater than 0" in str(info.value)


@pytest.mark.parametrize("timeout", [0, -0.25, math.inf, 11.0])
def test_the_command_timeout_cannot_be_turned_off(timeout: float) -> None:
    with pytest.raises(ValueError, match="command_timeout must be"):
        ActuatorConfig(command_timeout=timeout)
    assert ActuatorConfig().command_timeout == 0.25


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("command_timeout", 1e-320, "must be at least 1e-06 s, not 1e-320"),
        ("command_timeout", 9e-7, "must be at least 1e-06 s, not 9e-07"),
        ("stale_after", 1e-300, "must be at least 1e-06 s, not 1e-300"),
        ("rate", 5e-324, "must be at least 0.001 Hz, not 5e-324"),
        ("max_acceleration", 1e-10, "must be at least 1e-09 rad/s², not 1e-10"),
    ],
)
def test_what_must_be_positive_is_not_next_to_nothing(name: str, value: float, words: str) -> None:
    assert options(ActuatorConfig)[name].check(value) == (value, words)


def test_options_know_unit_default_and_documentation() -> None:
    about = options(Example)["limit"]
    assert (about.unit, about.default, about.required) == ("rad/s", 5.0, False)
    assert options(Example)["node"].required
