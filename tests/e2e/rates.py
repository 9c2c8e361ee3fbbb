"""Runs an example on simulated devices and prints what rate each device holds, and the CPU used.

``python -m tests.e2e.rates [--seconds 60] [FOLDER]``; exit status 1 when a device is more than 2 %
off the rate it was asked for.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from horus.bus import Subscriber
from horus.hardware import topics
from horus.hardware.config import DeviceEntry, load
from horus.runtime.linux import descendants

WORKBENCH = Path(__file__).parents[2] / "examples" / "workbench"
ALLOWED = 0.02
#: Longest time (s) until all devices send.
START = 60.0
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Measured:
    """What came on a device's topic."""

    device: DeviceEntry
    topic: Subscriber
    count: int = 0
    first_ns: int = 0
    last_ns: int = 0

    def take(self) -> None:
        """Count what has come."""
        while (found := self.topic.recv_stamped()) is not None:
            self.count += 1
            self.first_ns = self.first_ns or found[1]
            self.last_ns = found[1]

    def begin(self) -> None:
        """Count from now on."""
        self.take()
        self.count, self.first_ns = 0, 0

    @property
    def rate(self) -> float:
        """Samples a second, by their own stamps."""
        passed = (self.last_ns - self.first_ns) / 1e9
        return (self.count - 1) / passed if passed > 0 else 0.0

    @property
    def off(self) -> float:
        """By which share the rate is not what was asked for."""
        return self.rate / self.device.config.rate - 1


class Example:
    """A `horus run --mock` of an example and a subscriber to each of its devices."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.log = log
        self._file = log.open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "horus.cli", "run", "--mock", str(folder)],
            stdout=self._file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._joined = os.environ.get("HORUS_SESSION_ID")
        try:
            os.environ["HORUS_SESSION_ID"] = self._session()
            self.devices = [
                Measured(d, Subscriber(topics.data_topic(name, d.driver), depth=4096))
                for name, d in load(folder).hardware.items()
            ]
        except BaseException:
            self.stop()
            raise

    def _session(self) -> str:
        deadline = time.monotonic() + START
        while True:
            found = re.search(r"Session: (\S+)", self.log.read_text())
            if found:
                return found.group(1)
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the run did not start:\n{self.log.read_text()}")
            time.sleep(0.05)

    def wait(self) -> None:
        """Wait until every device sends."""
        deadline = time.monotonic() + START
        while missing := [m.device.name for m in self.devices if not m.count]:
            if self.process.poll() is not None or time.monotonic() > deadline:
                names = ", ".join(missing)
                raise SystemExit(f"nothing came from {names}:\n{self.log.read_text()}")
            self.look(0.1)

    def look(self, seconds: float) -> None:
        """Count for so many seconds."""
        end = time.monotonic() + seconds
        while True:
            for measured in self.devices:
                measured.take()
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.25))

    def cpu(self) -> dict[str, float]:
        """Return the seconds of CPU that each process of the run has used, by name."""
        pids = [self.process.pid, *descendants(self.process.pid)]
        return {f"{_name(pid)} {pid}": _cpu(pid) for pid in pids}

    def stop(self) -> int:
        """Press Ctrl-C and wait; return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        status = self.process.wait(60)
        self._file.close()
        if self._joined is None:
            os.environ.pop("HORUS_SESSION_ID", None)
        else:
            os.environ["HORUS_SESSION_ID"] = self._joined
        for measured in getattr(self, "devices", ()):
            measured.topic.close()
        return status


def _name(pid: int) -> str:
    """Return what a process of a run is, by its command line."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return "?"
    if "--bus" in words:
        kind = ".sim" if "horus.hardware.twins" in words else ""
        return words[words.index("--bus") + 1] + kind
    return next((Path(word).stem for word in words if word.endswith(".py")), "horus run")


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=WORKBENCH)
    parser.add_argument("--seconds", type=float, default=60.0)
    args = parser.parse_args()
    log = Path(f"/tmp/horus-rates-{os.getpid()}.log")
    example = Example(args.folder, log)
    try:
        example.wait()
        example.look(2.0)  # actuators are armed by now
        for measured in example.devices:
            measured.begin()
        before, began = example.cpu(), time.monotonic()
        example.look(args.seconds)
        after, passed = example.cpu(), time.monotonic() - began
    finally:
        example.stop()
    print(
        f"{'DEVICE':<14}{'DRIVER':<12}{'ASKED':>9}{'HELD':>10}{'OFF':>9}{'SAMPLES':>9}{'LOST':>6}"
    )
    for m in example.devices:
        asked = f"{m.device.config.rate:g} Hz"
        print(
            f"{m.device.name:<14}{m.device.use:<12}{asked:>9}{m.rate:>7.2f} Hz{m.off:>+9.2%}"
            f"{m.count:>9}{m.topic.dropped:>6}"
        )
    used = sum(after.values()) - sum(before.values())
    shares = {name: (after[name] - before.get(name, 0.0)) / passed for name in after}
    most = sorted(shares, key=lambda name: -shares[name])
    print("CPU: " + ", ".join(f"{name.rpartition(' ')[0]} {shares[name]:.0%}" for name in most))
    buses = {m.device.bus for m in example.devices}
    print(
        f"{len(example.devices)} devices on {len(buses)} buses, {len(after)} processes, "
        f"{passed:.0f} s: {used / passed:.0%} of one CPU in all"
    )
    log.unlink()
    worst = max(example.devices, key=lambda m: abs(m.off))
    if abs(worst.off) > ALLOWED:
        print(f"{worst.device.name} is off by {worst.off:+.1%}; {ALLOWED:.0%} is allowed")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
