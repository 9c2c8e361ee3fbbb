"""A process that begins as a copy of this one: in an emulated machine a new Python is slow."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable

from horus.runtime import child

_LOOK_EVERY = 0.02


class Forked:
    """A copy of this process that does something and ends; used like a `subprocess.Popen`.

    It has none of this process's files but standard error, and ends with it as those of a run do.
    """

    def __init__(self, work: Callable[[], int]) -> None:
        self.args = [getattr(work, "__name__", "work")]
        self.returncode: int | None = None
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                status = _alone(parent, work)
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 1
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)

    def poll(self) -> int | None:
        """Return how it ended, None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float = math.inf) -> int:
        """Wait until it ends, up to ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(_LOOK_EVERY)
        return code

    def send_signal(self, signum: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


def _alone(parent: int, work: Callable[[], int]) -> int:
    """Leave behind what this process was, and do the work."""
    os.setsid()  # the terminal's Ctrl-C is not for it
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_DFL)
    child.die_with_parent(parent)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    with contextlib.ExitStack() as files:
        sys.stdin, sys.stdout, sys.stderr = (
            files.enter_context(open(fd, mode, closefd=False))
            for fd, mode in ((0, "r"), (1, "w"), (2, "w"))
        )
        return work()
