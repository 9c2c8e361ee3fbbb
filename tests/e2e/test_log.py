"""`horus log` beside a run."""

from __future__ import annotations

import json
import signal

import pytest

TALKER = """\
import horus

def tick(node):
    if node.info.tick_count() == 3:
        node.log_warning("look at this")
        print("just words", flush=True)

horus.run(horus.Node("talker", tick=tick, rate=20))
"""


@pytest.fixture
def command(horus_command):
    """Run a `horus` command to its end; return status, output and errors."""

    def to_the_end(*arguments: str) -> tuple[int, str, str]:
        run = horus_command(*arguments)
        return run.finish(), run.out, run.err

    return to_the_end


def test_what_was_printed_is_found_later_by_level_and_node(horus_run, write, command):
    write("hello.py", TALKER)
    write("bad.py", "raise SystemExit(3)\n")
    run = horus_run("hello.py", "bad.py")
    run.wait_for("just words")
    run.wait_for(r"Crashed \[bad\]: exit code 3")
    status, out, _ = command("log", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    found = {(one["process"], one["node"], one["level"], one["text"]) for one in lines}
    assert ("hello", "talker", "warning", "look at this") in found
    assert ("hello", "", "info", "just words") in found
    assert ("horus", "", "error", "Crashed [bad]: exit code 3") in found
    assert lines == sorted(lines, key=lambda one: one["stamp"])
    out = command("log", "--level", "WARNING")[1]
    assert [line.split(maxsplit=1)[1] for line in out.splitlines()] == [
        "ERROR   horus: Crashed [bad]: exit code 3",
        "WARNING hello/talker: look at this",
    ] or [line.split(maxsplit=1)[1] for line in out.splitlines()] == [
        "WARNING hello/talker: look at this",
        "ERROR   horus: Crashed [bad]: exit code 3",
    ]
    assert len(command("log", "--node", "talker", "-n", "1")[1].splitlines()) == 1
    status, _, err = command("log", "--node", "talkr")
    assert status == 1 and "nobody here is called 'talkr' (did you mean 'talker'?)" in err


def test_a_log_is_followed_to_the_end_of_the_run(horus_run, horus_command, write):
    write("hello.py", TALKER)
    run = horus_run("hello.py")
    run.wait_for("just words")
    log = horus_command("log", "-f")
    log.wait_for("just words")
    run.signal(signal.SIGINT)
    log.wait_for("Stopping all processes")
    assert log.finish() == 0
    assert "the session has ended" in log.err


def test_without_a_run_there_is_no_log(command):
    status, out, err = command("log")
    assert (status, out) == (2, "") and "no robot is running" in err
