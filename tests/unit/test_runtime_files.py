from __future__ import annotations

from pathlib import Path

import pytest

from horus.runtime.files import UsageError, find_files, name_files, split_config


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def names_of(*paths: str, taken: tuple[str, ...] = ()) -> list[str]:
    return [file.name for file in name_files([Path(path) for path in paths], taken)]


def found(*patterns: str) -> list[str]:
    return [str(path) for path in find_files(patterns).paths]


def test_each_pattern_is_sorted_and_patterns_keep_their_order():
    touch("b/2.py", "b/1.py", "a/9.py")
    assert found("b/*.py", "a/*.py") == ["b/1.py", "b/2.py", "a/9.py"]


def test_two_stars_reach_into_folders():
    touch("nodes/a.py", "nodes/deep/er/b.py")
    assert found("nodes/**/*.py") == ["nodes/a.py", "nodes/deep/er/b.py"]


def test_a_file_is_found_once_however_it_is_spelt():
    touch("a.py", "nodes/b.py")
    assert found("a.py", "./a.py", "nodes/../a.py", str(Path("a.py").absolute())) == ["a.py"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file():
    touch("a[1].py", "a1.py")
    assert found("a[1].py") == ["a[1].py"]


def test_hidden_files_are_not_matched():
    touch(".secret.py", "a.py")
    assert found("*.py") == ["a.py"]


@pytest.mark.parametrize(
    ("patterns", "named"),
    [
        (["*.rs"], ["'*.rs'"]),
        (["a.py", "gone/*.py", "*.x"], ["'gone/*.py'"]),
        (["a.py", "gone.rs"], ["gone.rs"]),
        (["x/*.py", "x/*.rs"], ["'x/*.py'", "'x/*.rs'"]),
    ],
)
def test_all_that_match_nothing_are_named(patterns, named):
    touch("a.py")
    with pytest.raises(UsageError) as caught:
        find_files(patterns)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(named)
    assert all(text in line for text, line in zip(named, lines, strict=True))
    assert caught.value.exit_code == 2


def test_a_pattern_of_another_language_may_match_nothing():
    touch("a.py")
    assert find_files(["*.py", "*.rs"]).unmatched == ["*.rs"]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["nodes/a.py", "nodes/b.py"], ["a", "b"]),
        (["a/motor.py", "b/motor.py"], ["a/motor", "b/motor"]),
        (["x/a/m.py", "y/a/m.py"], ["x/a/m", "y/a/m"]),
        (["nodes/a.py", "nodes/a.rs"], ["a.py", "a.rs"]),
        (["a/m.py", "b/m.py", "a/m.rs"], ["a/m", "b/m", "m.rs"]),
        (["two\nlines.py"], ["two?lines"]),
    ],
)
def test_names_are_as_short_as_tells_them_apart(paths, names):
    assert names_of(*paths) == names


def test_a_name_that_a_hardware_process_has_is_not_given_again():
    assert names_of("nodes/can0.py", taken=("can0",)) == ["can0.py"]


def test_a_folder_stands_for_its_horus_yaml():
    touch("robot/horus.yaml", "a.py")
    assert split_config(["robot", "a.py"]) == (Path("robot/horus.yaml"), ["a.py"])
    assert split_config(["robot/horus.yaml"]) == (Path("robot/horus.yaml"), [])


def test_without_arguments_the_current_folder_is_meant():
    touch("horus.yaml")
    assert split_config([]) == (Path("horus.yaml"), [])


def test_two_configurations_in_one_run_are_refused():
    touch("a/horus.yaml", "b/horus.yaml")
    with pytest.raises(UsageError, match=r"one run takes one horus\.yaml, not 2"):
        split_config(["a", "b"])


@pytest.mark.parametrize(
    ("name", "mode", "language"),
    [
        ("a.py", 0o755, "python"),
        ("a.rs", 0o644, "rust"),
        ("tool", 0o755, "executable"),
        ("tool.sh", 0o755, "executable"),
        ("notes.txt", 0o644, "txt"),
        ("notes", 0o644, "unknown"),
    ],
)
def test_the_language_is_told_by_ending_or_mode(name, mode, language):
    touch(name)
    Path(name).chmod(mode)
    assert name_files([Path(name)])[0].language == language
