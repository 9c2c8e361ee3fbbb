"""Phase 1 of `horus run`: all faults of all files as file:line, and nothing is started."""

from __future__ import annotations

import os
import shutil

import pytest

STARTED = "print('must not start')\n"


def faults_of(run) -> list[str]:
    assert run.finish() == 1
    assert "must not start" not in run.out
    assert "Phase 2" not in run.out
    *faults, last = run.err.splitlines()
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    assert last == f"horus run: {count}; nothing was started"
    return faults


def test_every_fault_of_every_file_is_reported_at_once(write, horus_run):
    write("nodes/a.py", "x = 1\ndef f(:\n    pass\n")
    write("nodes/b.py", "import math\n\nimport no_such_module\nfrom neither.this import that\n")
    write("nodes/c.py", STARTED)
    write("nodes/d.py", "if True:\nprint(1)\n")
    faults = faults_of(horus_run("nodes/*.py"))
    assert [fault.split(": ")[0] for fault in faults] == [
        "nodes/a.py:2",
        "nodes/b.py:3",
        "nodes/b.py:4",
        "nodes/d.py:2",
    ]
    assert faults[0].startswith("nodes/a.py:2: syntax error: ")
    assert faults[1].startswith("nodes/b.py:3: no module named 'no_such_module': install it")
    assert faults[2].startswith("nodes/b.py:4: no module named 'neither'")


def test_a_misspelt_module_is_answered_with_the_right_one(write, horus_run):
    write("a.py", "import hours\n")
    (fault,) = faults_of(horus_run("a.py"))
    assert fault.startswith("a.py:1: no module named 'hours' (did you mean 'horus'?)")


def test_what_may_fail_without_harm_is_no_fault(write, horus_run):
    write(
        "a.py",
        """\
from typing import TYPE_CHECKING
import contextlib, sys
if TYPE_CHECKING:
    import absent_1
try:
    import absent_2
except ImportError:
    absent_2 = None
with contextlib.suppress(ImportError):
    import absent_3
if sys.platform == "win32":
    import absent_4
def later():
    import absent_5
print("all is well")
""",
    )
    run = horus_run("a.py")
    assert run.finish() == 0, run.err
    assert "[a] all is well" in run.lines


def test_an_import_that_runs_for_sure_is_checked_wherever_it_stands(write, horus_run):
    write(
        "a.py",
        """\
class Settings:
    import absent_1
try:
    import absent_2
except ValueError:
    pass
finally:
    import absent_3
if __name__ == "__main__":
    import absent_4
""",
    )
    faults = faults_of(horus_run("a.py"))
    assert [fault.split(": ")[0] for fault in faults] == ["a.py:2", "a.py:4", "a.py:8", "a.py:10"]


def test_a_file_that_changes_the_import_path_is_left_to_find_out(write, horus_run):
    write("lib/gears.py", "RATIO = 3\n")
    write("a.py", "import sys\nsys.path.append('lib')\nimport gears\nprint('ratio', gears.RATIO)\n")
    run = horus_run("a.py")
    assert run.finish() == 0, run.err
    assert "[a] ratio 3" in run.lines


def test_modules_beside_the_file_are_found_from_any_folder_and_checked_too(write, horus_run):
    write("nodes/good.py", "import helper\nprint('ratio', helper.RATIO)\n")
    write("nodes/helper.py", "RATIO = 3\n")
    run = horus_run("nodes/good.py")
    assert run.finish() == 0, run.err
    assert "[good] ratio 3" in run.lines
    write("nodes/helper.py", "import absent\nRATIO = \n")
    (fault,) = faults_of(horus_run("nodes/good.py"))
    assert fault.startswith("nodes/helper.py:2: syntax error")


def test_a_module_in_the_current_folder_is_not_found_by_a_file_elsewhere(write, horus_run):
    write("nodes/a.py", "import beside_cwd\n")
    write("beside_cwd.py", "")
    (fault,) = faults_of(horus_run("nodes/a.py"))
    assert fault.startswith("nodes/a.py:1: no module named 'beside_cwd'")


def test_a_relative_import_in_a_file_that_is_run_is_a_fault(write, horus_run):
    write("a.py", "import os\nfrom .helper import x\n")
    write("helper.py", "x = 1")
    (fault,) = faults_of(horus_run("a.py"))
    assert fault == (
        "a.py:2: relative import ('from .helper import ...') in a file that is run: "
        "leave out the leading dot"
    )


def test_files_that_are_no_source_are_faults(tmp_path, write, horus_run):
    (tmp_path / "nul.py").write_bytes(b"x = 1\ny = '\0'\n")
    (tmp_path / "latin.py").write_bytes(b"# fine\nname = 'Andr\xe9'\n")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "cookie.py").write_bytes(b"# -*- coding: klingon -*-\n")
    (tmp_path / "gone.py").symlink_to("nowhere")
    assert faults_of(horus_run("*.py")) == [
        "cookie.py:1: syntax error: unknown encoding: klingon",
        "folder.py:1: is a folder, not a file that can be run",
        "gone.py:1: cannot be read: No such file or directory",
        "latin.py:2: byte 0xe9 is not valid utf-8: save the file as UTF-8",
        "nul.py:2: null byte: this is not Python source in UTF-8",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_a_fault(write, horus_run):
    write("a.py", STARTED).chmod(0)
    assert faults_of(horus_run("a.py")) == ["a.py:1: cannot be read: Permission denied"]


def test_an_empty_file_and_a_legacy_encoding_run(tmp_path, write, horus_run):
    write("empty.py", "")
    (tmp_path / "latin.py").write_bytes(b"# coding: latin-1\nprint('Andr\xe9')\n")
    run = horus_run("*.py")
    assert run.finish() == 0, run.err
    assert "[latin] André" in run.lines
    assert "   Ended [empty]" in run.lines


def test_files_of_other_kinds_name_the_cure(write, horus_run):
    write("motor.cpp", "int main() {}\n")
    write("notes", "not a program\n").chmod(0o755)
    write("script", "#!/nowhere/python\n").chmod(0o755)
    faults = faults_of(horus_run("motor.cpp", "notes", "script"))
    assert faults[0].startswith("motor.cpp:1: cannot run .cpp files: ")
    assert "build it and name the program" in faults[0]
    assert faults[1].startswith("notes:1: is marked executable, but is neither a program nor")
    assert faults[2].startswith("script:1: its '#!' line names '/nowhere/python'")


def test_a_rust_file_without_a_compiler_says_where_to_get_one(write, horus_run):
    write("a.py", STARTED)
    write("b.rs", "fn main() {}\n")
    (fault,) = faults_of(horus_run("a.py", "b.rs", PATH="/nowhere"))
    assert fault == (
        "b.rs:1: cannot be built: no rustc on PATH; install Rust from https://rustup.rs"
    )


@pytest.mark.skipif(shutil.which("rustc") is None, reason="no rustc here")
def test_a_fault_in_rust_is_reported_like_one_in_python(write, horus_run):
    write("a.py", "import absent\n")
    write("b.rs", "fn main() {\n    let x = y;\n}\n")
    faults = faults_of(horus_run("a.py", "b.rs"))
    assert faults[0].startswith("a.py:1: no module named 'absent'")
    assert faults[1].startswith("b.rs:2: error")


def test_faulty_yaml_is_reported_as_it_is(write, horus_run):
    write("horus.yaml", "nodes: [absent.py]\nhardwear: {}\n")
    run = horus_run()
    assert run.finish() == 1
    assert "horus.yaml:1: " in run.err
    assert "horus.yaml:2: " in run.err
    assert "Traceback" not in run.err
