"""SIGINT, SIGTERM and SIGHUP as an orderly stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from time import monotonic
from types import FrameType
from typing import Any

__all__ = ["StopSignals"]

#: A signal that follows so soon is the same Ctrl-C, come by another way.
REPEAT = 1.0  # s


class StopSignals:
    """Within ``with``, on the main thread, a stop signal calls ``stop``; elsewhere it does nothing.

    While `interruptible` is set, because user code runs, the signal also raises KeyboardInterrupt,
    so that code which blocks is left. A repetition does so again, but not before a second has
    passed. The handlers that were there before come back at the end. One of them that says, by an
    attribute ``received``, that a signal has come already, stops at once: what it raised was
    swallowed on the way here.
    """

    def __init__(self, stop: Callable[[], object]) -> None:
        self._stop = stop
        self._before: dict[int, Any] = {}
        self._first: float | None = None
        self._leave: Callable[[], bool] | None = None
        #: Whether `interrupt` has raised KeyboardInterrupt.
        self.left = False
        self.interruptible = False
        self.patient = False  # a first signal interrupts nothing: the stop is under way already

    @property
    def received(self) -> bool:
        """Return whether a signal has come."""
        return self._first is not None

    def interrupt(self, still: Callable[[], bool]) -> bool:
        """Leave the user code that blocks the main thread; from another thread.

        ``still`` is asked there whether it is still so. False: it cannot be done here.
        """
        if not self._before:
            return False
        self._leave = still
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return True

    def _received(self, _signum: int, _frame: FrameType | None) -> None:
        leave, self._leave = self._leave, None
        if leave is not None:
            if self.interruptible and leave():
                self.left = True
                raise KeyboardInterrupt
            return
        now = monotonic()
        if self._first is None:
            self._first = now
            self._stop()
            if self.patient:
                return
        elif now - self._first < REPEAT:
            return
        if self.interruptible:
            raise KeyboardInterrupt

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM):
                self._before[signum] = signal.signal(signum, self._received)
            # Ignored, as under nohup, it stays ignored.
            if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
                self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._received)
            if any(getattr(before, "received", 0) for before in self._before.values()):
                self._received(signal.SIGINT, None)
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        self._before.clear()
