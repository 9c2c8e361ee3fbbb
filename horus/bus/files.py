"""Files in shared memory: who makes them, what they may be called, how they are made and mapped."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

from horus.bus import session
from horus.errors import CorruptTopicError, TopicNameError

MAX_NAME = 128

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*")


def check_name(name: object) -> str:
    """Return a topic's name if it can be one; a `TopicNameError` says why not."""
    if not isinstance(name, str):
        raise TopicNameError(f"a topic's name must be a str, got {type(name).__name__} ({name!r})")
    if len(name) > MAX_NAME:
        raise TopicNameError(
            f"topic name {name[:40]!r}... has {len(name)} characters: "
            f"at most {MAX_NAME} are allowed"
        )
    if not _NAME.fullmatch(name):
        raise TopicNameError(
            f"topic name {name!r} cannot be used: it is made of letters, digits, '_', '-' and '.', "
            "in parts separated by '/', none of which starts with '.' (so no '../')"
        )
    return name


def write_whole(
    path: Path, size: int, head: bytes, fill: Callable[[mmap.mmap], None] | None = None
) -> mmap.mmap:
    """Make a file of ``size`` bytes with all its memory reserved, and map it.

    ``fill`` puts into it what else belongs there, before it has its name.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # Reserved now, a full /dev/shm is an error here and not a SIGBUS at some later store.
            os.posix_fallocate(fd, 0, size)
            memory = mmap.mmap(fd, size)
        finally:
            os.close(fd)
        memory[: len(head)] = head
        if fill is not None:
            fill(memory)
        temporary.rename(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise session.explain(error, path.parent) from None
    return memory


def open_regular(path: Path, flags: int) -> int:
    """Open a file of ours: no link, no pipe that would make us wait."""
    try:
        fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise CorruptTopicError(f"{path} is no regular file: remove it") from None
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise CorruptTopicError(f"{path} is no regular file: remove it")
    return fd


def map_file(path: Path, *, writable: bool) -> mmap.mmap:
    """Map a file of ours, whole."""
    fd = open_regular(path, os.O_RDWR if writable else os.O_RDONLY)
    try:
        size = os.fstat(fd).st_size
        if not size:
            raise CorruptTopicError(f"topic file {path} is empty: run `horus clean`")
        return mmap.mmap(fd, size, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
    finally:
        os.close(fd)
