"""What the kernel permits this process of real time, and what to do where it does not."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import NamedTuple

__all__ = ["Permits", "permits", "throttled"]

#: Bits of a process's capabilities.
_IPC_LOCK, _SYS_NICE = 1 << 14, 1 << 23
_HIGHEST = 99


class Permits(NamedTuple):
    """What is permitted; a text says why something is not and what to do, or is empty."""

    #: The highest priority of SCHED_FIFO; 0: none.
    priority: int
    no_fifo: str
    no_lock: str


def permits() -> Permits:
    """Return what this process may have; nothing is changed by asking."""
    if not sys.platform.startswith("linux"):
        return Permits(0, *(["only Linux has it"] * 2))
    capabilities = _capabilities()
    priority = _HIGHEST
    if not capabilities & _SYS_NICE:
        priority = _limit(resource.RLIMIT_RTPRIO, _HIGHEST)
    unlimited = capabilities & _IPC_LOCK or _limit(resource.RLIMIT_MEMLOCK, -1) < 0
    return Permits(
        priority,
        "" if priority else f"not permitted: {_cure('rtprio', '90', 'cap_sys_nice')}",
        # Under a limit, what the program asks for later would not be given to it any more.
        "" if unlimited else f"not permitted: {_cure('memlock', 'unlimited', 'cap_ipc_lock')}",
    )


def throttled() -> bool:
    """Return whether the kernel keeps a share of each second for others than real-time threads."""
    try:
        return int(Path("/proc/sys/kernel/sched_rt_runtime_us").read_text()) >= 0
    except (OSError, ValueError):
        return True  # a kernel without the setting always does


def _limit(kind: int, unlimited: int) -> int:
    hard = resource.getrlimit(kind)[1]
    return unlimited if hard == resource.RLIM_INFINITY else hard


def _capabilities() -> int:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapEff:"):
                return int(line.split()[1], 16)
    except (OSError, ValueError):
        pass
    return 0


def _cure(item: str, value: str, capability: str) -> str:
    import getpass

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return (
        f"add the line `{user} - {item} {value}` to /etc/security/limits.conf and log in anew "
        f"(a service: {'LimitRTPRIO' if item == 'rtprio' else 'LimitMEMLOCK'}=; or "
        f"sudo setcap {capability}+ep on this Python: {os.path.realpath(sys.executable)})"
    )
