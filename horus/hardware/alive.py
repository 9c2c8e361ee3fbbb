"""The sign of life of a process that holds armed devices.

For each armed device there is a file of eight bytes in the session's folder: the moment of its
node's last tick (monotonic ns), 0 while it is safe. A tick costs one store into shared memory. Who
watches: `horus.runtime.hang`.
"""

from __future__ import annotations

import contextlib
import mmap
import os

from horus.bus.session import make_dir
from horus.errors import HorusError
from horus.hardware.simbuses import session_path

FOLDER = "alive"


class SignOfLife:
    """That of one device; outside of a run there is nobody to look at it, and it does nothing."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._words: memoryview | None = None

    def give(self, now_ns: int) -> None:
        """Show that the device, which is armed, is looked after."""
        if self._words is None:
            self._open()
        if self._words is not None:
            self._words[0] = now_ns

    def rest(self) -> None:
        """Show that the device is safe, whatever becomes of this process."""
        if self._words is not None:
            self._words[0] = 0

    def _open(self) -> None:
        run = session_path()
        if run is None:
            return
        with contextlib.suppress(OSError, HorusError):  # full: there are still the last words
            path = make_dir(run / FOLDER) / f"{os.getpid()}-{self._device}"
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(fd, 8)
                self._words = memoryview(mmap.mmap(fd, 8)).cast("Q")
            finally:
                os.close(fd)
