"""A simulated CAN bus between processes where there is no multicast: datagrams in a folder.

Every end is a Unix socket in the bus's folder; a frame goes to all the others. It needs no network
at all, and only users who may enter the folder can take part.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import socket
import struct
import time
from collections.abc import Iterable
from pathlib import Path

from horus.hal.can import CanBus, CanFrame
from horus.hal.faults import DeviceFault, FaultKind

#: id, flags; the data follow.
HEADER = struct.Struct("<IB")
EXTENDED, REMOTE, FD, ERROR = 1, 2, 4, 8
_numbers = itertools.count()


class UnixCan(CanBus):
    """One end of the bus in a folder, which must exist."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._own = f"{os.getpid()}-{next(_numbers)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._place = folder
        self._folder = -1
        try:
            self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._socket.bind(self._path(self._own))
        except OSError as error:
            self.close()
            text = f"no simulated bus can be made in {folder}: {error}"
            raise DeviceFault(FaultKind.OTHER, text, bus=name) from None

    def _path(self, name: str) -> str:
        # By way of the open folder, because a socket's path may have 107 characters only.
        return f"/proc/self/fd/{self._folder}/{name}"

    def send(self, frame: CanFrame) -> None:
        """Put one frame on the bus; an end that does not listen misses it."""
        if self._folder < 0:
            raise DeviceFault(FaultKind.ABSENT, "the bus is closed", bus=self.name)
        flags = (
            frame.extended * EXTENDED | frame.remote * REMOTE | frame.fd * FD | frame.error * ERROR
        )
        data = HEADER.pack(frame.id, flags) + frame.data
        for name in os.listdir(self._folder):
            if name == self._own:
                continue
            try:
                self._socket.sendto(data, self._path(name))
            except BlockingIOError:
                pass
            except (ConnectionRefusedError, FileNotFoundError):  # its process is dead, or left
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=self._folder)

    def receive(self, timeout: float = 0.0) -> CanFrame | None:
        """Return the next frame; what is none is left out."""
        if self._folder < 0:
            raise DeviceFault(FaultKind.ABSENT, "the bus is closed", bus=self.name)
        if timeout > 0:
            select.select([self._socket], [], [], timeout)
        with contextlib.suppress(BlockingIOError, ValueError, struct.error):
            data = self._socket.recv(256)
            id, flags = HEADER.unpack_from(data)
            return CanFrame(
                id,
                data[HEADER.size :],
                extended=bool(flags & EXTENDED),
                remote=bool(flags & REMOTE),
                fd=bool(flags & FD),
                error=bool(flags & ERROR),
                stamp_ns=time.monotonic_ns(),
            )
        return None

    def set_filters(self, frames: Iterable[tuple[int, bool]]) -> None:
        """Let all through, as a bus may."""

    def close(self) -> None:
        """Leave the bus; the last to leave removes its folder."""
        self._socket.close()
        if self._folder >= 0:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._own, dir_fd=self._folder)
            os.close(self._folder)
            self._folder = -1
            with contextlib.suppress(OSError):  # others are there
                self._place.rmdir()
                self._place.parent.rmdir()
