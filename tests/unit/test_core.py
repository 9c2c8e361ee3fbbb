"""Building the core without a warning, and refusing to load it where it would not be safe."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "horus/bus/_native/module.c"
STRICT = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wno-sign-conversion", "-Werror"]


@pytest.mark.parametrize("compiler", ["gcc", "clang", "aarch64-linux-gnu-gcc"])
def test_the_native_core_compiles_without_a_warning(compiler, tmp_path):
    headers = sysconfig.get_path("include")
    if shutil.which(compiler) is None or not Path(headers, "Python.h").exists():
        pytest.skip(f"{compiler} or Python's headers are not installed")
    command = [compiler, *STRICT, "-fPIC", "-isystem", headers, "-c", str(SOURCE)]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "core.o")], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")


def run(source):
    lines = ["import sys", f"sys.path[:] = {sys.path!r}", source]
    command = [sys.executable, "-c", "\n".join(lines)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def in_subinterpreter(source):
    """Run a source in a subinterpreter, beside a main interpreter that has loaded the core."""
    source = f"import sys\nsys.path[:] = {sys.path!r}\n{source}"
    return run(
        "import horus.bus\n"
        "try: import _interpreters as known\n"
        "except ImportError: import _xxsubinterpreters as known\n"
        "run = known.exec if hasattr(known, 'exec') else known.run_string\n"
        f"print(run(known.create(), {source!r}))"
    )


def test_a_subinterpreter_is_refused_by_name():
    done = in_subinterpreter("import horus.bus")
    said = done.stdout + done.stderr
    assert "topics work in the main interpreter only" in said


def test_the_native_core_itself_refuses_a_subinterpreter():
    core = pytest.importorskip("horus.bus._core")
    where = Path(core.__file__)
    load = (
        "import importlib.machinery, importlib.util\n"
        f"loader = importlib.machinery.ExtensionFileLoader('_core', {str(where)!r})\n"
        "spec = importlib.util.spec_from_loader('_core', loader)\n"
        "loader.exec_module(importlib.util.module_from_spec(spec))"
    )
    done = in_subinterpreter(load)
    said = done.stdout + done.stderr
    assert "ImportError" in said
    assert "subinterpreters" in said


def test_python_without_its_gil_is_refused_by_name():
    done = run("sys._is_gil_enabled = lambda: False\nimport horus.bus")
    assert done.returncode != 0
    assert "CoreError: free-threaded Python without its GIL" in done.stderr


def test_the_native_core_may_be_imported_twice():
    pytest.importorskip("horus.bus._core")
    done = run(
        "import horus.bus._core as first\n"
        "del sys.modules['horus.bus._core']\n"
        "import importlib\n"
        "second = importlib.import_module('horus.bus._core')\n"
        "assert first is not second and first.Writer is second.Writer"
    )
    assert done.returncode == 0, done.stderr
