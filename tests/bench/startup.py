"""What it costs to start each command: ``python -m tests.bench.startup``.

Beside a simulated rover, with byte code: the processor time of ``--help`` and of something quick,
less that of an interpreter that does nothing. Waiting is not counted: some commands measure for a
second.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from horus.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
#: What a command may take at most (ms), by its issue.
MOST = 150.0
#: Something quick of each; those that hold a place to write in have {} for it.
QUICK = {
    "run": ["run", "absent.py"],
    "ps": ["ps"],
    "stop": ["stop", "--session", "absent"],
    "devices": ["devices"],
    "mock": ["mock", "list"],
    "topic": ["topic", "list"],
    "node": ["node", "list"],
    "log": ["log"],
    "param": ["param", "list"],
    "call": ["call", "imu"],
    "estop": ["estop", "--release"],
    "record": ["record", "imu", "-o", "{}/run.mcap", "--duration", "0.1s"],
    "replay": ["replay", "absent.mcap"],
    "bag": ["bag", "info", "absent.mcap"],
    "clean": ["clean"],
    "check": ["check", "examples/rover"],
    "doctor": ["doctor"],
    "scan": ["scan"],
    "drivers": ["drivers", "mpu6050"],
    "buses": ["buses"],
    "new": ["new", "driver", "{}/some_driver"],
    "service": ["service", "install", "--print", "examples/rover"],
    "plugins": ["plugins"],
    "completion": ["completion", "bash"],
}
#: Actions of which each is a module of its own.
MORE = {
    "topic info": ["topic", "info", "imu"],
    "topic echo": ["topic", "echo", "imu", "--count", "1"],
    "topic hz": ["topic", "hz", "imu", "--duration", "0.5"],
    "node info": ["node", "info", "drive"],
    "completion words": ["completion", "words"],
}


def cpu(arguments: list[str], env: Mapping[str, str]) -> float:
    """Return the processor time (ms) of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        arguments,
        env=dict(env),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


def often(words: list[str], runs: int, env: Mapping[str, str]) -> float:
    """Return the least (ms) of several runs: others on the machine only ever add to it."""
    cpu(words, env)  # which leaves the byte code
    return min(cpu(words, env) for _ in range(runs))


@contextlib.contextmanager
def rover(env: Mapping[str, str]) -> Iterator[None]:
    """Let a simulated rover run meanwhile."""
    command = [sys.executable, "-m", "horus", "run", "--mock", "examples/rover"]
    run = subprocess.Popen(
        command, env=dict(env), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        assert run.stdout is not None
        for line in run.stdout:
            if b"All processes running" in line:
                break
        time.sleep(2.0)  # until its own start is over
        yield
    finally:
        run.send_signal(signal.SIGINT)
        run.communicate()


def measure(runs: int) -> dict[str, dict[str, float]]:
    """Return the figures (ms) by command."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "HORUS_SHM_DIR": f"{folder}/shm"}
        env |= {"PYTHONPYCACHEPREFIX": f"{folder}/code", "HORUS_SESSION_ID": ""}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        bare = often([sys.executable, "-c", "pass"], runs * 2, env)
        found: dict[str, dict[str, float]] = {"python itself": {"quick": bare}}
        horus = [sys.executable, "-m", "horus"]
        with rover(env):
            for number, (name, words) in enumerate({**QUICK, **MORE}.items()):
                place = Path(folder, str(number))
                place.mkdir()
                words = [word.replace("{}", str(place)) for word in words]
                found[name] = {"quick": often([*horus, *words], runs, env) - bare}
                if name in COMMANDS:
                    found[name]["help"] = often([*horus, name, "--help"], runs, env) - bare
        return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.startup", description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="of each (default: 10)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    found = measure(args.runs)
    if args.json:
        print(json.dumps(found))
        return
    print(f"ms of processor time beyond Python's own, least of {args.runs}; target {MOST:g}\n")
    print(f"{'command':18} {'--help':>7} {'quick':>7}   what")
    for name, times in found.items():
        words = " ".join({**QUICK, **MORE}.get(name, ["python -c pass"]))
        shown = f"{times['help']:7.0f}" if "help" in times else " " * 7
        slow = "  SLOW" if max(times.values()) > MOST else ""
        print(f"{name:18} {shown} {times['quick']:7.0f}   {words}{slow}")


if __name__ == "__main__":
    main()
