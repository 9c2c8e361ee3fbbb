"""The long form of the recording's proofs: ``python -m tests.recording [--seconds 300]``.

A simulated robot is recorded at full rates, replayed, and recorded again: the same payloads, and
stamps that have all moved alike. So are pictures of 1 MB at 30 Hz, while the recorder's memory is
watched. Recorders are killed at random moments. A 1 kHz node is measured with and without a
recorder, in turns.
"""

from __future__ import annotations

import argparse
import hashlib
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
from mcap.reader import make_reader

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

PICTURES = """\
import sys, horus, numpy
from horus.msgs import Image
shape = (480, 728, 3)  # 1.05 MB
noise = numpy.random.default_rng(1).integers(0, 3, shape, dtype="uint8")
scene = noise + 30 * numpy.linspace(0, 7, 728).astype("uint8")[None, :, None]
def tick(node):
    with node.loan("camera", Image, shape, encoding="bgr8", frame="eye") as image:
        image.data[:] = numpy.roll(scene, node.info.tick_count() * 7, 1)
camera = horus.Node("camera", pubs=horus.Pub("camera", Image), tick=tick, rate=30)
horus.run(camera, duration=float(sys.argv[1]))
"""
#: What a recorder may take (bytes): Python and what it imports, what waits for the disk, and two
#: chunks with what becomes of them.
MEMORY = 320 << 20


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


def peak(pid: int) -> int:
    """Return the most memory (bytes) that a process has had, without what it shares."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    words = dict(line.split(":", 1) for line in lines)
    return 1024 * int(words.get("RssAnon", "0").split()[0])


def digests(bag: Bag) -> list[tuple[int, bytes]]:
    """Return number and digest of every picture."""
    bag.summary()
    decoders = {number: stored.decoder() for number, stored in bag.channels.items()}
    return [
        (one.sequence, hashlib.sha256(decoders[one.channel](one.data)).digest())
        for one in bag.read(["camera"], ordered=False)
    ]


def watched(words: list[str], folder: Path) -> tuple[str, int]:
    """Record; return what it said and the most memory that it had."""
    recorder = subprocess.Popen(
        [*HORUS, "record", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    most = 0
    while recorder.poll() is None:
        most = max(most, peak(recorder.pid))
        time.sleep(0.05)
    assert recorder.stdout is not None
    return recorder.stdout.read(), most


def pictures(folder: Path, seconds: float) -> bool:
    """Record pictures of 1 MB, replay, record again; return whether they are the same."""
    (folder / "camera.py").write_text(PICTURES)
    words = ("run", "camera.py", "--args", str(seconds + 8))
    run, session_id = begin(*words, log=folder / "camera.log")
    time.sleep(2)
    first = ["-o", "pictures.mcap", "--duration", f"{seconds}s", "--session", session_id]
    told, most = watched(first, folder)
    print(told, end="")
    run.send_signal(signal.SIGINT)
    run.wait()
    words = ("replay", "pictures.mcap", "--wait", "3s")
    replay, session_id = begin(*words, log=folder / "replay.log")
    told, more = watched(["-o", "again.mcap", "--session", session_id], folder)
    replay.wait()
    print(told, end="")
    one, two = (Bag(folder / name) for name in ("pictures.mcap", "again.mcap"))
    before, after = digests(one), digests(two)
    lost = two.summary().lost.get("camera", 0)
    left = dict.fromkeys(digest for _, digest in before)
    same = all(digest in left for _, digest in after) and len(after) + lost == len(before)
    size = (folder / "pictures.mcap").stat().st_size
    with (folder / "pictures.mcap").open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    raw = sum(chunk.uncompressed_size for chunk in summary.chunk_indexes)
    largest = max(most, more)
    print(
        f"pictures: {len(before)} of 1.05 MB in {len(summary.chunk_indexes)} chunks, "
        f"{size / 1e6:.1f} MB for {raw / 1e6:.1f} MB, {one.summary().lost.get('camera', 0)} lost; "
        f"replayed and recorded again {len(after)}, {lost} lost: "
        f"{'every byte the same' if same else 'NOT THE SAME'}; "
        f"the recorder took at most {largest / 1e6:.0f} MB"
    )
    return same and largest < MEMORY


def kills(folder: Path, robot: str, count: int) -> bool:
    """Kill recorders at random moments; return whether each lost less than a second."""
    run, session_id = begin("run", "--mock", robot, log=folder / "run.log")
    time.sleep(5)
    losses = []
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
        begun_ns = time.time_ns()
        time.sleep(0.6 + 2 * random.random())
        recorder.kill()
        killed_ns = time.time_ns()
        recorder.wait()
        found = Bag(folder / name).summary()
        losses.append((killed_ns - (found.end_ns if found.count else begun_ns)) / 1e9)
    run.send_signal(signal.SIGINT)
    run.wait()
    worst = max(losses)
    print(
        f"killed {count} recorders: each file readable, at most {worst * 1e3:.0f} ms lost, "
        f"half of them less than {statistics.median(losses) * 1e3:.0f} ms"
    )
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
    parser.add_argument("--pictures", type=float, default=20.0, help="seconds of them")
    parser.add_argument("--robot", default=str(ROOT / "examples" / "rover"))
    args = parser.parse_args()
    args.robot = str(Path(args.robot).resolve())
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory(dir="/dev/shm") as shm:
        os.environ["HORUS_SHM_DIR"] = shm
        os.environ.pop("HORUS_SESSION_ID", None)
        folder = Path(name)
        good = kills(folder, args.robot, args.kills) if args.kills else True
        if args.pictures:
            good = pictures(folder, args.pictures) and good
        if args.turns:
            disturbance(folder, args.turns, 5.0)
        return 0 if again(folder, args.robot, args.seconds) and good else 1


if __name__ == "__main__":
    raise SystemExit(main())
