"""Places on real buses are taken by one program at a time, on the whole machine.

I2C and CAN let any number of programs talk to one device, which then does what none of them wants.
So a process that uses a device locks a file named after its place (``/dev/i2c-1@0x68``,
``can0@3``, a serial port as a whole). The kernel frees the lock when the process ends, however it
ends. Locks lie below the folder of the topics: programs of other users, or with another
``HORUS_SHM_DIR``, are not seen.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from horus.bus import leftovers, session
from horus.hal.backends.holders import locker
from horus.hal.config import BusConfig, options
from horus.hal.faults import DeviceFault, FaultKind

LIMIT = 2048  # bytes of a file


def place_of(use: str, config: BusConfig) -> str:
    """Return what a real bus is on this machine, the same for every name that it may have."""
    for option in ("device", "channel"):
        value = getattr(config, option, "")
        if value and isinstance(value, (str, Path)):
            value = str(value)
            return os.path.realpath(value) if value.startswith("/") else value
    names = sorted(set(options(type(config))) - {"parent"})
    values = ",".join(f"{name}={getattr(config, name)}" for name in names)
    return f"{use}({values})"


class Claims:
    """The places that this process holds on one bus; ``whole`` for a bus that is one place."""

    def __init__(self, place: str, *, whole: bool = False) -> None:
        self.place = place
        self._whole = whole
        self._held: dict[str, tuple[int, Path]] = {}

    def take(self, device: str, stations: Iterable[str]) -> None:
        """Claim places for a device; one that another process holds is a `DeviceFault` (busy)."""
        names = () if self._whole else stations
        for key in [f"{self.place}@{name}" for name in names] or [self.place]:
            if key not in self._held:
                self._held[key] = _lock(key, device)

    def release(self) -> None:
        """Give all places back."""
        while self._held:
            _, (fd, path) = self._held.popitem()
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(fd)


def folder() -> Path:
    """Return the folder of the lock files."""
    return session.root() / leftovers.CLAIMS


def _lock(key: str, device: str) -> tuple[int, Path]:
    """Lock the file of a place; return its descriptor."""
    name = f"{re.sub(r'[^0-9A-Za-z@.]+', '_', key)[-100:]}-{zlib.crc32(key.encode()):08x}"
    path = session.make_dir(folder()) / name
    while True:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:  # the folder was cleaned away just now
            session.make_dir(folder())
            continue
        except OSError as error:
            raise session.explain(error, path) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(fd, path)
            os.close(fd)
            raise DeviceFault(
                FaultKind.BUSY,
                f"{key} is in use by {holder}",
                cure="end that program, or give the devices different places",
            ) from None
        with contextlib.suppress(OSError):
            if path.stat().st_ino == os.fstat(fd).st_ino:  # not removed by its last holder
                break
        os.close(fd)
    about = {"device": device, "pid": os.getpid(), "program": _program()}
    with contextlib.suppress(OSError):  # full: the lock holds all the same
        os.truncate(fd, 0)
        os.pwrite(fd, json.dumps(about).encode(), 0)
    return fd, path


def _holder(fd: int, path: Path) -> str:
    """Return who holds a place, as far as can be told."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        about: dict[str, Any] = json.loads(os.pread(fd, LIMIT, 0))
        if session.is_alive(int(about["pid"]), 0):
            return f"{about['device']} of `{about['program']}` (pid {about['pid']})"
    return locker(path) or "another program"


def _program() -> str:
    words = [Path(sys.argv[0]).name, *sys.argv[1:]] if sys.argv else ["python"]
    return " ".join(words)[:500]
