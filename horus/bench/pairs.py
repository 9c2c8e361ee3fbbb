"""Two processes: how long one message is under way, and how many get across."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from .measure import Adapter, Result, summary

PAUSE_NS = 20_000  # between an acknowledgement and the next message
LOST_NS = 100_000_000  # until a message that is not acknowledged is taken for lost
FEWEST = 10  # messages, or slices of time, to make a figure of
PATIENCE = 15.0  # s until a pair that exchanges nothing is given up

_clock = time.monotonic_ns


def one_way(adapter: Adapter, kind: str, seconds: float) -> Result:
    """Return ns from before the stamp is written to after it was read in the other process.

    Messages never queue: the receiver, which polls, acknowledges each one through a page shared
    with the sender, and only then, and after a pause, does the next one go out.
    """
    poll = adapter.receiver(kind)
    with _Page(adapter) as page, _Partner():
        _keep_to(adapter, -1)
        page[0] = _first(poll)
        delays: list[float] = []
        start = time.monotonic()
        while time.monotonic() < start + seconds or len(delays) < FEWEST:
            if time.monotonic() > start + seconds + PATIENCE:
                raise TimeoutError(f"only {len(delays)} messages came in {PATIENCE:.0f} s")
            for _ in range(200):
                stamp = poll()
                if stamp is not None:
                    delays.append(_clock() - stamp)
                    page[0] = stamp
    return summary(delays[len(delays) // 10 :])  # the first ones are cold


def throughput(adapter: Adapter, kind: str, seconds: float) -> Result:
    """Return messages received per second while the sender sends as fast as it can.

    The p99 is the rate of the slowest slices of 20 ms.
    """
    drain = adapter.drain(kind)
    with _Partner():
        _keep_to(adapter, -1)
        _first(drain)
        rates: list[float] = []
        start, received = _clock(), 0
        end = start + round(seconds * 1e9)
        while start < end or len(rates) < FEWEST:
            for _ in range(20):
                received += drain()
            now = _clock()
            if now - start >= 20_000_000:
                rates.append(received / (now - start) * 1e9)
                start, received = _clock(), 0
    rates = rates[len(rates) // 5 :]
    figures = summary(rates)
    figures["p99"] = sorted(rates)[len(rates) // 100]
    return figures


def send_stamps(adapter: Adapter, kind: str) -> None:
    """Be the other end of :func:`one_way` until told to stop."""
    send = adapter.sender(kind)
    alone = _keep_to(adapter, 0)
    stop = _Stop()
    with _Page(adapter) as page:
        while not stop.wanted():
            pause = _clock() + PAUSE_NS
            while _clock() < pause:
                pass
            stamp = _clock()
            send(stamp)
            while page[0] != stamp and _clock() - stamp < LOST_NS:
                if not alone:
                    os.sched_yield()


def send_floods(adapter: Adapter, kind: str) -> None:
    """Be the other end of :func:`throughput` until told to stop."""
    burst = adapter.flood(kind)
    _keep_to(adapter, 0)
    stop = _Stop()
    while not stop.wanted():
        burst()


def _keep_to(adapter: Adapter, place: int) -> bool:
    """Keep this process to one processor, so that the two ends never share one; False if it may.

    A project with threads of its own is left to the kernel.
    """
    processors = sorted(os.sched_getaffinity(0))
    if adapter.blocks or len(processors) < 2:
        return False
    os.sched_setaffinity(0, {processors[place]})
    return True


def _first(receive: Callable[[], int | None]) -> int:
    """Wait until something came from the partner, and return it."""
    end = time.monotonic() + PATIENCE
    while not (received := receive()):
        if time.monotonic() > end:
            raise TimeoutError(f"nothing came from the other process in {PATIENCE:.0f} s")
    return received


class _Page:
    """Eight bytes that both processes see: the stamp that arrived last."""

    def __init__(self, adapter: Adapter) -> None:
        self._path = Path(adapter.folder, f"{adapter.token}.page")

    def __enter__(self) -> memoryview:
        with self._path.open("a+b") as file:
            file.truncate(8)
            self._map = mmap.mmap(file.fileno(), 8)
        self._view = memoryview(self._map).cast("q")
        return self._view

    def __exit__(self, *exc: object) -> None:
        self._view.release()
        self._map.close()


class _Stop:
    """Knows when to end: on SIGTERM, and when the process that started us is gone."""

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._asked = False
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True

    def wanted(self) -> bool:
        return self._asked or os.getppid() != self._parent


class _Partner:
    """Run this same command once more, as the sending end."""

    def __enter__(self) -> None:
        command = [sys.executable, *sys.orig_argv[1:], "--sender"]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
