"""SIGTERM and SIGHUP end a run on a rig in order: devices made safe, plugs put in, report written.

Ctrl-C does so by itself. A second signal ends the process at once, and the guardian does the rest.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class OrderlyEnd:
    """While it is installed, a signal ends the run by ``stop(text, exit status)``."""

    def __init__(self, stop: Callable[[str, int], NoReturn]) -> None:
        self._stop = stop
        self._installed: list[signal.Signals] = []

    def install(self) -> None:
        """Begin; a signal for which there is a handler already, or that is ignored, is let be."""
        if threading.current_thread() is not threading.main_thread():
            return
        for signum in SIGNALS:
            if signal.getsignal(signum) is signal.SIG_DFL:
                signal.signal(signum, self)
                self._installed.append(signum)

    def remove(self) -> None:
        """End."""
        while self._installed:
            signal.signal(self._installed.pop(), signal.SIG_DFL)

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        self.remove()
        name = signal.Signals(signum).name
        self._stop(f"ended by {name}: what is not here was not run", 128 + signum)
