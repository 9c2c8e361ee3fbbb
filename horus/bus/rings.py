"""The ring of a publisher as a file: named, shaped, made, checked when mapped."""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from horus.bus import files, session
from horus.bus import layout as L
from horus.errors import CorruptTopicError

_RING_FILE = re.compile(r"([0-9a-f]{16})\.([0-9a-f]{4})\.ring")


_RING = struct.Struct("<8sIIIIQQQQQ")


@dataclass(frozen=True)
class RingFile:
    """One part of one publisher's ring, as its file name tells."""

    path: Path
    publisher: int
    part: int


def ring_files(folder: Path) -> list[RingFile]:
    """Return the rings of a topic, only the newest part of each publisher."""
    newest: dict[int, RingFile] = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            match = _RING_FILE.fullmatch(entry.name)
            if match:
                found = RingFile(Path(entry.path), int(match[1], 16), int(match[2], 16))
                known = newest.get(found.publisher)
                if known is None or known.part < found.part:
                    newest[found.publisher] = found
    return sorted(newest.values(), key=lambda ring: ring.path.name)


@dataclass(frozen=True)
class RingInfo:
    """The header of a ring, checked against the size of its file."""

    slots: int
    stride: int
    publisher: int
    pid: int
    start: int
    base: int
    depth: int


def ring_size(slots: int, stride: int) -> int:
    """Return the size of a ring's file in bytes."""
    return L.RING_HEADER + slots * stride


def ring_shape(capacity: int, depth: int) -> tuple[int, int]:
    """Return ``(slots, stride)`` for messages up to ``capacity`` bytes and this depth."""
    stride = -(-(L.SLOT_HEADER + capacity) // L.SLOT_ALIGN) * L.SLOT_ALIGN
    slots = L.MIN_SLOTS
    # Twice the depth: a reader at the far end of its window is not overrun while it copies.
    while slots < 2 * depth and slots < L.MAX_SLOTS:
        slots *= 2
    while slots > L.MIN_SLOTS and slots * stride > L.RING_BUDGET:
        slots //= 2
    return slots, stride


def create_ring(
    folder: Path,
    publisher: int,
    part: int,
    slots: int,
    stride: int,
    depth: int,
    fill: Callable[[mmap.mmap], None] | None = None,
) -> mmap.mmap:
    """Make one part of a publisher's ring; call it with the lock held.

    ``fill`` puts the messages into it that it takes over. Readers see it when that is done.
    """
    pid, start = session.own_stamp()
    head = _RING.pack(
        L.RING_MAGIC, L.VERSION, L.RING_HEADER, slots, stride, publisher, pid, start, 0, depth
    )
    path = ring_path(folder, publisher, part)
    return files.write_whole(path, ring_size(slots, stride), head, fill)


def ring_path(folder: Path, publisher: int, part: int) -> Path:
    """Return the name of one part of a publisher's ring."""
    return folder / f"{publisher:016x}.{part:04x}.ring"


def open_ring(path: Path) -> tuple[mmap.mmap, RingInfo]:
    """Map a ring for reading; a `CorruptTopicError` if its header does not fit its file."""
    memory = files.map_file(path, writable=False)
    why = "it is cut short"
    if len(memory) >= L.RING_HEADER:
        magic, version, header, slots, stride, publisher, pid, start, base, depth = (
            _RING.unpack_from(memory)
        )
        why = ""
        if magic != L.RING_MAGIC:
            why = "it does not start as a ring does"
        elif version != L.VERSION:
            why = f"its layout version is {version}, this HORUS speaks {L.VERSION}"
        elif header != L.RING_HEADER or not _plausible(slots, stride):
            why = "its header is damaged"
        elif ring_size(slots, stride) != len(memory):
            why = f"it has {len(memory)} bytes, its header says {ring_size(slots, stride)}"
        else:
            return memory, RingInfo(slots, stride, publisher, pid, start, base, depth)
    memory.close()
    raise CorruptTopicError(
        f"ring {path} is damaged ({why}) and is left alone: restart its publisher"
    )


def _plausible(slots: int, stride: int) -> bool:
    power_of_two = slots & (slots - 1) == 0
    aligned = stride % L.SLOT_ALIGN == 0
    return L.MIN_SLOTS <= slots <= L.MAX_SLOTS and power_of_two and aligned and stride > 0


def _read_head(path: Path) -> bytes:
    fd = files.open_regular(path, os.O_RDONLY)
    try:
        return os.pread(fd, L.RING_HEADER, 0)
    finally:
        os.close(fd)


def closed_at(path: Path) -> int | None:
    """Return when a ring was closed (monotonic ns), 0 while open, None if it cannot be read."""
    try:
        (closed,) = struct.unpack_from("<Q", _read_head(path), L.RING_CLOSED)
    except (OSError, struct.error, CorruptTopicError):
        return None
    return int(closed)


def ring_owner(path: Path) -> int | None:
    """Return the process that made a ring, if it still runs."""
    try:
        pid, start = struct.unpack_from("<QQ", _read_head(path), L.RING_PID)
    except (OSError, struct.error, CorruptTopicError):
        return None
    return int(pid) if session.is_alive(pid, start) else None


def ring_owner_alive(path: Path) -> bool:
    """Return whether the process that made a ring still runs."""
    return ring_owner(path) is not None


def mark_closed(path: Path) -> None:
    """Write the time of closing into a ring whose owner has died."""
    with contextlib.suppress(OSError, CorruptTopicError):
        fd = files.open_regular(path, os.O_RDWR)
        try:
            if os.pread(fd, len(L.RING_MAGIC), 0) == L.RING_MAGIC:
                os.pwrite(fd, struct.pack("<Q", time.monotonic_ns()), L.RING_CLOSED)
        finally:
            os.close(fd)
