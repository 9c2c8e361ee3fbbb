"""Signals as entries of a list and turns of a loop, instead of code that runs in between."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Two stop signals closer together than this (s) are one: a wrapper passed on what we got as well.
_SAME = 0.3


class SignalInbox:
    """Collects the signals that ask a run to stop, and wakes the loop that waits on `fd`."""

    def __init__(self) -> None:
        self.fd, self._write_fd = os.pipe()
        for fd in (self.fd, self._write_fd):
            os.set_blocking(fd, False)
        #: How many stop signals have come.
        self.count = 0
        self._pending: list[tuple[signal.Signals, float]] = []
        self._last = -1.0

    def wake(self) -> None:
        """Wake the loop; may be called from any thread."""
        with contextlib.suppress(OSError):  # full: it is awake already
            os.write(self._write_fd, b"\0")

    def drain(self) -> None:
        """Forget that the loop was woken."""
        with contextlib.suppress(BlockingIOError):
            while len(os.read(self.fd, 4096)) == 4096:
                pass

    def take(self) -> signal.Signals | None:
        """Return the next stop signal, if one has come; repetitions by wrappers are left out."""
        while self._pending:
            signum, when = self._pending.pop(0)
            # A closing terminal is reported by the kernel and again by the shell.
            first = self._last < 0.0
            if first or (signum != signal.SIGHUP and when - self._last > _SAME):
                self._last = when
                return signum
        return None

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if signum in STOP_SIGNALS:
            self.count += 1
            self._pending.append((signal.Signals(signum), time.monotonic()))

    def listen(self) -> None:
        """Handle signals here from now on."""
        # Ctrl+Z is not obeyed: a stopped supervisor would leave a robot driving, nobody listening.
        signums = [*STOP_SIGNALS, signal.SIGCHLD, signal.SIGTSTP]
        if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
            signums.remove(signal.SIGHUP)  # nohup: the run is to outlive its terminal
        for signum in signums:
            signal.signal(signum, self._note)
        signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)

    def ignore(self) -> None:
        """Ignore stop signals: all has ended, and Python's own end would restore their defaults."""
        for signum in STOP_SIGNALS:
            signal.signal(signum, signal.SIG_IGN)
