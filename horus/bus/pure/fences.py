"""Fences: what keeps loads and stores in order on CPUs that reorder."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable

_STRONGLY_ORDERED = platform.machine().lower() in {"x86_64", "amd64", "i686", "i386"}
_fence_lock = threading.RLock()


def fence() -> None:
    """Order everything before against everything after, loads after stores too.

    Taking and giving back a lock orders what is around it; twice, so that nothing moves into the
    middle from both sides.
    """
    with _fence_lock:
        pass
    with _fence_lock:
        pass


def no_fence() -> None:
    """Do nothing: this CPU keeps loads in order, and stores in order."""


def _after_fork() -> None:
    global _fence_lock
    _fence_lock = threading.RLock()  # a thread that is not here may hold the old one


os.register_at_fork(after_in_child=_after_fork)
#: Whether loads and stores have to be kept in order by fences.
NEEDED = not _STRONGLY_ORDERED
ordered: Callable[[], None] = fence if NEEDED else no_fence
