"""The files of a topic: made whole, checked when mapped, removed when nobody needs them."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import re
import secrets
import shutil
import stat
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from horus.bus import layout as L
from horus.bus import session
from horus.errors import CorruptTopicError, TopicNameError, TypeMismatchError

if TYPE_CHECKING:
    from horus.bus.session import CleanReport

MAX_NAME = 128
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*")
_RING_FILE = re.compile(r"([0-9a-f]{16})\.([0-9a-f]{4})\.ring")
_HEAD = struct.Struct("<8sII")
_RING = struct.Struct("<8sIIIIQQQQQ")
_ENTRY = struct.Struct("<IIQ")

#: When this process started: stamped on all that it makes.
_own_start: tuple[int, int] | None = None


def own_stamp() -> tuple[int, int]:
    """Return this process's pid and start time, read once for each process."""
    global _own_start
    pid = os.getpid()
    if _own_start is None or _own_start[0] != pid:
        _own_start = (pid, session.process_start_time(pid) or 0)
    return _own_start


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


def _write_whole(path: Path, size: int, head: bytes) -> mmap.mmap:
    """Make a file of ``size`` bytes with all its memory reserved, and map it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # Reserved now, a full /dev/shm is an error here and not a SIGBUS at some later store.
            os.posix_fallocate(fd, 0, size)
            memory = mmap.mmap(fd, size)
        finally:
            os.close(fd)
        memory[: len(head)] = head
        temporary.rename(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise session.explain(error, path.parent) from None
    return memory


def _open_regular(path: Path, flags: int) -> int:
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


def _read_head(path: Path) -> bytes:
    fd = _open_regular(path, os.O_RDONLY)
    try:
        return os.pread(fd, L.RING_HEADER, 0)
    finally:
        os.close(fd)


def _map(path: Path, *, writable: bool) -> mmap.mmap:
    fd = _open_regular(path, os.O_RDWR if writable else os.O_RDONLY)
    try:
        size = os.fstat(fd).st_size
        if not size:
            raise CorruptTopicError(f"topic file {path} is empty: run `horus clean`")
        return mmap.mmap(fd, size, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
    finally:
        os.close(fd)


class Control:
    """The mapped control file of one topic."""

    def __init__(self, folder: Path, memory: mmap.mmap) -> None:
        self.folder = folder
        self.memory = memory

    @classmethod
    def open(cls, folder: Path) -> Control:
        """Map the control file, made first if need be; call it with the structure lock held."""
        path = folder / "control"
        session.make_dir(folder)
        try:
            memory = _map(path, writable=True)
        except FileNotFoundError:
            head = _HEAD.pack(L.CONTROL_MAGIC, L.VERSION, L.CONTROL_SIZE)
            return cls(folder, _write_whole(path, L.CONTROL_SIZE, head))
        except OSError as error:
            raise session.explain(error, path) from None
        magic, version, size = _HEAD.unpack(memory[: _HEAD.size].ljust(_HEAD.size, b"\0"))
        if magic != L.CONTROL_MAGIC or size != L.CONTROL_SIZE or len(memory) != L.CONTROL_SIZE:
            raise CorruptTopicError(
                f"topic file {path} is damaged (not a control file of {L.CONTROL_SIZE} bytes): "
                "stop what uses this topic, then run `horus clean`"
            )
        if version != L.VERSION:
            raise CorruptTopicError(
                f"topic file {path} has layout version {version}, this HORUS speaks {L.VERSION}: "
                "run the same version of HORUS in every process"
            )
        return cls(folder, memory)

    def declare(self, topic: str, name: str, type_hash: int) -> None:
        """Fix the topic's message type, or refuse another one than was fixed before."""
        declared = self.word(L.CONTROL_TYPE_HASH)
        if declared == type_hash:
            return
        if declared:
            raise TypeMismatchError(
                f"topic {topic!r} carries {self.type_name}, and was opened here for {name}"
                + (" of another layout" if name == self.type_name else "")
                + ": use one message type at both ends, or another topic"
            )
        text = name.encode()[: L.CONTROL_TYPE_NAME_SIZE - 1]
        self.memory[L.CONTROL_TYPE_NAME : L.CONTROL_TYPE_NAME + len(text)] = text
        self.set_word(L.CONTROL_TYPE_HASH, type_hash)

    @property
    def type_name(self) -> str:
        """Return the name of the declared message type, or ''."""
        text = self.memory[L.CONTROL_TYPE_NAME : L.CONTROL_TYPE_NAME + L.CONTROL_TYPE_NAME_SIZE]
        return text.split(b"\0", 1)[0].decode(errors="replace")

    def word(self, offset: int) -> int:
        """Read the 8-byte word at an offset."""
        return int.from_bytes(self.memory[offset : offset + 8], "little")

    def set_word(self, offset: int, value: int) -> None:
        """Write the 8-byte word at an offset in one access."""
        with memoryview(self.memory) as view, view.cast("Q") as words:
            words[offset // 8] = value

    def half(self, offset: int) -> int:
        """Read the 4-byte word at an offset."""
        return int.from_bytes(self.memory[offset : offset + 4], "little")

    def set_half(self, offset: int, value: int) -> None:
        """Write the 4-byte word at an offset in one access."""
        with memoryview(self.memory) as view, view.cast("I") as words:
            words[offset // 4] = value

    def raise_generation(self) -> None:
        """Tell every reader to look at the folder again; call it with the lock held."""
        self.set_word(L.CONTROL_GENERATION, (self.word(L.CONTROL_GENERATION) + 1) % 2**64)

    def ask_depth(self, depth: int) -> None:
        """Make publishers keep at least ``depth`` messages; call it with the lock held."""
        if depth > self.half(L.CONTROL_DEPTH):
            self.set_half(L.CONTROL_DEPTH, depth)

    # reader entries --------------------------------------------------------------------------

    def entries(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield ``(index, pid, serial, start)`` of each reader entry in use."""
        for index in range(min(self.half(L.CONTROL_READERS), L.MAX_READERS)):
            pid, serial, start = _ENTRY.unpack_from(
                self.memory, L.CONTROL_ENTRIES + index * L.ENTRY_SIZE
            )
            if pid:
                yield index, pid, serial, start

    def register(self, serial: int) -> int | None:
        """Take a reader entry; None when all are taken. Call it with the lock held."""
        taken = {index for index, *_ in self.entries()}
        for index in range(L.MAX_READERS):
            if index not in taken:
                pid, start = own_stamp()
                self.memory[L.CONTROL_WAITING + index] = 0
                _ENTRY.pack_into(
                    self.memory, L.CONTROL_ENTRIES + index * L.ENTRY_SIZE, pid, serial, start
                )
                if index >= self.half(L.CONTROL_READERS):
                    self.set_half(L.CONTROL_READERS, index + 1)
                return index
        return None

    def unregister(self, index: int) -> None:
        """Give a reader entry back; call it with the lock held."""
        self.memory[L.CONTROL_WAITING + index] = 0
        _ENTRY.pack_into(self.memory, L.CONTROL_ENTRIES + index * L.ENTRY_SIZE, 0, 0, 0)

    def live_readers(self) -> int:
        """Count the readers whose process lives, and free the entries of the dead."""
        alive = 0
        for index, pid, _, start in list(self.entries()):
            if session.is_alive(pid, start):
                alive += 1
            else:
                self.unregister(index)
        return alive


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
    folder: Path, publisher: int, part: int, slots: int, stride: int, base: int, depth: int
) -> mmap.mmap:
    """Make one part of a publisher's ring; call it with the lock held."""
    pid, start = own_stamp()
    head = _RING.pack(
        L.RING_MAGIC, L.VERSION, L.RING_HEADER, slots, stride, publisher, pid, start, base, depth
    ) + struct.pack("<Q", base)
    return _write_whole(ring_path(folder, publisher, part), ring_size(slots, stride), head)


def ring_path(folder: Path, publisher: int, part: int) -> Path:
    """Return the name of one part of a publisher's ring."""
    return folder / f"{publisher:016x}.{part:04x}.ring"


def open_ring(path: Path) -> tuple[mmap.mmap, RingInfo]:
    """Map a ring for reading; a `CorruptTopicError` if its header does not fit its file."""
    memory = _map(path, writable=False)
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
        fd = _open_regular(path, os.O_RDWR)
        try:
            if os.pread(fd, len(L.RING_MAGIC), 0) == L.RING_MAGIC:
                os.pwrite(fd, struct.pack("<Q", time.monotonic_ns()), L.RING_CLOSED)
        finally:
            os.close(fd)


def tidy(control: Control, *, at_once: bool = False) -> bool:
    """Remove rings that nobody needs, and the topic if nobody uses it; call it with the lock held.

    A closed ring stays for a while where somebody reads, for readers that have not seen it yet.
    Returns whether the topic's folder was removed.
    """
    readers = control.live_readers()
    rings = 0
    now = time.monotonic_ns()
    for ring in ring_files(control.folder):
        closed = closed_at(ring.path)
        if not closed:
            if ring_owner_alive(ring.path):
                rings += 1
                continue
            closed = now
            mark_closed(ring.path)
        if at_once or not readers or now - closed > L.LINGER_NS or closed > now:
            with contextlib.suppress(OSError):
                ring.path.unlink()
        else:
            rings += 1
    if readers or rings:
        return False
    shutil.rmtree(control.folder, ignore_errors=True)
    return True


class TopicEnds(NamedTuple):
    """The living processes at a topic, by their ids: one for each publisher, for each reader."""

    publishers: tuple[int, ...]
    readers: tuple[int, ...]


def topic_ends(topics: Path) -> dict[str, TopicEnds]:
    """Return who publishes and who reads each topic of a folder, without changing anything.

    A topic whose control file is damaged, or not there yet, has no readers.
    """
    found = {}
    for folder in _folders(topics):
        rings = [ring.path for ring in ring_files(folder) if not closed_at(ring.path)]
        publishers = tuple(pid for pid in map(ring_owner, rings) if pid is not None)
        found[folder.name.replace("~", "/")] = TopicEnds(publishers, _living_readers(folder))
    return found


def _living_readers(folder: Path) -> tuple[int, ...]:
    with contextlib.suppress(CorruptTopicError, OSError):
        control = Control(folder, _map(folder / "control", writable=False))
        if len(control.memory) == L.CONTROL_SIZE:
            entries = list(control.entries())
            return tuple(pid for _, pid, _, start in entries if session.is_alive(pid, start))
    return ()


def topics_in_use(topics: Path) -> bool:
    """Return whether a living process publishes or reads in a topics folder."""
    return any(
        any(ring_owner_alive(ring.path) for ring in ring_files(folder)) or _living_readers(folder)
        for folder in _folders(topics)
    )


def _folders(topics: Path) -> list[Path]:
    try:
        return sorted(path for path in topics.iterdir() if path.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def clean_topics(topics: Path, report: CleanReport, *, force: bool = False) -> None:
    """Remove the topics and rings of dead processes from one topics folder."""
    if not topics.is_dir():
        return
    with session.structure_lock(topics):
        for folder in _folders(topics):
            name = folder.name.replace("~", "/")
            before = {ring.path for ring in ring_files(folder)}
            try:
                gone = not force and tidy(Control.open(folder), at_once=True)
            except CorruptTopicError:
                gone = not any(ring_owner_alive(path) for path in before)
            if force or gone:
                shutil.rmtree(folder, ignore_errors=True)
                report.topics.append(name)
                continue
            report.in_use.append(f"topic {name}")
            for path in sorted(before - {ring.path for ring in ring_files(folder)}):
                report.rings.append(f"{name}: {path.name}")
        session.remove_if_empty(topics)
