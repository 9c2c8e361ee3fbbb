"""The thread that notices a call that hangs while it hangs, of nodes with ``watchdog=``.

It needs Python's lock for an instant: a call that keeps it all the time, as C code may, is noticed
by nobody in the same process; under `horus run` the supervisor notices that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import monotonic_ns

from horus.scheduler.guard import Guard

__all__ = ["Watchdog"]

#: The thread looks this often within the shortest of the times, and not more often than that.
LOOKS, SHORTEST = 4, 0.002  # s


class Watchdog:
    """Looks at guards from a thread of its own.

    Args:
        guards: of the nodes that have a watchdog.
        bark: called once for each call that hangs.
        still_hangs: called at every look while a reported call is still under way.

    """

    def __init__(
        self,
        guards: Sequence[Guard],
        bark: Callable[[Guard, float], object],
        still_hangs: Callable[[Guard], object],
    ) -> None:
        self._guards = guards
        self._bark = bark
        self._still_hangs = still_hangs
        shortest = min(guard.limits.watchdog_ns for guard in guards) * 1e-9
        self._every = max(shortest / LOOKS, SHORTEST)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="horus-watchdog", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._closed.wait(self._every):
            now = monotonic_ns()
            for guard in self._guards:
                began = guard.began_ns
                if not began:
                    continue
                if began == guard.barked_ns:
                    self._still_hangs(guard)
                elif now - began > guard.limits.watchdog_ns:
                    guard.barked_ns = began
                    self._bark(guard, (now - began) * 1e-9)

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
