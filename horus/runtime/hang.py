"""Finds processes that hold armed devices and do not look after them any more.

A driver's process shows, for each armed device, when it last did so (`horus.hardware.alive`). One
that is stopped, blocked in the kernel, or caught in a loop of a driver shows it no more, and its
motors go on: it is killed, which frees its ports, and its last words are spoken.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

#: Where drivers show it, in the session's folder (`horus.hardware.alive.FOLDER`).
FOLDER = "alive"
LIMIT_VARIABLE = "HORUS_HANG_LIMIT"
#: s without a sign of life; far above what a busy machine takes away from a process.
DEFAULT_LIMIT = 1.0
LIMITS = (0.1, 3600.0)
#: s between two looks, where anything was ever armed, and where nothing was yet.
EVERY, SELDOM = 0.05, 0.5


def limit() -> float:
    """Return how long (s) a process may give no sign of life: ``HORUS_HANG_LIMIT``, or 1 s.

    What is no number from 0.1 to 3600 counts as not set: a run must not fail for it.
    """
    found = _given()
    return DEFAULT_LIMIT if found is None else found


def limit_problem() -> str:
    """Return why ``HORUS_HANG_LIMIT`` is not followed, or ""."""
    text = os.environ.get(LIMIT_VARIABLE, "")
    if not text or _given() is not None:
        return ""
    low, high = LIMITS
    return (
        f"{LIMIT_VARIABLE}={text!r} is ignored: it must be a number of seconds from {low:g} to "
        f"{high:g}; {DEFAULT_LIMIT:g} s is used"
    )


def _given() -> float | None:
    try:
        value = float(os.environ.get(LIMIT_VARIABLE, ""))
    except ValueError:
        return None
    return value if LIMITS[0] <= value <= LIMITS[1] else None


@dataclass(frozen=True)
class Hung:
    """A process that hangs, with the armed devices that it leaves alone, and for how long (s)."""

    pid: int
    devices: tuple[str, ...]
    silent: float

    def __str__(self) -> str:
        verb = "was" if len(self.devices) == 1 else "were"
        devices = ", ".join(self.devices)
        return f"hung: no sign of life for {self.silent:.1f} s while {devices} {verb} armed"


class HangWatch:
    """Looks at the signs of life of one run.

    Silence counts only while the watcher itself is awake: when the whole machine stood still, its
    processes are not to blame.
    """

    def __init__(self, session_path: Path, seconds: float | None = None) -> None:
        self._folder = session_path / FOLDER
        self._limit = limit() if seconds is None else seconds
        self._seen: dict[str, tuple[int, float]] = {}  # file: what it said, silence (s) since
        self._last = -1.0

    @property
    def every(self) -> float:
        """Return how long (s) to wait for the next look."""
        return EVERY if self._last >= 0.0 else SELDOM

    def look(self, now: float) -> list[Hung]:
        """Return the processes that hang at the monotonic time ``now`` (s)."""
        if self._last >= 0.0 and now - self._last < EVERY / 2:
            return []
        try:
            names = os.listdir(self._folder)
        except OSError:
            return []  # nothing was ever armed
        passed = min(now - self._last, 2 * EVERY) if self._last >= 0.0 else 0.0
        self._last = now
        seen = {}
        silent: dict[int, dict[str, float]] = {}
        for name in names:
            value = self._read(name)
            if value:
                before, silence = self._seen.get(name, (0, 0.0))
                silence = silence + passed if value == before else 0.0
                seen[name] = (value, silence)
                pid, _, device = name.partition("-")
                if silence >= self._limit and pid.isdigit():
                    silent.setdefault(int(pid), {})[device] = silence
        self._seen = seen
        return [
            Hung(pid, tuple(sorted(devices)), max(devices.values()))
            for pid, devices in silent.items()
        ]

    def forget(self, pid: int) -> None:
        """Take away the signs of a process that has ended or was killed."""
        for name in [name for name in self._seen if name.startswith(f"{pid}-")]:
            del self._seen[name]
            (self._folder / name).unlink(missing_ok=True)

    def _read(self, name: str) -> int:
        try:
            fd = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return 0
        try:
            data = os.pread(fd, 8, 0)
        finally:
            os.close(fd)
        return int(struct.unpack("=Q", data)[0]) if len(data) == 8 else 0
