"""Character devices served by this process, through the kernel's /dev/cuse.

The messages and their numbers are those of linux/fuse.h (protocol 7): each begins with a header
that tells length, what is wanted, and a number which the answer repeats.
"""

from __future__ import annotations

import errno
import os
import select
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from horus.testing.virtual.errors import VirtualError

CUSE = Path("/dev/cuse")
#: Length, what is wanted, number, node, user, group, process.
REQUEST = struct.Struct("<IIQQIIII")
#: Length, error, number.
ANSWER = struct.Struct("<IiQ")
INIT, OPEN, READ, WRITE, RELEASE, FLUSH, INTERRUPT, IOCTL, POLL = (
    *(4096, 14, 15, 16, 18, 25, 36, 39, 40),
)
_INIT_IN = struct.Struct("<4I")
#: Version, flags, largest read and write, device number (0: the kernel chooses), reserved.
_INIT_OUT = struct.Struct("<8I40x")
_VERSION = 7, 31
_UNRESTRICTED = 1
#: The number that `open` gave, and where and how much: of read and write (which has more behind).
_TRANSFER = struct.Struct("<QQIIQII")
_HANDLE = struct.Struct("<Q")
_OPENED = struct.Struct("<QII")
_WRITTEN = struct.Struct("<II")
#: Handle, flags, command, argument, bytes in and out.
_IOCTL_IN = struct.Struct("<QIIQII")
#: Result, flags, how many pieces of memory to bring and to fill.
_IOCTL_OUT = struct.Struct("<iIII")
_PIECE = struct.Struct("<QQ")
_RETRY = 4
LARGEST = 1 << 17


@dataclass(frozen=True)
class Ioctl:
    """One ioctl: its number, its argument, the memory that was brought, the room for an answer."""

    command: int
    argument: int
    data: bytes
    room: int


@dataclass(frozen=True)
class Again:
    """What an ioctl needs before it can be done: pieces of the caller's memory (address, bytes)."""

    bring: Sequence[tuple[int, int]] = ()
    fill: Sequence[tuple[int, int]] = ()


class Device(Protocol):
    """What a character device does; an `OSError` is what its caller gets."""

    def open(self) -> Any:
        """Return what is remembered of one opening of it."""

    def read(self, opened: Any, count: int) -> bytes:
        """Return up to ``count`` bytes."""

    def write(self, opened: Any, data: bytes) -> None:
        """Take bytes."""

    def ioctl(self, opened: Any, ioctl: Ioctl) -> Again | tuple[int, bytes]:
        """Return the result and what the caller's memory is filled with, or what is needed."""


class CuseServer:
    """Serves one device under /dev/NAME; `step` answers what has been asked."""

    def __init__(self, fd: int, name: str, device: Device) -> None:
        self._fd = fd
        self._name = name
        self._device = device
        self._opened: dict[int, Any] = {}
        self._last = 0

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._fd

    def step(self, timeout: float = 0.0) -> None:
        """Wait up to ``timeout`` seconds for a request, and answer all that have come."""
        while select.select([self._fd], [], [], timeout)[0]:
            timeout = 0.0
            try:
                request = os.read(self._fd, LARGEST)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EINTR, errno.ENOENT):  # taken back
                    continue
                raise
            if not request:
                raise VirtualError(f"the kernel no longer serves /dev/{self._name}")
            answer = self.answer(request)
            if answer:
                self._send(answer)

    def _send(self, answer: bytes) -> None:
        try:
            os.write(self._fd, answer)
        except OSError as error:
            if error.errno != errno.ENOENT:  # whoever asked is gone
                raise

    def answer(self, request: bytes) -> bytes:
        """Return the answer to one request; b"" where none is wanted."""
        _, what, number, *_ = REQUEST.unpack_from(request)
        body = request[REQUEST.size :]
        if what == INTERRUPT:
            return b""
        try:
            found, wrong = self._do(what, body), 0
        except OSError as error:
            found, wrong = b"", -(error.errno or errno.EIO)
        return ANSWER.pack(ANSWER.size + len(found), wrong, number) + found

    def _do(self, what: int, body: bytes) -> bytes:
        if what == INIT:
            return self._begin(body)
        if what == OPEN:
            self._last += 1
            self._opened[self._last] = self._device.open()
            return _OPENED.pack(self._last, 0, 0)
        if what == IOCTL:
            return self._ioctl(body)
        if what in (FLUSH, RELEASE):
            if what == RELEASE:
                self._opened.pop(_HANDLE.unpack_from(body)[0], None)
            return b""
        if what not in (READ, WRITE):
            raise OSError(errno.ENOSYS, "")
        handle, _, size, *_ = _TRANSFER.unpack_from(body)
        if what == READ:
            return self._device.read(self._opened[handle], size)
        self._device.write(self._opened[handle], body[_TRANSFER.size :][:size])
        return _WRITTEN.pack(size, 0)

    def _begin(self, body: bytes) -> bytes:
        major, minor, _, _ = _INIT_IN.unpack_from(body)
        if major != _VERSION[0]:
            raise OSError(errno.EPROTO, f"the kernel speaks version {major}.{minor} of FUSE")
        about = _INIT_OUT.pack(*_VERSION, 0, _UNRESTRICTED, LARGEST // 2, LARGEST // 2, 0, 0)
        return about + f"DEVNAME={self._name}".encode() + b"\0"

    def _ioctl(self, body: bytes) -> bytes:
        handle, _, command, argument, size, room = _IOCTL_IN.unpack_from(body)
        data = body[_IOCTL_IN.size :][:size]
        done = self._device.ioctl(self._opened[handle], Ioctl(command, argument, data, room))
        if isinstance(done, Again):
            pieces = b"".join(_PIECE.pack(*piece) for piece in (*done.bring, *done.fill))
            return _IOCTL_OUT.pack(0, _RETRY, len(done.bring), len(done.fill)) + pieces
        result, filled = done
        return _IOCTL_OUT.pack(result, 0, 0, 0) + filled


def connect() -> int:
    """Open /dev/cuse; a `VirtualError` says what to do where that cannot be."""
    try:
        return os.open(CUSE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            cure = "do it as root: sudo env PATH=$PATH horus ..."
            raise VirtualError(f"{CUSE} is for root alone", cure) from None
        raise VirtualError(
            f"{CUSE} is not there ({error.strerror})",
            "sudo modprobe cuse; a container cannot, nor a kernel built without it: "
            "horus hil virtual -- COMMAND has one that can",
        ) from None
