"""Memory that stays where it is: locked, and out of the garbage collector's rounds.

Schedulers that run at the same time in one process share this; the last one undoes it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import threading
from collections.abc import Iterator
from pathlib import Path

__all__ = ["frozen", "locked"]

_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_users_lock = threading.Lock()
#: How many rely on each of the two now; who finds it done by the program itself does not count.
_users = {"frozen": 0, "locked": 0}


@contextlib.contextmanager
def frozen() -> Iterator[None]:
    """Keep the objects that exist out of the garbage collector's rounds.

    A full round looks at every object: tens of ms in a program with a few big libraries.
    """
    with _users_lock:
        ours = _users["frozen"] > 0 or not gc.get_freeze_count()
        if ours and not _users["frozen"]:
            gc.collect()
            gc.freeze()
        _users["frozen"] += ours
    try:
        yield
    finally:
        with _users_lock:
            _users["frozen"] -= ours
            if ours and not _users["frozen"]:
                gc.unfreeze()


@contextlib.contextmanager
def locked() -> Iterator[bool]:
    """Keep memory in use from being swapped or dropped; False where the kernel refuses.

    What is not in use yet is locked once it is: locking does not make the process any bigger.
    """
    with _users_lock:
        # What the program has locked itself, it will know when to unlock.
        theirs = not _users["locked"] and _locked_kib() > 0
        done = theirs or _users["locked"] > 0
        done = done or _call("mlockall", _MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT)
        ours = done and not theirs
        _users["locked"] += ours
    try:
        yield done
    finally:
        with _users_lock:
            _users["locked"] -= ours
            if ours and not _users["locked"]:
                _call("munlockall")


def _call(name: str, *given: int) -> bool:
    try:
        return int(getattr(ctypes.CDLL(None, use_errno=True), name)(*given)) == 0
    except (OSError, AttributeError):
        return False


def _locked_kib() -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmLck:"):
                return int(line.split()[1])
    return 0
