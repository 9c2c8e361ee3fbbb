"""Pools of frames as files: large arrays lie in one, and readers look at them where they lie."""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from horus.bus import files
from horus.bus import layout as L
from horus.errors import CorruptTopicError

__all__ = [
    "NO_PINS",
    "FrameRef",
    "OpenPool",
    "PoolFile",
    "PoolState",
    "create_pool",
    "pool_files",
    "pool_path",
]

_POOL = struct.Struct("<8sIIIIQQ")
_POOL_FILE = re.compile(r"([0-9a-f]{16})\.([0-9a-f]{4})\.frames")
_REF = struct.Struct("<QQIIQII")
NO_PINS = bytes(L.MAX_READERS)


class PoolState(NamedTuple):
    """A pool as its publisher sees it."""

    part: int
    slots: int
    capacity: int
    #: Whether something of it is being written, or is among the newest frames.
    needed: bool


class FrameRef(NamedTuple):
    """What a ring carries of a frame: where it lies, and what it is."""

    publisher: int
    serial: int
    part: int
    slot: int
    length: int
    #: The head of the array, as `codec` writes it.
    head: bytes
    #: The declared message that the frame belongs to, without it; empty for a plain array.
    rest: bytes = b""

    def pack(self) -> bytes:
        """Return it as the payload of a message."""
        place = (self.publisher, self.serial, self.part, self.slot, self.length)
        return _REF.pack(*place, len(self.head), len(self.rest)) + self.head + self.rest

    @classmethod
    def unpack(cls, payload: bytes | bytearray) -> FrameRef:
        """Read it; a ValueError if the payload is none."""
        if len(payload) < _REF.size:
            raise ValueError("the reference to a frame is cut short")
        publisher, serial, part, slot, length, head, rest = _REF.unpack_from(payload)
        middle = _REF.size + head
        if middle + rest != len(payload):
            raise ValueError("the reference to a frame has another length than it says")
        before, after = bytes(payload[_REF.size : middle]), bytes(payload[middle:])
        return cls(publisher, serial, part, slot, length, before, after)


@dataclass(frozen=True)
class PoolFile:
    """One pool of one publisher, as its file name tells."""

    path: Path
    publisher: int
    part: int


def pool_files(folder: Path) -> list[PoolFile]:
    """Return the pools of a topic."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        matches = [(entry.path, _POOL_FILE.fullmatch(entry.name)) for entry in entries]
        return [PoolFile(Path(path), int(m[1], 16), int(m[2], 16)) for path, m in matches if m]
    return []


def pool_path(folder: Path, publisher: int, part: int) -> Path:
    """Return the name of one pool of a publisher."""
    return folder / f"{publisher:016x}.{part:04x}.frames"


def first_frame(slots: int) -> int:
    """Return where the frames of a pool begin."""
    end = L.FRAMES_BLOCKS + slots * L.FRAMES_BLOCK
    return -(-end // L.FRAMES_ALIGN) * L.FRAMES_ALIGN


def create_pool(folder: Path, publisher: int, part: int, slots: int, capacity: int) -> mmap.mmap:
    """Make a pool; call it with the lock held. ``capacity`` is a multiple of `FRAMES_ALIGN`."""
    head = _POOL.pack(
        L.FRAMES_MAGIC, L.VERSION, L.FRAMES_BLOCKS, slots, L.FRAMES_BLOCK, publisher, capacity
    )
    size = first_frame(slots) + slots * capacity
    return files.write_whole(pool_path(folder, publisher, part), size, head)


class OpenPool:
    """A pool as a reader sees it: the frames for reading only, the blocks for its pins.

    A tool that pins nothing maps those for reading only, too.
    """

    def __init__(self, path: Path, publisher: int, *, pins: bool = True) -> None:
        fd = files.open_regular(path, os.O_RDWR if pins else os.O_RDONLY)
        try:
            size = os.fstat(fd).st_size
            head = os.pread(fd, _POOL.size, 0)
            self.slots, self.capacity = _checked(path, head, size, publisher)
            self.first = first_frame(self.slots)
            self.frames = mmap.mmap(fd, size, access=mmap.ACCESS_READ)
            access = mmap.ACCESS_WRITE if pins else mmap.ACCESS_READ
            self.blocks = memoryview(mmap.mmap(fd, self.first, access=access))
            self.words = self.blocks.cast("Q")
        finally:
            os.close(fd)

    def forget(self, reader: int) -> None:
        """Clear the pins of a reader, and what it has taken."""
        self.words[L.FRAMES_TAKEN // 8 + reader] = 0
        for slot in range(self.slots):
            self.blocks[L.FRAMES_BLOCKS + slot * L.FRAMES_BLOCK + L.BLOCK_PINS + reader] = 0


def _checked(path: Path, head: bytes, size: int, publisher: int) -> tuple[int, int]:
    why = "it is cut short"
    if len(head) == _POOL.size:
        magic, version, *shape, slots, block, owner, capacity = _POOL.unpack(head)
        known = [L.FRAMES_BLOCKS, L.FRAMES_BLOCK, publisher]
        plausible = 0 < slots <= L.MAX_FRAMES and capacity and capacity % L.FRAMES_ALIGN == 0
        if magic != L.FRAMES_MAGIC:
            why = "it does not start as a pool does"
        elif version != L.VERSION:
            why = f"its layout version is {version}, this HORUS speaks {L.VERSION}"
        elif [*shape, block, owner] != known or not plausible:
            why = "its header is damaged"
        elif first_frame(slots) + slots * capacity != size:
            why = f"it has {size} bytes, its header says otherwise"
        else:
            return slots, capacity
    raise CorruptTopicError(
        f"pool {path} is damaged ({why}) and is left alone: restart its publisher"
    )


def clear_pins(folder: Path, reader: int) -> None:
    """Clear what an earlier owner of a reader's entry left pinned; call it with the lock held."""
    for pool in pool_files(folder):
        with contextlib.suppress(OSError, CorruptTopicError):
            OpenPool(pool.path, pool.publisher).forget(reader)


def remove_orphans(folder: Path, publishers: set[int]) -> None:
    """Remove the pools of publishers that have no ring any more; call it with the lock held."""
    for pool in pool_files(folder):
        if pool.publisher not in publishers:
            with contextlib.suppress(OSError):
                pool.path.unlink()
