"""A hostile horus.yaml is one line of text: no hang, no traceback, no wall of words.

The bombs are small: just over the limit, so that without it they would end too.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from horus.errors import ConfigError
from horus.hardware import yamltree
from horus.hardware.config import load
from horus.hardware.yamltree import MOST_BYTES, MOST_FAULT_TEXT

MOTOR = "buses: {can0: {use: socketcan, channel: can0}}\nhardware:\n  m: {use: odrive, bus: can0, "
IMU = "buses: {i2c1: {use: i2c, device: /dev/i2c-1}}\nhardware:\n  m: {use: mpu6050, bus: i2c1, "
ALIASES = "more than 10000 values once aliases are expanded"
TOO_DEEP = "nested too deeply: more than 50 levels"


def faults(folder: Path, text: str) -> list[str]:
    path = folder / "horus.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as info:
        load(folder)
    return [fault.replace(f"{path}", "horus.yaml") for fault in info.value.faults]


def bomb(first: str, line: Callable[[str], str]) -> str:
    """Return lines `b0` to `b4`, each with ten times what is in the one before."""
    lines = [f"b0: &b0 {first}\n"]
    lines += [f"b{n}: &b{n} {line(f'*b{n - 1}')}\n" for n in range(1, 5)]
    return "".join(lines)


LISTS = bomb("[x, x]", lambda alias: f"[{', '.join([alias] * 10)}]")
MAPPINGS = bomb("{k: v}", lambda alias: f"{{{', '.join(f'k{n}: {alias}' for n in range(10))}}}")
MERGES = bomb("{k: v}", lambda alias: f"{{<<: [{', '.join([alias] * 10)}]}}")


@pytest.mark.parametrize(
    "text",
    [
        LISTS + "hardware: *b4",
        LISTS + "name: *b4",
        LISTS + "buses: {can0: {use: socketcan, channel: *b4}}",
        MAPPINGS + "hardware: *b4",
        MERGES + "hardware: *b4",
    ],
)
def test_what_aliases_stand_for_is_counted_each_time(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text) == [f"horus.yaml:5: too large: {ALIASES}"]


def test_merging_one_large_mapping_often_is_counted_too(tmp_path: Path) -> None:
    large = ", ".join(f"k{n}: 1" for n in range(100))
    text = f"a: &a {{{large}}}\nb:\n  <<: [{', '.join(['*a'] * 100)}]"
    (fault,) = faults(tmp_path, text)
    assert fault.endswith(f"too large: {ALIASES}")


def test_too_many_values_and_too_many_bytes_are_refused(tmp_path: Path) -> None:
    keys = "".join(f"k{n}: 1\n" for n in range(6_000))
    assert faults(tmp_path, keys) == ["horus.yaml:5000: too large: more than 10000 values"]
    text = "# é" + " " * MOST_BYTES
    assert faults(tmp_path, text) == ["horus.yaml: too large: more than 1,000,000 bytes"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: " + "[" * 3000 + "]" * 3000, 1),
        ("[" * 5000, 1),
        ("".join(f"{' ' * level}a:\n" for level in range(1200)), 51),
        ("- " * 2000, 1),
        ("a0: &a0 1\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 100)), 52),
    ],
)
def test_deep_nesting_is_a_fault_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    assert faults(tmp_path, text) == [f"horus.yaml:{line}: {TOO_DEEP}"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (MOTOR + f"node: {'9' * 400}}}", "node: must be from 0 to 62, not a number of about 400 "),
        (MOTOR + f"node: 0x{'f' * 4000}}}", "node: must be from 0 to 62, not a number of about 4"),
        (MOTOR + f"node: 1, rate: {'9' * 400}}}", "rate: must be a finite number, not a number "),
        (MOTOR + f"node: 1, rate: -{'9' * 400}}}", "rate: must be a finite number, not a number"),
        (IMU + f"address: {'9' * 4000}}}", "address: must be one of 0x68, 0x69, not a number of"),
        (IMU + f"mock: {{play: {'a' * 4000}}}}}", "mock.play: no such file: "),
        (IMU + 'frame: "\\e[2J"}', "frame: must be text that can be printed, not '\\x1b[2J'"),
    ],
)
def test_no_value_is_too_long_or_too_strange_for_a_fault(
    tmp_path: Path, text: str, fault: str
) -> None:
    (found,) = faults(tmp_path, text)
    assert found.startswith(f"horus.yaml:3: hardware.m.{fault}")
    assert len(found) < MOST_FAULT_TEXT + 100


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"name: [{', '.join(['word'] * 5000)}]", "1: name: must be text, not ['word', 'word',"),
        ("name: " + "x" * 5000, "1: too large: a value of more than 4096 characters"),
        ('name: "\\ud800"', "1: name: must be text, not '\\ud800'"),
        ('"\\e[2J": 1', "1: \\x1b[2J: unknown"),
        ("name: a\nb: !!int ''", "2: this is not YAML: a value that is no int"),
        ("a: !!timestamp x", "1: this is not YAML: a value that is no timestamp"),
        ("a: 2021-13-01", "1: this is not YAML: a value that is no timestamp"),
        ("a: !!bool x", "1: this is not YAML: a value that is no bool"),
        ('a: "\\UFFFFFFFF"', " this is not YAML: "),
        ("a: &a [*a]", "1: this is not YAML: a value contains itself"),
    ],
)
def test_what_cannot_be_shown_or_read_is_one_short_line(
    tmp_path: Path, text: str, fault: str
) -> None:
    (found,) = faults(tmp_path, text)
    assert found.startswith(f"horus.yaml:{fault}")
    assert found.isprintable()
    assert len(found) < 500


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("../**/*.nope", "would search outside of the folder of horus.yaml"),
        ("**/../../*.nope", "would search outside of the folder of horus.yaml"),
        ("../*/*/*.nope", "would search outside of the folder of horus.yaml"),
        ("**/**/*.nope", "would search folders many times: use ** once"),
        ("../*.nope", "no file matches '../*.nope'"),
        ("a" * 1000, "no file matches 'aaa"),
        ("/" + "a" * 1000, "no file matches '/aaa"),
        ("a/" * 2000, "no file matches 'a/a"),
        ("a\\0b", "no file matches 'a\\x00b'"),
    ],
)
def test_a_pattern_that_searches_too_much_or_is_none_is_a_fault(
    tmp_path: Path, pattern: str, fault: str
) -> None:
    (found,) = faults(tmp_path, f'nodes: ["{pattern}"]')
    assert found.startswith("horus.yaml:1: nodes: ")
    assert fault in found


def test_patterns_may_name_files_beside_and_below(tmp_path: Path) -> None:
    robot = tmp_path / "robot"
    (robot / "deep" / "er").mkdir(parents=True)
    (tmp_path / "shared").mkdir()
    for file in ("shared/a.py", "robot/deep/er/b.py"):
        (tmp_path / file).touch()
    (robot / "horus.yaml").write_text('nodes: ["../shared/*.py", "../*/a.py", "**/*.py"]')
    assert [path.name for path in load(robot).nodes] == ["a.py", "b.py"]


def test_of_brackets_none_beyond_the_limit_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = 0
    original = yamltree._Loader.save_possible_simple_key

    def counted(loader: yamltree._Loader) -> None:
        nonlocal opened
        opened += 1
        original(loader)

    monkeypatch.setattr(yamltree._Loader, "save_possible_simple_key", counted)
    assert faults(tmp_path, "a: " + "[" * 900) == [f"horus.yaml:1: {TOO_DEEP}"]
    assert opened < 100, "each costs time for all those that are open"


def test_bytes_that_are_no_text_are_named_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "horus.yaml"
    path.write_bytes(b"name: rover\nnodes: [caf\xe9.py]\n")
    with pytest.raises(ConfigError) as info:
        load(tmp_path)
    text = "byte 0xe9 is not valid UTF-8: save the file as UTF-8"
    assert info.value.faults == (f"{path}:2: {text}",)
