"""The long form of the recording's proofs: ``python -m tests.recording [--seconds 300]``.

A simulated robot is recorded at full rates, replayed, and recorded again: the same payloads, and
stamps that have all moved alike. Recorders are killed at random moments. A 1 kHz node is measured
with and without a recorder, in turns.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from horus_plugins.recording.bag import Bag

from tests.recording.conftest import contents

ROOT = Path(__file__).parents[2]
HORUS = [sys.executable, "-m", "horus.cli"]
TICKS = """\
import sys, time, horus
late = []
start = time.monotonic()
def tick(node):
    if time.monotonic() - start > 0.5:
        late.append(time.monotonic_ns())
    node.send("fast", {"k": len(late)})
horus.run(horus.Node("fast", pubs="fast", tick=tick, rate=1000), duration=float(sys.argv[1]))
gaps = sorted(abs(b - a - 1_000_000) / 1000 for a, b in zip(late, late[1:]))
print("JITTER", gaps[len(gaps) // 2], gaps[int(len(gaps) * 0.99)], flush=True)
"""


def begin(*words: str, log: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start a command and return it with the session it names."""
    file = log.open("w")
    process = subprocess.Popen([*HORUS, *words], stdout=file, stderr=file, cwd=log.parent)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := re.search(r"(?:Session:|in session) (\w{3}-\w{3}-\w{3})", log.read_text()):
            return process, found[1]
        time.sleep(0.01)
    raise SystemExit(log.read_text())


def again(folder: Path, robot: str, seconds: float) -> bool:
    """Record, replay, record again, compare; return whether all is the same."""
    run, session_id = begin("run", "--mock", robot, log=folder / "run.log")
    time.sleep(5)
    record = [*HORUS, "record", "-o", "first.mcap", "--duration", f"{seconds}s"]
    done = subprocess.run(
        [*record, "--session", session_id], cwd=folder, capture_output=True, text=True
    )
    print(done.stdout + done.stderr)
    run.send_signal(signal.SIGINT)
    run.wait()
    replay, session_id = begin("replay", "first.mcap", "--wait", "3s", log=folder / "replay.log")
    second = [*HORUS, "record", "-o", "second.mcap", "--session", session_id]
    done = subprocess.run(second, cwd=folder, capture_output=True, text=True)
    replay.wait()
    print(done.stdout + done.stderr + (folder / "replay.log").read_text())
    one, two = contents(Bag(folder / "first.mcap")), contents(Bag(folder / "second.mcap"))
    same = sum(len(messages) for messages in one.values())
    shifts = set()
    good = one.keys() == two.keys()
    for topic, messages in one.items():
        other = sorted(two.get(topic, []), key=lambda found: found[1])
        messages = sorted(messages, key=lambda found: found[1])
        good = good and [p for p, _ in messages] == [p for p, _ in other]
        shifts |= {b - a for (_, a), (_, b) in zip(messages, other, strict=False)}
    size = (folder / "first.mcap").stat().st_size
    print(
        f"recorded again: {same} messages on {len(one)} topics, {size / 1e6:.2f} MB: "
        f"{'every payload the same' if good else 'NOT THE SAME'}; "
        f"stamps differ by {max(shifts) - min(shifts)} ns from one common shift"
    )
    return good and len(shifts) == 1


def kills(folder: Path, robot: str, count: int) -> bool:
    """Kill recorders at random moments; return whether each lost less than a second."""
    run, session_id = begin("run", "--mock", robot, log=folder / "run.log")
    time.sleep(5)
    worst = 0.0
    for number in range(count):
        name = f"kill{number}.mcap"
        log = folder / "record.log"
        with log.open("w") as file:
            recorder = subprocess.Popen(
                [*HORUS, "record", "-o", name, "--session", session_id],
                stdout=file,
                stderr=file,
                cwd=folder,
            )
        while "recording session" not in log.read_text():
            time.sleep(0.01)
        time.sleep(0.6 + 2 * random.random())
        recorder.kill()
        killed_ns = time.time_ns()
        recorder.wait()
        found = Bag(folder / name).summary()
        worst = max(worst, (killed_ns - found.end_ns) / 1e9 if found.count else 99.0)
    run.send_signal(signal.SIGINT)
    run.wait()
    print(f"killed {count} recorders: each file readable, at most {worst * 1e3:.0f} ms lost")
    return worst < 1.0


def disturbance(folder: Path, turns: int, seconds: float) -> None:
    """Print the jitter of a 1 kHz node alone and while it is recorded, in turns."""
    node = folder / "fast.py"
    node.write_text(TICKS)
    found: dict[str, list[tuple[float, float]]] = {"alone": [], "recorded": []}
    for turn in range(2 * turns):
        what = ("alone", "recorded")[turn % 2]
        log = folder / "jitter.log"
        run, session_id = begin("run", str(node), "--args", str(seconds), log=log)
        if what == "recorded":
            words = [*HORUS, "record", "-o", f"jitter{turn}.mcap", "--session", session_id]
            subprocess.run(words, cwd=folder, capture_output=True)
        run.wait()
        match = re.search(r"JITTER (\S+) (\S+)", log.read_text())
        assert match, log.read_text()
        found[what].append((float(match[1]), float(match[2])))
    for what, values in found.items():
        median, tail = (statistics.median(column) for column in zip(*values, strict=True))
        print(f"1 kHz node {what}: median {median:.1f} µs off its period, p99 {tail:.1f} µs")


def main() -> int:
    """Run the proofs; 1 when one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--robot", default=str(ROOT / "examples" / "rover"))
    args = parser.parse_args()
    args.robot = str(Path(args.robot).resolve())
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory(dir="/dev/shm") as shm:
        os.environ["HORUS_SHM_DIR"] = shm
        os.environ.pop("HORUS_SESSION_ID", None)
        folder = Path(name)
        good = kills(folder, args.robot, args.kills) if args.kills else True
        if args.turns:
            disturbance(folder, args.turns, 5.0)
        return 0 if again(folder, args.robot, args.seconds) and good else 1


if __name__ == "__main__":
    raise SystemExit(main())
