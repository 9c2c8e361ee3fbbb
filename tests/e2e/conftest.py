"""A `horus run` in a process of its own, with what it prints and every process it starts."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TypeVar

import pytest

#: Far more than any step takes, even on a busy machine.
PATIENCE = 60.0
_T = TypeVar("_T")


def wait_until_gone(pid: int, patience: float = PATIENCE) -> bool:
    """Return whether a process that need not be ours ends in time."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], patience)[0])
    finally:
        os.close(fd)


class HorusRun:
    """One `horus` command under test."""

    def __init__(self, *arguments: str, cwd: Path, env: dict[str, str]) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "horus.cli", *arguments],
            cwd=cwd,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.pid = self.popen.pid
        self._changed = threading.Condition(threading.RLock())
        self._bytes = {"out": b"", "err": b""}
        self._threads = []
        for name, pipe in (("out", self.popen.stdout), ("err", self.popen.stderr)):
            thread = threading.Thread(target=self._collect, args=(name, pipe), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _collect(self, name: str, pipe: IO[bytes]) -> None:
        while data := os.read(pipe.fileno(), 65536):
            with self._changed:
                self._bytes[name] += data
                self._changed.notify_all()

    @property
    def raw(self) -> bytes:
        """What it printed."""
        with self._changed:
            return self._bytes["out"]

    @property
    def out(self) -> str:
        return self.raw.decode("utf-8", "replace")

    @property
    def err(self) -> str:
        with self._changed:
            return self._bytes["err"].decode("utf-8")

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def session_id(self) -> str:
        found = re.search(r"Session: (\S+)", self.out)
        assert found, self.out
        return found.group(1)

    def wait_for(self, text: str) -> re.Match[str]:
        """Wait until a line of its output matches; return the match."""
        pattern = re.compile(text, re.MULTILINE)
        found = self._wait_until(lambda: pattern.search(self.out), repr(text))
        assert found is not None
        return found

    def wait_for_more(self, text: str, count: int = 3) -> None:
        """Wait until a text has been printed that many times more."""
        wanted = self.out.count(text) + count
        self._wait_until(lambda: self.out.count(text) >= wanted, f"{count} more {text!r}")

    def _wait_until(self, condition: Callable[[], _T], what: str) -> _T:
        deadline = time.monotonic() + PATIENCE
        with self._changed:
            while not (found := condition()):
                left = deadline - time.monotonic()
                ended = self.popen.poll() is not None and not any(
                    thread.is_alive() for thread in self._threads
                )
                if left < 0 or ended:
                    raise AssertionError(f"no {what} in:\n{self.out}\n{self.err}")
                self._changed.wait(min(left, 0.1))
            return found

    def pid_of(self, name: str) -> int:
        """The pid that a node has printed as ``pid N``."""
        return int(self.wait_for(rf"^\[{name}\] pid (\d+)$").group(1))

    def signal(self, signum: int) -> None:
        self.popen.send_signal(signum)

    def finish(self) -> int:
        """Wait for its end; return its exit status."""
        status = self.popen.wait(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)
        return status


@pytest.fixture
def horus_command(tmp_path: Path) -> Iterator[Callable[..., HorusRun]]:
    """Start `horus` commands in the test's own folder; none of them outlives the test."""
    started: list[HorusRun] = []

    def start(*arguments: str, cwd: Path = tmp_path, **env: str) -> HorusRun:
        started.append(HorusRun(*arguments, cwd=cwd, env=env))
        return started[-1]

    yield start
    for run in started:
        if run.popen.poll() is None:
            run.signal(signal.SIGTERM)
        try:
            run.popen.wait(20)
        except subprocess.TimeoutExpired:
            run.popen.kill()
            run.popen.wait()
        for pipe in (run.popen.stdout, run.popen.stderr):
            if pipe:
                pipe.close()


@pytest.fixture
def horus_run(horus_command: Callable[..., HorusRun]) -> Callable[..., HorusRun]:
    """Start `horus run` with these arguments."""
    return lambda *arguments, **more: horus_command("run", *arguments, **more)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a file below the test's folder."""

    def to(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return to


@pytest.fixture
def is_gone() -> Callable[[int], bool]:
    """Wait for the end of a process that need not be a child of ours."""
    return wait_until_gone
