"""A file run by `horus run` cannot tell it from `python FILE`."""

from __future__ import annotations

import subprocess
import sys

PROBE = """\
from __future__ import annotations
import inspect
import multiprocessing
import pickle
import sys
import helper

class Thing:
    field: Undefined = 1

def double(x):
    return 2 * x

if __name__ == "__main__":
    print(__name__, __file__, __package__, __spec__, __cached__, __doc__)
    print(sys.argv, sys.path[0], sys.flags.dont_write_bytecode, helper.NAME)
    print(sys.modules["__main__"].double is double, sorted(globals()))
    print(type(pickle.loads(pickle.dumps(Thing()))).__qualname__, Thing.__annotations__)
    print(inspect.getsource(double))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(double, [1, 2]))
    print(repr(sys.stdin.read()))
    sys.exit("the end, in words")
"""


def test_a_script_finds_the_same_world(write, horus_run, tmp_path):
    write("nodes/probe.py", PROBE)
    write("nodes/helper.py", "NAME = __name__\n")
    plain = subprocess.run(
        [sys.executable, "-u", "nodes/probe.py"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    run = horus_run("nodes/probe.py")
    assert run.finish() == plain.returncode == 1
    prefix = "[probe] "
    ours = [line.removeprefix(prefix) for line in run.lines if line.startswith(prefix)]
    assert ours == plain.stdout.splitlines()


#: The `horus` command as pip installs it: nothing of the current folder is on its path.
COMMAND = """\
import sys
sys.path.remove("")
from horus.cli.main import main
sys.exit(main())
"""


def test_what_lies_in_the_current_folder_shadows_nothing(write, tmp_path):
    for name in ("signal", "ctypes", "types", "contextlib", "horus", "shutil"):
        write(f"{name}.py", f"raise SystemExit('{name} of the current folder was imported')\n")
    write("nodes/a.py", "import shutil, horus\nprint('fine', horus.__name__)\n")
    run = subprocess.run(
        [sys.executable, "-c", COMMAND, "run", "nodes/a.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    assert "[a] fine horus\n" in run.stdout


def test_a_clone_of_horus_beside_the_file_does_not_pass_for_the_package(write, horus_run):
    write("horus/README.md", "a clone")
    write("blink.py", "import horus\nprint('fine', horus.Node.__name__)\n")
    run = horus_run("blink.py")
    assert run.finish() == 0
    run.wait_for(r"\[blink\] fine Node")
