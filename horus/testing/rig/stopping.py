"""A run on a rig ends in order: devices made safe, plugs put in, report written.

On Ctrl-C pytest does so by itself; here is what else may end it. A second signal ends the process
at once, and the guardian does the rest.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

import pytest

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
#: How long (s) threads that a driver has left behind may take to end.
LAST_WAIT = 2.0


class SilentEndError(RuntimeError):
    """Something would have ended the run as if all had passed."""


class OrderlyEnd:
    """While it is installed, a signal ends the run by ``stop(text, exit status)``.

    And nothing in this process ends it with ``os._exit(0)``, such as a driver under test: nobody
    would see that there was a check which did not pass.
    """

    def __init__(self, stop: Callable[[str, int], NoReturn]) -> None:
        self._stop = stop
        self._installed: list[signal.Signals] = []
        self._exit: Any = None

    def install(self) -> None:
        """Begin; a signal for which there is a handler already, or that is ignored, is let be."""
        self._guard_exit()
        if threading.current_thread() is not threading.main_thread():
            return
        for signum in SIGNALS:
            if signal.getsignal(signum) is signal.SIG_DFL:
                signal.signal(signum, self)
                self._installed.append(signum)

    def remove(self) -> None:
        """End."""
        if self._exit is not None:
            os._exit, self._exit = self._exit, None
        self._restore()

    def _restore(self) -> None:
        while self._installed:
            signal.signal(self._installed.pop(), signal.SIG_DFL)

    def _guard_exit(self) -> None:
        exits, own = os._exit, os.getpid()

        def guarded(status: int) -> NoReturn:
            if status == 0 and os.getpid() == own:  # a copy of this process may end as it likes
                raise SilentEndError("os._exit(0) would have ended the run as if it had passed")
            exits(status)

        self._exit, os._exit = exits, guarded

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        self._restore()
        name = signal.Signals(signum).name
        self._stop(f"ended by {name}: what is not here was not run", 128 + signum)


class ThreadsLeft:
    """The threads that drivers leave behind: Python would wait for them for ever."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._before = set(threading.enumerate())

    def end(self) -> None:
        """End this process, as the run has ended, if they do not end by themselves."""
        deadline = time.monotonic() + LAST_WAIT
        while left := self._left():
            if time.monotonic() > deadline:
                names = ", ".join(sorted({thread.name for thread in left}))
                print(
                    f"{len(left)} threads that do not end are left alone: {names}", file=sys.stderr
                )
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(int(self._session.exitstatus))
            left[0].join(max(0.0, deadline - time.monotonic()))

    def _left(self) -> list[threading.Thread]:
        return [one for one in threading.enumerate() if not one.daemon and one not in self._before]
