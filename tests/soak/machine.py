"""What the kernel says about the processes of the robot and about their shared memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from horus.runtime import runlog
from horus.runtime.linux import descendants

_TICKS = os.sysconf("SC_CLK_TCK")
KB = 1024
#: Where a run keeps what it printed, and the most that it takes there (bytes).
LOGS, LOG_LIMIT = (runlog.FILE, runlog.OLD_FILE), 2 * runlog.LIMIT


def processes(root: int) -> dict[int, str]:
    """Return the processes of a run by pid, each with the name that the run prints for it."""
    found = {root: "supervisor"}
    for pid in descendants(root):
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
            found[pid] = name_of(line)
    return found


def name_of(line: Sequence[str]) -> str:
    """Return what a command line of a run is called: ``i2c1``, ``i2c1.sim``, ``drive``."""
    if any(part.endswith("guardian.py") for part in line):
        return "guardian"
    if "--bus" in line:
        bus = line[line.index("--bus") + 1]
        return f"{bus}.sim" if "horus.hardware.twins" in line else bus
    if "file" in line:
        return Path(line[line.index("file") + 1]).stem
    return Path(line[0]).name


def figures(pid: int) -> dict[str, float] | None:
    """Return memory (bytes), descriptors, threads and processor time (s); None when it is gone."""
    try:
        memory = _memory(pid)
        with os.scandir(f"/proc/{pid}/fd") as entries:
            memory["fds"] = sum(1 for _ in entries)
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    memory["threads"] = int(stat[17])
    memory["cpu"] = (int(stat[11]) + int(stat[12])) / _TICKS
    return memory


def _memory(pid: int) -> dict[str, float]:
    """Return resident memory, our share of it (PSS), and what only this process has written."""
    found: dict[str, float] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        found[name] = float(value.split()[0]) * KB
    return {"rss": found["Rss"], "pss": found["Pss"], "written": found["Private_Dirty"]}


def shared_memory(folder: Path, pids: Sequence[int]) -> dict[str, float]:
    """Return files and bytes of a folder in shared memory, and the semaphores of the processes.

    What the run has printed is kept there too, up to a size: those bytes are counted apart.
    """
    files = size = log = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                taken = (Path(path) / name).lstat().st_blocks * 512
                log, size = (log + taken, size) if name in LOGS else (log, size + taken)
                files += name != runlog.OLD_FILE
    heads = tuple(f"sem.horus.{pid}." for pid in pids)
    bells = sum(name.startswith(heads) for name in os.listdir("/dev/shm"))
    return {"shm_files": files, "shm_bytes": size, "semaphores": bells, "log_bytes": log}
