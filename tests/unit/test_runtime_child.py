"""`horus.runtime.child`: stops at an awkward moment, and what is shown of a traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from horus.bus import session
from horus.runtime import child

#: A stop while an attribute of a class is set up, which older Pythons wrap in a RuntimeError.
IN_SET_NAME = """\
import signal
class Field:
    def __set_name__(self, owner, name):
        signal.raise_signal(signal.{signal})
class Message:
    field = Field()
print("went on")
"""
#: A stop in a callback, out of which no exception comes; then the program goes on for ever.
IN_CALLBACK = """\
import signal, weakref
class Thing: pass
thing = Thing()
watch = weakref.ref(thing, lambda _: signal.raise_signal(signal.{signal}))
del thing
while True:
    pass
"""
IN_IMPORT_THAT_HIDES_IT = """\
try:
    import inner
except BaseException:
    raise ImportError("inner is broken") from None
"""
SWALLOWED_BEFORE_THE_RUN = """\
import signal
import horus
try:
    signal.raise_signal(signal.{signal})
except BaseException:
    pass
horus.run(horus.Node("n", tick=lambda node: print("tick"), rate=100))
print("stopped")
"""


@pytest.fixture
def start(tmp_path):
    """Run a text as the child process of a run does: a file, or a module."""

    def run(text: str, kind: str = "file", **env: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "thing.py").write_text(text)
        what = "thing.py" if kind == "file" else "thing"
        return subprocess.run(
            [sys.executable, child.__file__, str(os.getpid()), kind, what],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )

    return run


@pytest.mark.parametrize("text", [IN_SET_NAME, IN_CALLBACK])
@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_script_stopped_where_exceptions_get_lost_ends_in_silence(text, name, status, start):
    done = start(text.format(signal=name))
    assert (done.returncode, done.stdout) == (status, "")


def test_what_an_import_makes_of_a_stop_is_not_shown(start, tmp_path):
    (tmp_path / "inner.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    (tmp_path / "outer.py").write_text(IN_IMPORT_THAT_HIDES_IT)
    done = start("import outer")
    assert (done.returncode, done.stdout) == (130, "")


def test_a_fault_while_a_script_stops_is_shown(start):
    text = "import signal\ntry:\n    signal.raise_signal(signal.SIGINT)\nfinally:\n    1 / 0\n"
    done = start(text)
    assert done.returncode == 1
    assert done.stdout.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_stop_that_was_swallowed_still_stops_the_nodes(name, start):
    done = start(SWALLOWED_BEFORE_THE_RUN.format(signal=name))
    assert (done.returncode, done.stdout) == (0, "stopped\n")


@pytest.mark.parametrize("text", [IN_SET_NAME, IN_CALLBACK])
@pytest.mark.parametrize(("name", "signum"), [("SIGINT", 2), ("SIGTERM", 15)])
def test_a_module_of_ours_ends_at_once_while_it_imports(text, name, signum, start):
    done = start(text.format(signal=name), "module")
    assert (done.returncode, done.stdout) == (-signum, "")


def test_asyncio_cancels_its_main_task_as_in_any_script(start):
    text = (
        "import asyncio, signal\n"
        "async def main():\n"
        "    try:\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "        await asyncio.Event().wait()\n"
        "    except asyncio.CancelledError:\n"
        "        print('cancelled')\n"
        "        raise\n"
        "asyncio.run(main())\n"
    )
    done = start(text)
    expected = "cancelled\n" if sys.version_info >= (3, 11) else ""
    assert (done.returncode, done.stdout) == (130, expected)


UNDECLARED = """\
import horus

def tick(node):
    node.send("poss", 1)

horus.run(horus.Node("sensor", pubs="pos", tick=tick))
"""


def files_of(text: str) -> list[str]:
    """The file names of the frames of all tracebacks in a text."""
    return [line.split('"')[1] for line in text.splitlines() if line.startswith('  File "')]


def test_a_mistake_in_a_tick_shows_the_users_lines_only(start):
    done = start(UNDECLARED)
    assert done.returncode == 1
    assert files_of(done.stdout) == ["thing.py", "thing.py"]
    assert 'node.send("poss", 1)' in done.stdout
    assert "UndeclaredTopicError: " in done.stdout.splitlines()[-1]


def test_exceptions_behind_the_exception_are_shortened_as_well(start):
    text = UNDECLARED.replace(
        '    node.send("poss", 1)',
        '    try:\n        node.send("poss", 1)\n    except KeyError:\n        node.send("p", 1)',
    )
    assert set(files_of(start(text).stdout)) == {"thing.py"}


def test_with_horus_debug_all_lines_are_shown(start):
    shown = files_of(start(UNDECLARED, HORUS_DEBUG="1").stdout)
    assert any("horus/scheduler" in file for file in shown)
    assert any("horus/node" in file for file in shown)


def test_a_fault_of_horus_itself_keeps_its_lines():
    with pytest.raises(OSError) as caught:
        session.topics_dir("../out")
    frames = child._frames(caught.value.__traceback__)[1:]  # without this test's own
    assert child._users_part(frames[0]) is frames[0]
    assert child._frames(frames[0]) == frames


def test_what_cannot_even_be_compiled_shows_nothing_of_ours(start):
    assert files_of(start("x = = 1\n").stdout) == ["thing.py"]
