"""`horus run`: arguments, environment, other names for topics, order, restarts."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from horus.runtime.sessions import noted_processes

TALKER = """
import os, sys, horus

def tick(node):
    node.send("word", " ".join([*sys.argv[1:], os.environ.get("MOOD", "")]))

horus.run(horus.Node(pubs="word", tick=tick, rate=20))
"""
LISTENER = """
import horus

def tick(node):
    word = node.get("word")
    if word is not None:
        print("heard", word, flush=True)

horus.run(horus.Node(subs="word", tick=tick, rate=50))
"""


def test_nodes_get_arguments_environment_and_other_names_for_topics(horus_run, write):
    write("talker.py", TALKER)
    write("listener.py", LISTENER)
    write(
        "horus.yaml",
        """
nodes:
  - {run: talker.py, name: left, args: [good, day], env: {MOOD: sunny}, remap: {word: left/word}}
  - {run: talker.py, name: right, args: [good night], remap: {word: right/word}}
  - {run: listener.py, name: hears_left, remap: {word: left/word}}
  - {run: listener.py, name: hears_right, remap: {word: right/word}}
""",
    )
    run = horus_run()
    run.wait_for(r"\[hears_left\] heard good day sunny$")
    run.wait_for(r"\[hears_right\] heard good night $")
    run.signal(signal.SIGINT)
    assert run.finish() == 0
    assert "[hears_left] heard good night" not in run.out


def test_the_command_line_says_it_for_files_that_it_names(horus_run, write, shm: Path):
    files = [str(write("talker.py", TALKER)), str(write("listener.py", LISTENER))]
    run = horus_run(*files, "--args", "a 'b c'", "--remap", "word:=other")
    run.wait_for(r"\[listener\] heard a b c $")
    assert (
        Path(os.environ["HORUS_SHM_DIR"]) / "sessions" / run.session_id / "topics/other"
    ).is_dir()
    run.signal(signal.SIGINT)
    assert run.finish() == 0


def test_wrong_options_are_told_at_once(horus_run, write):
    for option, value, text in (
        ("--remap", "word", "write NAME:=OTHER"),
        ("--remap", "a b:=c", "a b"),
        ("--args", "'", "No closing quotation"),
        ("--restart", "sometimes", "invalid choice"),
    ):
        run = horus_run(str(write("talker.py", TALKER)), option, value)
        assert run.finish() == 2
        assert text in run.err
        assert "Traceback" not in run.err


def test_a_node_waits_for_those_that_it_comes_after(horus_run, write):
    slow = "import select\nselect.select([], [], [], 0.5)\nprint('begins', flush=True)\n" + TALKER
    write("slow.py", slow)
    write("eager.py", "print('eager', flush=True)\n")
    write("horus.yaml", "nodes:\n  - {run: eager.py, after: [slow]}\n  - slow.py\n")
    run = horus_run()
    run.wait_for("Ended .eager.")
    assert run.out.index("Started [slow]") < run.out.index("Started [eager]")
    assert run.out.index("[slow] begins") < run.out.index("[eager] eager")
    run.signal(signal.SIGINT)
    assert run.finish() == 0


def test_nobody_waits_for_a_node_that_has_crashed(horus_run, write):
    write("broken.py", "raise SystemExit(3)")
    write("eager.py", "print('eager', flush=True)")
    write("horus.yaml", "nodes:\n  - {run: eager.py, after: [broken]}\n  - broken.py\n")
    run = horus_run()
    assert run.finish() == 3
    assert "[eager] eager" in run.out


def test_a_node_that_fails_is_started_again_until_it_has_failed_too_often(horus_run, write):
    file = write("weak.py", "print('here', flush=True)\nraise SystemExit(4)")
    write(
        "horus.yaml",
        f"nodes: [{{run: {file.name}, restart: on-failure, max_restarts: 2, restart_delay: 0.05}}]",
    )
    run = horus_run()
    assert run.finish() == 4
    assert run.out.count("[weak] here") == 3
    assert "   Restarting [weak] in 0.05 s (1 of 2)" in run.out
    assert "   Restarting [weak] in 0.1 s (2 of 2)" in run.out
    assert "   Giving up [weak]: it was restarted 2 times in a row" in run.out


def test_a_killed_node_comes_back_and_the_end_counts(horus_run, horus_command, write):
    run = horus_run(str(write("talker.py", TALKER)), "--restart", "on-failure")
    run.wait_for("All processes running")
    (before,) = noted_processes(run.session_id)
    os.kill(before.pid, signal.SIGKILL)
    run.wait_for("Crashed .talker.: killed by signal 9")
    run.wait_for(r"(?s)Restarting .talker.*Started .talker.")
    shown = horus_command("ps", "--json")
    assert shown.finish() == 0
    row = json.loads(shown.out)[0]["processes"][1]
    assert (row["name"], row["restarts"], row["state"]) == ("talker", 1, "running")
    assert row["pid"] != before.pid
    run.signal(signal.SIGTERM)
    assert run.finish() == 0


def test_a_stop_starts_nothing_again(horus_run, write):
    run = horus_run(str(write("talker.py", TALKER)), "--restart", "always")
    run.wait_for("All processes running")
    run.signal(signal.SIGINT)
    assert run.finish() == 0
    assert "Restarting" not in run.out


ROBOT = """
name: one_wheel
nodes: [drive.py]
buses:
  can0: {use: socketcan, channel: can0, restart: on-failure, restart_delay: 0.1}
hardware:
  wheel: {use: odrive, bus: can0, node: 3}
"""
DRIVE = """
import horus
from horus.msgs import MotorCommand

def tick(node):
    node.send("wheel.command", MotorCommand(velocity=2.0))
    state = node.get_latest("wheel.state")
    if state is not None:
        print("turns" if state.velocity > 1.0 else "rests", flush=True)

horus.run(horus.Node(pubs="wheel.command", subs="wheel.state", tick=tick, rate=20))
"""


def test_a_killed_driver_is_made_safe_and_then_started_again(horus_run, write):
    write("horus.yaml", ROBOT)
    write("drive.py", DRIVE)
    run = horus_run("--mock")
    run.wait_for("turns")
    (driver,) = [p for p in noted_processes(run.session_id) if p.kind == "driver"]
    os.kill(driver.pid, signal.SIGKILL)
    run.wait_for(r"(?s)Crashed .can0.*Restarting .can0.*Started .can0.*turns")
    safe = run.out.index("wheel", run.out.index("Crashed [can0]"))
    assert safe < run.out.index("Started [can0]", safe), "its last words come before its return"
    run.signal(signal.SIGINT)
    assert run.finish() == 0
