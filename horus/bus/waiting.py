"""Sleeping until a message comes, and waking who sleeps: a POSIX semaphore for each reader."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import re
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from horus.bus import layout as L
from horus.bus import session

if TYPE_CHECKING:
    from posix_ipc import Semaphore

    from horus.bus.control import Control

#: A sleeper looks by itself this often: a post lost to a dying publisher costs no more than this.
SLICE = 0.05
#: ... and this often where nobody can wake it.
POLL = 0.001
#: So many semaphores of readers that have gone stay mapped, until some are let go of together.
SPARE = 8
#: Where glibc keeps named semaphores.
SEMAPHORES = Path("/dev/shm")
_SEMAPHORE_FILE = re.compile(r"sem\.horus\.(\d+)\.(\d+)\.\d+\.(\d+)")
_serials = itertools.count(1)


def next_serial() -> int:
    """Return a number that no other reader of this process has."""
    return next(_serials)


def semaphore_name(pid: int, start: int, serial: int) -> str:
    """Return the name of the semaphore of a reader in this PID namespace."""
    return f"/horus.{pid}.{start}.{serial}.{session.pid_namespace()}"


_said = False


def _say_refused(name: str, error: Exception) -> None:
    """Say once in each process why its readers cannot be woken."""
    global _said
    if not _said:
        _said = True
        logging.getLogger("horus.bus").warning(
            "no semaphore can be made in %s (%s: %s): readers that wait look every %g ms instead. "
            "Let this user write there",
            SEMAPHORES,
            name,
            error,
            POLL * 1e3,
        )


class Bell:
    """The semaphore on which one reader sleeps, or several together; made at the first sleep."""

    def __init__(self, serial: int) -> None:
        self.serial = serial
        self._semaphore: Semaphore | None = None
        self._lock = threading.Lock()
        self._sleepers = 0
        self._closed = False
        self._refused = False  # there can be no semaphore: who sleeps looks by itself

    def hang(self) -> None:
        """Make the semaphore, before anybody is told to post it."""
        import posix_ipc

        if self._semaphore is None and not self._refused:
            pid, start = session.own_stamp()
            name = semaphore_name(pid, start, self.serial)
            try:
                self._semaphore = posix_ipc.Semaphore(name, posix_ipc.O_CREAT, mode=0o600)
            except (OSError, posix_ipc.Error) as error:
                self._refused = True
                _say_refused(name, error)

    def sleep(self, seconds: float) -> None:
        """Sleep until somebody posts, at most so long and at most one slice."""
        import posix_ipc

        if self._refused:
            time.sleep(max(0.0, min(seconds, POLL)))
            return
        with self._lock:
            semaphore = self._semaphore
            if semaphore is None or self._closed:
                return
            self._sleepers += 1
        try:
            semaphore.acquire(max(0.0, min(seconds, SLICE)))
        except (posix_ipc.BusyError, posix_ipc.SignalError):
            return  # nothing came; or a signal, whose handler runs now: the caller looks again
        finally:
            with self._lock:
                self._sleepers -= 1
                if self._closed and not self._sleepers:
                    semaphore.close()

    def ring(self) -> None:
        """Wake who sleeps, or who sleeps next; for this process itself."""
        with self._lock:
            if self._semaphore is not None and not self._closed:
                self._semaphore.release()

    def close(self) -> None:
        """Remove the semaphore; threads that sleep on it wake, and the last lets go of it."""
        import posix_ipc

        with self._lock:
            semaphore, sleepers = self._semaphore, self._sleepers
            if semaphore is None or self._closed:
                return
            self._closed = True
            with contextlib.suppress(posix_ipc.ExistentialError, posix_ipc.PermissionsError):
                semaphore.unlink()
            for _ in range(sleepers):
                semaphore.release()
            if not sleepers:
                semaphore.close()  # its memory goes: nobody may be inside


class Ringer:
    """The semaphores of the readers of one topic, as a publisher of it knows them."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._known: dict[tuple[int, int, int], Semaphore] = {}

    def wake(self) -> None:
        """Post the semaphore of every reader that waits."""
        # Another thread may close this end meanwhile. The message is there, and readers look by
        # themselves.
        with contextlib.suppress(ValueError):
            self._wake()

    def _wake(self) -> None:
        import posix_ipc

        memory = self._control.memory
        present = set()
        for index, pid, serial, start in self._control.entries():
            present.add((pid, start, serial))
            if not memory[L.CONTROL_WAITING + index]:
                continue
            # Cleared before the post: a reader that starts to wait in between is woken by it.
            memory[L.CONTROL_WAITING + index] = 0
            key = (pid, start, serial)
            try:
                semaphore = self._known.get(key)
                if semaphore is None:
                    semaphore = posix_ipc.Semaphore(semaphore_name(*key))
                    self._known[key] = semaphore
                semaphore.release()
            except (posix_ipc.ExistentialError, posix_ipc.PermissionsError, OSError):
                self._known.pop(key, None)  # its reader is gone, or has not made it yet
        if len(self._known) > 2 * len(present) + SPARE:
            for key in self._known.keys() - present:
                if semaphore := self._known.pop(key, None):
                    semaphore.close()

    def close(self) -> None:
        """Let go of the semaphores; their readers remove them."""
        for semaphore in self._known.values():
            semaphore.close()
        self._known.clear()


def clean_semaphores(removed: list[str]) -> None:
    """Remove the semaphores of dead readers and note their names."""
    try:
        names = os.listdir(SEMAPHORES)
    except OSError:
        return
    for name in names:
        match = _SEMAPHORE_FILE.fullmatch(name)
        if not match or session.is_foreign(int(match[3])):
            continue
        if not session.is_alive(int(match[1]), int(match[2])):
            try:
                (SEMAPHORES / name).unlink()
            except OSError:
                continue
            removed.append(name)
