"""How much of the machine the processes of a run use: what ``/proc`` says of each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from horus.bus.session import is_alive
from horus.runtime.sessions import RunProcess

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What one living process has used."""

    #: Processor time since its start, in seconds.
    cpu: float
    #: Memory that only it uses and its share of what others use too, in bytes; 0 if unknown.
    memory: int
    #: Seconds since its start.
    age: float
    #: True while it is stopped (state T), as by SIGSTOP or a debugger.
    stopped: bool


def usage(process: RunProcess, *, memory: bool = True) -> Usage | None:
    """Return what a process has used; None when it has ended.

    Who looks often leaves out its memory: to add that up, the kernel holds up the process.
    """
    folder = Path("/proc", str(process.pid))
    if process.end or not is_alive(process.pid, process.start):
        return None
    try:
        text = (folder / "stat").read_bytes()
        fields = text[text.rindex(b")") + 2 :].split()
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    cpu = (int(fields[11]) + int(fields[12])) / _TICKS
    age = max(0.0, uptime - int(fields[19]) / _TICKS)
    return Usage(cpu, _memory(folder) if memory else 0, age, fields[0] in (b"T", b"t"))


def _memory(folder: Path) -> int:
    for file, key in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            for line in (folder / file).read_text().splitlines():
                if line.startswith(key):
                    return int(line.split()[1]) * 1024
        except (OSError, ValueError, IndexError):
            continue
    return 0


def loads(processes: Sequence[RunProcess], before: dict[int, Usage], seconds: float) -> list[float]:
    """Return the share (%) of one processor that each process used since ``before``."""
    found = []
    for process in processes:
        now, then = usage(process), before.get(process.pid)
        used = now.cpu - then.cpu if now and then else 0.0
        found.append(100.0 * used / seconds if seconds > 0 else 0.0)
    return found
