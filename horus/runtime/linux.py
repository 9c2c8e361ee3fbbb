"""What the kernel knows about processes and Python has no function for."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from horus.runtime.child import prctl

_PR_SET_CHILD_SUBREAPER = 36
#: In the environment of all that a run starts: its folder.
RUN_FOLDER = "HORUS_RUN_FOLDER"


class Stat(NamedTuple):
    """What ``/proc/<pid>/stat`` says about a living process."""

    pid: int
    parent: int
    session: int
    #: Clock ticks since boot.
    start: int


def adopt_orphans() -> None:
    """Make this process the parent of descendants whose own parent ends, so none can slip away."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def stat(pid: int) -> Stat | None:
    """Return what is known of a process; None when it has ended."""
    try:
        text = Path("/proc", str(pid), "stat").read_bytes()
        # The name in field 2 may hold spaces and brackets: count from its end.
        fields = text[text.rindex(b")") + 2 :].split()
    except (OSError, ValueError):
        return None
    if fields[0] in (b"Z", b"X"):
        return None
    return Stat(pid, int(fields[1]), int(fields[3]), int(fields[19]))


def living() -> list[Stat]:
    """Return all processes of the machine that have not ended."""
    try:
        pids = [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]
    except OSError:
        return []
    return [found for pid in pids if (found := stat(pid))]


def descendants(root: int) -> list[int]:
    """Return the living children of a process, their children, and so on."""
    children: dict[int, list[int]] = {}
    for process in living():
        children.setdefault(process.parent, []).append(process.pid)
    found: list[int] = []
    ahead = [root]
    while ahead:
        below = children.get(ahead.pop(), [])
        found += below
        ahead += below
    return found


def session_members(leaders: Mapping[int, int]) -> list[int]:
    """Return the living processes of the sessions of these leaders (pid: start time)."""
    processes = living()
    now = {process.pid: process.start for process in processes}
    # While a session has members its number is not given to a new process; after that it may be.
    ours = {pid for pid, start in leaders.items() if now.get(pid, start) == start}
    return [process.pid for process in processes if process.session in ours]


def started_in(folder: Path) -> list[int]:
    """Return the living processes that a run has started, or those in turn, by its folder.

    Found by their environment, also where they have a session of their own and lost their parent.
    """
    mark = f"{RUN_FOLDER}={folder}".encode()
    found = []
    for process in living():
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            environment = Path("/proc", str(process.pid), "environ").read_bytes()
            if mark in environment.split(b"\0"):
                found.append(process.pid)
    return found


def send_signal(pid: int, signum: int) -> None:
    """Send a signal to one process; one that has gone, or is not ours, is left alone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signum)


def signal_group(leader: int, signum: int) -> None:
    """Send a signal to a process group, as a terminal's Ctrl-C would."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signum)


_CURES = {
    errno.EAGAIN: "too many processes: end some, or raise the limit (`ulimit -u`, TasksMax of a "
    "systemd unit)",
    errno.EMFILE: "too many open files: raise `ulimit -n`",
    errno.ENOMEM: "no memory is left: end other programs",
}


def start_trouble(error: OSError) -> str:
    """Return why a process cannot be started, with the cure where one is known."""
    return _CURES.get(error.errno or 0) or error.strerror or str(error)
