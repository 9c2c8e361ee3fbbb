"""The supervisor's end of `horus.runtime.guardian`: starts it, tells it, and replaces it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from pathlib import Path

from horus.runtime import guardian
from horus.runtime.linux import start_trouble, stat
from horus.runtime.process import describe_end

#: How long (s) the guardian may take to notice that all is in order.
_WAIT = 2.0
#: How many guardians may take the place of one that was killed.
_MOST = 5
#: How long (s) a guardian may stand still (SIGSTOP, a debugger) until it is replaced, and how much
#: of that counts between two looks: when the whole run stood still, it is not to blame.
_STOPPED_LIMIT, _STOPPED_STEP = 1.0, 0.5


class Guardian:
    """The process that stands in for the supervisor, and what it has been told."""

    def __init__(self, session_id: str, grace: float, folder: Path) -> None:
        self._arguments = (session_id, str(grace), str(folder))
        #: What a guardian that takes the place of this one is to be told.
        self._told = b""
        #: What of that does not fit into the pipe yet: one that was stopped does not read.
        self._unsent = b""
        #: How often one has been put in the place of one that had ended.
        self._renewals = 0
        #: How long (s) it has stood still, when that was last looked at, and that it was killed.
        self._stopped, self._looked, self._killed = 0.0, -1.0, ""
        #: True when it has ended, and there can be no other.
        self._lost = False
        self._pipe = -1
        self._begin()

    def _begin(self) -> None:
        # All that is known lies in the pipe before it starts: whoever starts it may be killed at
        # any moment, and a guardian that knows of no process would remove the last words of all.
        read_end, write_end = os.pipe()
        try:
            with contextlib.suppress(OSError):
                fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 2 * len(self._told) + 65_536)
            os.set_blocking(write_end, False)
            self._pipe, old = write_end, self._pipe
            if old >= 0:
                os.close(old)
            self._unsent = self._told
            self._send()
            self._popen = subprocess.Popen(
                [sys.executable, guardian.__file__, *self._arguments],
                stdin=read_end,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        finally:
            os.close(read_end)
        self.pid = self._popen.pid
        self._stopped, self._looked, self._killed = 0.0, -1.0, ""

    def watch(self, pid: int) -> None:
        """Have a process looked after."""
        found = stat(pid)
        if found:
            self._order(b"%d %d\n" % (pid, found.start))

    def prepare(self) -> None:
        """Have it get ready to make devices safe at once."""
        self._order(b"prepare\n")

    def keep(self, now: float) -> tuple[str, str]:
        """Put another in the place of one that was killed, or stands still, at ``now`` (s).

        Returns what to tell of it, and why the run cannot go on: no other can be started. It is
        told of all processes that were named before: the ended ones among them may have left a
        device armed.
        """
        self._send()
        if self._lost:
            return "", ""
        self._end_stopped(now)
        code = self._popen.poll()
        if code is None:
            return "", ""
        ended = self._killed or describe_end(code)
        self._lost = self._renewals >= _MOST
        if not self._lost:
            self._renewals += 1
            try:
                self._begin()
            except OSError as error:
                ended = f"{ended}; another cannot be started: {start_trouble(error)}"
                self._lost = True
        if self._lost:
            return "", f"its guardian has ended, which stops motors if this process dies: {ended}"
        return f"   Started another guardian, for one that ended: {ended}", ""

    def _end_stopped(self, now: float) -> None:
        """Kill one that was stopped, and stays so."""
        passed = min(now - self._looked, _STOPPED_STEP) if self._looked >= 0.0 else 0.0
        self._looked = now
        flags = os.WSTOPPED | os.WNOHANG | os.WNOWAIT
        try:
            stopped = os.waitid(os.P_PID, self.pid, flags) is not None
        except ChildProcessError:
            stopped = False
        self._stopped = self._stopped + passed if stopped else 0.0
        if self._stopped > _STOPPED_LIMIT:
            self._killed = f"it was stopped (SIGSTOP) for {self._stopped:.1f} s, and killed"
            self._popen.kill()

    def release(self) -> None:
        """Tell it that all is in order, and see it off."""
        self._unsent += b"done\n"
        self._send()
        os.close(self._pipe)
        try:
            self._popen.wait(_WAIT)
        except subprocess.TimeoutExpired:  # somebody stopped it; its work is not needed any more
            self._popen.kill()
            self._popen.wait()

    def reap(self) -> None:
        """Take note of its end, should somebody have killed it."""
        self._popen.poll()

    def _order(self, text: bytes) -> None:
        self._told += text
        self._unsent += text
        self._send()

    def _send(self) -> None:
        with contextlib.suppress(OSError):  # full, or it was killed: see `keep`
            while self._unsent:
                self._unsent = self._unsent[os.write(self._pipe, self._unsent) :]
