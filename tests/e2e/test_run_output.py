"""What processes print: every line at once, with its name, whatever it is made of."""

from __future__ import annotations

import errno
import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest


def shown(run, name: str) -> list[str]:
    prefix = f"[{name}] "
    return [line.removeprefix(prefix) for line in run.out.split("\n") if line.startswith(prefix)]


def test_lines_come_at_once_without_a_flush(write, horus_run):
    write("a.py", 'import signal\nprint("first")\nsignal.pause()\n')
    run = horus_run("a.py")
    run.wait_for(r"^\[a\] first$")
    assert run.popen.poll() is None


def test_what_goes_to_stderr_is_shown_in_its_place(write, horus_run):
    write("a.py", 'import sys\nprint("one")\nprint("two", file=sys.stderr)\nprint("three")\n')
    run = horus_run("a.py")
    assert run.finish() == 0
    assert shown(run, "a") == ["one", "two", "three"]
    assert run.err == ""


def test_a_last_line_without_its_end_is_shown(write, horus_run):
    write("a.py", 'print("whole")\nprint("no end", end="")\n')
    write("b.py", 'import os\nprint("last words", end="")\nos.kill(os.getpid(), 9)\n')
    run = horus_run("a.py", "b.py")
    run.finish()
    assert shown(run, "a") == ["whole", "no end"]
    assert shown(run, "b") == ["last words"]


def test_empty_lines_carriage_returns_and_progress_bars(write, horus_run):
    write("a.py", r'print("one\n\ntwo\r\n10%\r20%\r", end="", flush=True); print("done")')
    run = horus_run("a.py")
    assert run.finish() == 0
    assert shown(run, "a") == ["one", "", "two", "10%", "20%", "done"]


def test_a_very_long_line_arrives_whole_in_pieces(write, horus_run):
    write("a.py", 'print("ä" * 1_500_000)\nprint("after")\n')
    run = horus_run("a.py")
    assert run.finish() == 0
    *pieces, after = shown(run, "a")
    assert after == "after"
    assert "".join(pieces) == "ä" * 1_500_000
    assert 1 < len(pieces) < 10


def test_what_is_not_utf8_is_replaced(write, horus_run):
    write(
        "a.py", 'import os\nos.write(1, b"good \\xff\\xfe bad\\n")\nos.write(1, b"\\xc3\\xa4\\n")\n'
    )
    run = horus_run("a.py")
    assert run.finish() == 0
    assert shown(run, "a") == ["good \ufffd\ufffd bad", "ä"]


def test_lines_of_many_processes_are_never_mixed(write, horus_run):
    for name in "abc":
        write(f"{name}.py", f'for i in range(2000):\n    print("{name}" * 50, i)\n')
    run = horus_run("[abc].py")
    assert run.finish() == 0
    for name in "abc":
        assert shown(run, name) == [f"{name * 50} {i}" for i in range(2000)]


def test_a_slow_reader_gets_every_line(write, tmp_path):
    count = 300_000  # about 12 MB: more than all buffers together
    write("a.py", f'for i in range({count}):\n    print(i, "." * 30)\n')
    run = subprocess.Popen(
        [sys.executable, "-m", "horus.cli", "run", "a.py"], cwd=tmp_path, stdout=subprocess.PIPE
    )
    text = b""
    while data := os.read(run.stdout.fileno(), 16384):
        text += data
    run.stdout.close()
    assert run.wait(60) == 0
    lines = [line for line in text.split(b"\n") if line.startswith(b"[a] ")]
    assert len(lines) == count
    assert lines[-1] == b"[a] %d %s" % (count - 1, b"." * 30)


def test_a_reader_that_stands_still_holds_up_nobody(write, tmp_path):
    # 40 MB: more than all buffers together, so that some must be left out.
    write("a.py", 'for i in range(10_000):\n    print("." * 4000)\nopen("through", "w").close()\n')
    run = subprocess.Popen(
        [sys.executable, "-m", "horus.cli", "run", "a.py"], cwd=tmp_path, stdout=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "through").exists():
        assert time.monotonic() < deadline
        select.select([], [], [], 0.05)
    text = run.stdout.read()
    run.stdout.close()
    assert run.wait(60) == 0
    kept = text.count(b"[a] ....")
    left_out = sum(
        int(line.split()[1]) for line in text.split(b"\n") if b"lines were dropped here" in line
    )
    assert left_out > 0
    assert kept + left_out == 10_000


def test_a_blocked_reader_does_not_keep_a_run_from_stopping(write, tmp_path):
    write(
        "a.py",
        "import horus\nimport os\n"
        'def tick(node):\n    print("." * 100_000)\n'
        'def shutdown(node):\n    open("shutdown", "w").close()\n'
        'horus.run(horus.Node("n", tick=tick, shutdown=shutdown, rate=200))\n',
    )
    run = subprocess.Popen(
        [sys.executable, "-m", "horus.cli", "run", "a.py"], cwd=tmp_path, stdout=subprocess.PIPE
    )
    text = b""
    while b"[a] ..." not in text:
        text += os.read(run.stdout.fileno(), 4096)
    # Nobody reads from here on.
    run.send_signal(signal.SIGINT)
    deadline = time.monotonic() + 60
    while not (tmp_path / "shutdown").exists():
        assert time.monotonic() < deadline
        select.select([], [], [], 0.05)
    text = run.stdout.read()
    run.stdout.close()
    assert run.wait(60) == 0
    assert text.endswith(b"   Stopped [a]\n All processes stopped.\n")


def run_on_a_terminal(tmp_path, **env: str) -> str:
    master, slave = pty.openpty()
    run = subprocess.Popen(
        [sys.executable, "-m", "horus.cli", "run", "a.py", "b.py"],
        cwd=tmp_path,
        stdout=slave,
        stderr=slave,
        env={**{k: v for k, v in os.environ.items() if k != "NO_COLOR"}, "TERM": "xterm", **env},
    )
    os.close(slave)
    text = b""
    try:
        while data := os.read(master, 4096):
            text += data
    except OSError as error:
        assert error.errno == errno.EIO  # the other end has closed
    finally:
        os.close(master)
    assert run.wait(60) == 0
    return text.decode()


@pytest.mark.parametrize(
    ("env", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_only_the_name_is_coloured_and_only_on_a_terminal(env, coloured, write, tmp_path):
    write("a.py", "print('red?')")
    write("b.py", "print('green?')")
    text = run_on_a_terminal(tmp_path, **env)
    if coloured:
        a = text[text.index("[a]\x1b") - 5 :]
        assert a[:5].startswith("\x1b[")
        assert "[a]\x1b[0m red?\r\n" in text
        assert "[b]\x1b[0m green?\r\n" in text
    else:
        assert "\r\n[a] red?\r\n" in text
        assert "\x1b" not in text


def test_output_to_a_closed_descriptor_does_no_harm(write, tmp_path):
    write("a.py", 'open("ran", "w").close()')
    run = subprocess.run(
        f'"{sys.executable}" -m horus.cli run a.py >&-',
        shell=True,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    assert run.stderr == b""
    assert (tmp_path / "ran").exists()
