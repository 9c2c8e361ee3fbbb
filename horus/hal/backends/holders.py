"""Who holds a device node: the process and its program, as far as this user may see."""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")


def locker(path: Path) -> str:
    """Return who has locked a device node with ``flock``, such as "minicom (pid 123)"; "" if none.

    From /proc/locks, which shows the locks of all users.
    """
    try:
        about = path.stat()
        lines = (PROC / "locks").read_text().splitlines()
    except OSError:
        return ""
    place = f"{os.major(about.st_dev):02x}:{os.minor(about.st_dev):02x}:{about.st_ino}"
    for line in lines:
        words = line.split()
        if len(words) >= 6 and words[1] == "FLOCK" and words[5] == place:
            return program(int(words[4]))
    return ""


def openers(path: Path) -> str:
    """Return who has a device node open, as far as this user may see; "" if nobody is seen."""
    try:
        device = path.stat().st_rdev
    except OSError:
        return ""
    found = [program(int(process.name)) for process in PROC.glob("[0-9]*") if _has(process, device)]
    return " or ".join(found)


def _has(process: Path, device: int) -> bool:
    try:
        files = list((process / "fd").iterdir())
    except OSError:
        return False
    for file in files:
        try:
            if device and file.stat().st_rdev == device:
                return True
        except OSError:
            continue
    return False


def program(pid: int) -> str:
    """Return a process in words."""
    if pid == os.getpid():
        return f"this very program (pid {pid})"
    try:
        name = (PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return f"pid {pid}" if pid > 0 else "a program outside of this container"
    return f"{name} (pid {pid})"
