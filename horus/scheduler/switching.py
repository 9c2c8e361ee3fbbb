"""How soon a thread that is due gets Python's lock; shared by all schedulers of the process."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

__all__ = ["quick"]

#: How soon a thread that is due gets Python's lock from one that computes, also the program's own.
SWITCH_INTERVAL = 2e-5  # s; at 1e-4 a 1 kHz node beside a busy thread is twice as late
_users_lock = threading.Lock()
_users = 0
_before = 0.0  # the interval that the program has chosen


@contextlib.contextmanager
def quick() -> Iterator[None]:
    """Have threads switched quickly; the last of those that want it undoes it."""
    global _before, _users
    with _users_lock:
        if not _users:
            _before = sys.getswitchinterval()
            sys.setswitchinterval(min(_before, SWITCH_INTERVAL))
        _users += 1
    try:
        yield
    finally:
        with _users_lock:
            _users -= 1
            if not _users:
                sys.setswitchinterval(_before)
