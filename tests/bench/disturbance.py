"""How much tools that look at a topic disturb a 1 kHz node: ``python -m tests.bench.disturbance``.

A node publishes an Imu at 1 kHz. Rounds without and with each tool take turns, so that whatever
else the machine does falls on all alike; what counts is the ratio to the rounds without. ``send``
is how long it takes to put a message on the topic, ``gap`` the time from tick to tick, ``jitter``
by how much that is off 1 ms. ``monitor`` draws in a terminal of its own; to ``monitor --web``
somebody listens.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import http.client
import json
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from horus.bus import session

TOOLS: dict[str, list[str]] = {
    "alone": [],
    "topic echo": ["topic", "echo", "imu", "--json"],
    "topic hz": ["topic", "hz", "imu"],
    "topic list": ["topic", "list", "--look", "60"],
    "record": ["record", "-o", "FILE", "--force"],
    "record --ring": ["record", "--ring", "60s", "-o", "FILE", "--force"],
    "monitor": ["monitor"],
    "monitor --web": ["monitor", "--web", "--port", "0"],
}
RATE = 1000.0


def _node() -> None:
    """Be the node: a line of figures for each line on standard input."""
    import horus
    from horus.msgs import Imu

    sends: list[int] = []
    gaps: list[int] = []
    last = [time.monotonic_ns()]

    def tick(node: horus.Node) -> None:
        now = time.monotonic_ns()
        gaps.append(now - last[0])
        last[0] = now
        node.send("imu", Imu())
        sends.append(time.monotonic_ns() - now)

    node = horus.Node("fast", pubs=horus.Pub("imu", Imu), tick=tick, rate=RATE)

    def answer() -> None:
        for _ in sys.stdin:
            took, gap = sorted(sends), sorted(gaps)
            off = sorted(abs(each - round(1e9 / RATE)) for each in gap)
            sends.clear(), gaps.clear()
            found = [_at(took, 50), _at(took, 99), _at(gap, 99), _at(off, 99)] if took else [0] * 4
            print(json.dumps([len(took), *found]), flush=True)
        node.request_stop()

    threading.Thread(target=answer, daemon=True).start()
    horus.run(node)


def _at(ordered: list[int], percent: int) -> int:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def measure(rounds: int, seconds: float) -> dict[str, list[list[float]]]:
    """Return ``[ticks, send p50, send p99, gap p99, jitter p99]`` (ns) of each round, by tool."""
    found: dict[str, list[list[float]]] = {name: [] for name in TOOLS}
    shm = tempfile.TemporaryDirectory(prefix="horus-disturb-", dir=_shm())
    with shm as folder, tempfile.TemporaryDirectory() as disk:
        os.environ["HORUS_SHM_DIR"] = folder
        run = session.new_session()  # a recorder wants a run to record
        env = {**os.environ, "HORUS_SESSION_ID": run.id}
        node = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.disturbance", "--node"],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert node.stdin and node.stdout
        try:
            deadline = time.monotonic() + 20
            while not (session.session_dir(run.id) / "topics" / "imu" / "control").exists():
                if time.monotonic() > deadline:
                    raise SystemExit("the node does not start")
                time.sleep(0.02)
            for _ in range(rounds):
                for name, template in TOOLS.items():
                    file = str(Path(disk) / "run.mcap")
                    words = [file if word == "FILE" else word for word in template]
                    found[name].append(_round(node, env, words, seconds))
        finally:
            node.stdin.close()
            node.wait(20)
            session.end_session(run.id)
    return found


def _round(
    node: subprocess.Popen[str], env: dict[str, str], words: list[str], seconds: float
) -> list[float]:
    with _using(words, env):
        _ask(node)
        deadline = time.monotonic() + 30
        while True:  # until it has ticked, which on a busy machine takes longer
            time.sleep(seconds)
            answer = _ask(node)
            if answer[0] or time.monotonic() > deadline:
                return answer


@contextlib.contextmanager
def _using(words: list[str], env: dict[str, str]) -> Iterator[None]:
    """Let a tool run, in a terminal of its own, and somebody listen to it."""
    if not words:
        yield
        return
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    command = [sys.executable, "-m", "horus.cli", *words]
    env = {**env, "TERM": "xterm-256color"}
    written: list[bytes] = []
    tool = subprocess.Popen(command, env=env, stdin=inner, stdout=inner, stderr=inner)
    threading.Thread(target=_drain, args=(outer, written), daemon=True).start()
    try:
        if words[0] == "monitor":
            shown = _wait_for(rb"open http://([\d.:]+)(/\S+)|E-STOP", written)
            if shown[1]:
                _listen(shown[1].decode(), shown[2].decode())
        time.sleep(1.0)  # its start is not what is measured
        if tool.poll() is not None:
            raise SystemExit(f"horus {' '.join(words)} has ended with {tool.returncode}")
        yield
    finally:
        tool.terminate()
        tool.wait()
        os.close(inner)


def _drain(fd: int, written: list[bytes]) -> None:
    """Take what a tool writes, as a terminal does; only the beginning is kept."""
    with contextlib.suppress(OSError):
        while data := os.read(fd, 65536):
            if len(written) < 100:
                written.append(data)
    os.close(fd)


def _wait_for(pattern: bytes, written: list[bytes]) -> re.Match[bytes]:
    deadline = time.monotonic() + 60
    while not (found := re.search(pattern, b"".join(written))):
        if time.monotonic() > deadline:
            raise SystemExit("horus monitor does not start")
        time.sleep(0.02)
    return found


def _listen(host: str, path: str) -> None:
    """Do what a browser does that shows the page."""
    connection = http.client.HTTPConnection(host, timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    connection.request("GET", "/events", headers={"Cookie": cookie})
    events = connection.getresponse()
    events.readline()
    threading.Thread(target=_read_all, args=(events,), daemon=True).start()


def _read_all(events: http.client.HTTPResponse) -> None:
    with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
        while events.read1(65536):
            pass


def _ask(node: subprocess.Popen[str]) -> list[float]:
    """Return the node's figures since it was asked last."""
    assert node.stdin and node.stdout
    node.stdin.write("figures\n")
    node.stdin.flush()
    return [float(value) for value in json.loads(node.stdout.readline())]


def _shm() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def table(found: dict[str, list[list[float]]]) -> str:
    """Return the medians of all rounds, and their ratios to those without a tool."""
    names = ("send p50", "send p99", "gap p99", "jitter p99")
    lines = [f"{'':<14}{'ticks':>8}" + "".join(f"{name:>22}" for name in names)]
    medians = {
        name: [sorted(c)[len(c) // 2] for c in zip(*r, strict=True)] for name, r in found.items()
    }
    for name, values in medians.items():
        cells = [f"{values[0]:>8.0f}"]
        for column in range(1, 1 + len(names)):
            ratio = values[column] / max(medians["alone"][column], 1.0)
            cells.append(f"{values[column] / 1e3:>12.1f} µs ×{ratio:>4.2f}")
        lines.append(f"{name:<14}{'  '.join(cells)}")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--node", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each round")
    args = parser.parse_args()
    if args.node:
        _node()
        return
    print(table(measure(args.rounds, args.seconds)))


if __name__ == "__main__":
    main()
