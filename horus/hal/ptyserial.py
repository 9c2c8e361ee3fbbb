"""A serial port that simulated devices stand behind: the device's side of a pseudo-terminal."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import tty

from horus.hal.serial import CHUNK


class DeviceEnd:
    """The device's side of a line, in a file that does not block.

    As on a real line, bytes that nobody takes are lost, and the sender does not wait.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        #: Bytes sent that nobody took.
        self.lost = 0

    def read(self, timeout: float = 0.0) -> bytes:
        """Return what the host has written, waiting up to ``timeout`` seconds for it."""
        if self._fd < 0:
            return b""
        if timeout > 0 and not select.select([self._fd], [], [], timeout)[0]:
            return b""
        try:
            return os.read(self._fd, CHUNK)
        except BlockingIOError:
            return b""

    def write(self, data: bytes) -> None:
        """Send bytes to the host."""
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while self._fd >= 0 and sent < len(data):
                sent += os.write(self._fd, data[sent:])
        self.lost += len(data) - sent

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._fd

    def close(self) -> None:
        """Leave the line. Twice is harmless."""
        fd, self._fd = self._fd, -1
        _close(fd)


class PtyPort(DeviceEnd):
    """Makes a pseudo-terminal; programs open `path` as if it were a serial port.

    Its other end stays open here too, so a program that closes it is no hang-up for the device.
    """

    def __init__(self) -> None:
        fd, self._other = os.openpty()
        super().__init__(fd)
        #: Where programs find the port.
        self.path = os.ttyname(self._other)
        tty.setraw(self._other)
        tty.setraw(self._fd)
        os.set_blocking(self._fd, False)

    def close(self) -> None:
        """End the port: for a program that has it open this is a hang-up. Twice is harmless."""
        super().close()
        other, self._other = self._other, -1
        _close(other)


def _close(fd: int) -> None:
    """Close a descriptor that may be closed already."""
    try:
        if fd >= 0:
            os.close(fd)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
