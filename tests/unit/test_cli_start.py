"""What a command loads before it does anything: every start of it pays for that."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import lru_cache

import pytest

from horus.cli.main import COMMANDS, main

#: Takes long to import; each is loaded by the command that needs it, when it does.
HEAVY = {
    "asyncio", "can", "concurrent.futures", "ctypes", "http", "importlib.metadata", "logging",
    "lz4", "mcap", "msgpack", "multiprocessing", "numpy", "pluggy", "posix_ipc", "secrets",
    "serial", "smbus2", "socket", "ssl", "subprocess", "tempfile", "textual", "unittest", "yaml",
    "zstandard", "horus.bus", "horus.hal", "horus.hardware", "horus.msgs", "horus.plugins",
    "horus.runtime",
}  # fmt: skip
#: What some load all the same for --help: their own work begins with it.
KNOWN = {
    "doctor": {"importlib.metadata", "socket", "tempfile"},
    "bench": {"subprocess", "tempfile"},
}
#: Prints what each command has loaded by the time that it shows its help; a child for each.
LOOK = """\
import io, json, os, sys
from horus.cli.main import COMMANDS, main
import horus.cli.main as table

found = {"": sorted(sys.modules)}
for words in json.loads(sys.argv[1]):
    reader, writer = os.pipe()
    if os.fork() == 0:
        sys.stdout = io.StringIO()
        assert main([*words, "--help"]) == 0, words
        os.write(writer, json.dumps(sorted(sys.modules)).encode())
        os._exit(0)
    os.close(writer)
    found[" ".join(words)] = json.loads(open(reader).read())
print(json.dumps(found))
"""


def actions() -> list[list[str]]:
    words = []
    for name, command in COMMANDS.items():
        module = __import__(command.module, fromlist=["main"])
        words += [[name], *([name, action] for action in getattr(module, "ACTIONS", ()))]
    return words


@lru_cache
def loaded() -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", LOOK, json.dumps(actions())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("words", ["", *map(" ".join, actions())])
def test_a_command_loads_nothing_heavy_to_explain_itself(words: str) -> None:
    modules = set(loaded()[words])
    assert "horus.cli.main" in modules
    assert modules & (HEAVY - KNOWN.get(words, set())) == set()


def test_help_tells_the_priority_that_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    from horus.scheduler.realtime import RealTime

    assert main(["run", "--help"]) == 0
    assert f"1 to 99 (default: {RealTime.priority})" in capsys.readouterr().out


def test_what_a_command_shares_with_the_bus_alone_needs_no_hardware() -> None:
    source = "import sys, horus.cli.params, horus.runtime.asking; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & {"horus.hardware", "horus.hal", "horus.plugins", "yaml"}


def test_a_description_is_read_without_opening_the_bus() -> None:
    source = "import sys, horus.hardware.config; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & {"horus.bus", "numpy", "msgpack", "posix_ipc"}
