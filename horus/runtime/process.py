"""One process of a run: how it is started, read, and what its end means."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from horus.runtime import child
from horus.runtime.build import Program
from horus.runtime.linux import stat
from horus.runtime.output import LineSplitter
from horus.runtime.sessions import STOPPED, RunProcess

_READ_SIZE = 1 << 16
#: Ends that mean "as asked" once SIGINT or SIGTERM was sent.
_AS_ASKED = {0, -signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGINT, 128 + signal.SIGTERM}


class Process:
    """A running program of the run, and the pipe on which it prints."""

    def __init__(
        self,
        program: Program,
        env: Mapping[str, str],
        ready_file: Path,
        restarts: int = 0,
    ) -> None:
        self.program = program
        #: How often this program was started before in this run, and when it was now.
        self.restarts = restarts
        self.started_at = time.monotonic()
        self.name = program.name
        #: Made by the process when others can rely on it.
        self.ready_file = ready_file
        #: The last signal of the stop sequence it was sent, if any.
        self.asked: signal.Signals | None = None
        #: Why that signal came before its time, if it did.
        self.hurried = ""
        #: Why it was killed for hanging, if it was, and when (monotonic s).
        self.hung = ""
        self.killed_at = 0.0
        #: True when not even SIGKILL ended it in time.
        self.lost = False
        #: True when a person had this process alone stopped.
        self.ordered = False
        #: Whether its end was told, what it said while it stopped, and what was said for it.
        self.told = False
        self.last_lines: list[str] = []
        self.last_words: list[str] = []
        self._lines = LineSplitter()
        read_end, write_end = os.pipe()
        try:
            self._popen = _start(program, env, write_end)
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        os.set_blocking(read_end, False)
        found = stat(self._popen.pid)
        self._start = found.start if found else 0
        #: Where its output is read; None once that has ended.
        self.fd: int | None = read_end

    @property
    def pid(self) -> int:
        """Return the process id, which is also its group's and its session's."""
        return self._popen.pid

    @property
    def says_ready(self) -> bool:
        """Return whether its file will tell that it is ready: a program of another's may not."""
        return self.program.kind != "node" or self.program.command[0] == "file"

    @property
    def is_ready(self) -> bool:
        """Return whether others can rely on it, as far as it tells."""
        return not self.says_ready or self.ready_file.exists()

    @property
    def code(self) -> int | None:
        """Return how it ended: exit code, or minus the signal; None while it runs."""
        return self._popen.returncode

    @property
    def running(self) -> bool:
        """Return whether there is still something to wait for."""
        return self.code is None and not self.lost

    @property
    def ended_well(self) -> bool:
        """Return whether it ended with 0, or the way it was asked to."""
        return self.code == 0 or (
            self.asked in (signal.SIGINT, signal.SIGTERM) and self.code in _AS_ASKED
        )

    @property
    def status(self) -> int:
        """Return what it contributes to the exit status of the run."""
        if self.code is None:
            return 128 + signal.SIGKILL
        if self.ended_well:
            return 0
        return 128 - self.code if self.code < 0 else self.code

    def noted(self) -> RunProcess:
        """Return what others may know of it."""
        end = "" if self.running else describe_end(self.code)
        if end and self.ordered:
            end = STOPPED if self.ended_well else f"{STOPPED}: {end}"
        what, path = self.program.command[:2]
        file = str(Path(path).resolve()) if what == "file" else ""
        kind = self.program.kind
        return RunProcess(self.name, kind, self.pid, self._start, self.restarts, end, file)

    def reap(self) -> None:
        """Take note of its end, if it has ended."""
        self._popen.poll()

    def read(self) -> list[bytes]:
        """Return the lines that have come; close the pipe at its end."""
        data = self._read_bytes()
        if data is None:
            return []
        if data:
            return self._lines.feed(data)
        self.close()
        return self._lines.flush()

    def read_rest(self) -> list[bytes]:
        """Return what an ended process left in the pipe, however its last line ended."""
        lines: list[bytes] = []
        # Bounded: a process that it started may hold the pipe and print for ever.
        for _ in range(64):
            data = self._read_bytes()
            if not data:
                break
            lines += self._lines.feed(data)
        return lines + self._lines.flush()

    def _read_bytes(self) -> bytes | None:
        """Return what is in the pipe now, nothing at its end, None when more may come later."""
        if self.fd is None:
            return b""
        try:
            return os.read(self.fd, _READ_SIZE)
        except BlockingIOError:
            return None

    def close(self) -> None:
        """Close the pipe."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


def _start(program: Program, env: Mapping[str, str], output: int) -> subprocess.Popen[bytes]:
    """Start a program through `horus.runtime.child`, in a session (and so a group) of its own."""
    command = [sys.executable, child.__file__, str(os.getpid()), *program.command]
    signal.pthread_sigmask(signal.SIG_BLOCK, child.HELD_SIGNALS)
    try:
        return subprocess.Popen(
            command,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # the terminal's Ctrl-C reaches it through us only, once
        )
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, child.HELD_SIGNALS)


def describe_end(code: int | None) -> str:
    """Return an exit code, or the signal that killed, in words."""
    if code is None:
        return "does not end, not even on SIGKILL"
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"killed by signal {-code} ({signal.Signals(-code).name})"
    return f"killed by signal {-code}"
