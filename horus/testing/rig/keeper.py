"""Keeps the node of a device that moves going while a check is busy with something else.

A check lets time pass by `run`; while it does not, nobody would tick the node, and a motor that
was commanded would go on past its ``command_timeout``. So a thread ticks it then.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Keeper:
    """Calls ``tick`` whenever the check has not ticked for two periods.

    Ticks of both are one at a time: see `ticking`.
    """

    def __init__(self, tick: Callable[[], None], period: float) -> None:
        self._tick = tick
        self._period = period
        self._lock = threading.Lock()
        self._last = time.monotonic()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="hil-keeper", daemon=True)
        self.error: BaseException | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def tick(self) -> None:
        """Tick for the check; what went wrong in the thread meanwhile is raised here."""
        with self._lock:
            if self.error is not None:
                raise self.error
            self._last = time.monotonic()
            self._tick()

    def stop(self) -> None:
        """End; from here on nobody ticks but who asks for it."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()

    def _keep(self) -> None:
        while not self._end.wait(self._period):
            if time.monotonic() - self._last < 2 * self._period:
                continue
            with self._lock:
                if self._end.is_set():
                    return
                try:
                    self._tick()
                except BaseException as error:
                    self.error = error
                    return
