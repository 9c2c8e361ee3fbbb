"""No more nodes compute at once than there are cores, as long as none of them hangs."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

from horus.scheduler.loop import LeftOut
from horus.scheduler.worker import SLICE

__all__ = ["Slots"]

#: A tick that takes longer than this no longer keeps others from computing beside it.
LONGEST = 1.0  # s


class Slots:
    """As many as this process may use cores: who computes holds one, at most for a second."""

    def __init__(self) -> None:
        self._cores = _cores()
        self._freed = threading.Condition()
        self._since: dict[str, float] = {}  # by node: when its tick began
        self._told = False
        #: The run is to end: who waits need not compute any more. Set without the lock, as a
        #: signal handler must.
        self.closed = False

    def around(self, call: Callable[[Any], object]) -> Callable[[Any], object]:
        """Return a call that waits for a slot first; it raises `LeftOut` if the run ends before."""

        def run(node: Any) -> object:
            self._take(node)
            try:
                return call(node)
            finally:
                with self._freed:
                    del self._since[node.name]
                    self._freed.notify()

        return run

    def _take(self, node: Any) -> None:
        with self._freed:
            while not self._one_is_free():
                if self.closed:
                    raise LeftOut
                self._freed.wait(SLICE)
            others = list(self._since)
            self._since[node.name] = monotonic()
            tell = len(others) >= self._cores and not self._told
            self._told = self._told or tell
        if tell:
            node.log_warning(
                f"computes beside {', '.join(map(repr, others))}, whose ticks have kept all cores "
                f"({self._cores}) for more than {LONGEST:g} s (said once)"
            )

    def _one_is_free(self) -> bool:
        if len(self._since) < self._cores:
            return True
        latest = monotonic() - LONGEST
        return sum(since > latest for since in self._since.values()) < self._cores


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
