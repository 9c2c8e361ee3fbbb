"""The control file of a topic: its type, its generation, its readers."""

from __future__ import annotations

import contextlib
import errno
import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

from horus.bus import core, files, session
from horus.bus import layout as L
from horus.errors import CorruptTopicError, SharedMemoryError, TypeMismatchError

_HEAD = struct.Struct("<8sII")


_ENTRY = struct.Struct("<IIQ")


class Control:
    """The mapped control file of one topic."""

    def __init__(self, folder: Path, memory: mmap.mmap) -> None:
        self.folder = folder
        self.memory = memory

    def close(self) -> None:
        """Unmap the file: its memory also holds a file descriptor."""
        with contextlib.suppress(BufferError):  # a semaphore of another thread is still in it
            self.memory.close()

    @classmethod
    def open(cls, folder: Path) -> Control:
        """Map the control file, made first if need be; call it with the structure lock held."""
        path = folder / "control"
        session.make_dir(folder)
        try:
            memory = files.map_file(path, writable=True)
        except FileNotFoundError:
            head = _HEAD.pack(L.CONTROL_MAGIC, L.VERSION, L.CONTROL_SIZE)
            namespace = session.pid_namespace().to_bytes(8, "little")
            head = head.ljust(L.CONTROL_NAMESPACE, b"\0") + namespace
            return cls(folder, files.write_whole(path, L.CONTROL_SIZE, head))
        except OSError as error:
            raise session.explain(error, path) from None
        control = cls._checked(folder, memory)
        if control.foreign:
            control.close()
            raise SharedMemoryError(
                errno.EPERM,
                f"topic file {path} belongs to processes of another PID namespace, of which nobody "
                "can see here whether they run: start both containers with one (docker "
                "--pid=host, Kubernetes shareProcessNamespace), or give each an HORUS_SHM_DIR of "
                "its own. If they have ended: `horus clean --force`",
            )
        return control

    @classmethod
    def look(cls, folder: Path) -> Control:
        """Map the control file for reading only, if it is there: for tools that change nothing."""
        return cls._checked(folder, files.map_file(folder / "control", writable=False))

    @classmethod
    def _checked(cls, folder: Path, memory: mmap.mmap) -> Control:
        path = folder / "control"
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

    @property
    def foreign(self) -> bool:
        """Return whether it belongs to another PID namespace: its processes cannot be seen."""
        return session.is_foreign(self.word(L.CONTROL_NAMESPACE))

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
        core.fence()  # who sees the new number finds what it is about
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
                self.enter(index, serial)
                if index >= self.half(L.CONTROL_READERS):
                    self.set_half(L.CONTROL_READERS, index + 1)
                return index
        return None

    def enter(self, index: int, serial: int) -> None:
        """Make a reader entry this process's; call it with the lock held."""
        pid, start = session.own_stamp()
        self.memory[L.CONTROL_WAITING + index] = 0
        _ENTRY.pack_into(self.memory, L.CONTROL_ENTRIES + index * L.ENTRY_SIZE, pid, serial, start)

    def leave(self, index: int) -> None:
        """Give back a reader entry, if it is this process's; call it with the lock held."""
        ours = (index, *session.own_stamp())
        if any(ours == (at, pid, start) for at, pid, _, start in self.entries()):
            self.unregister(index)

    def unregister(self, index: int) -> None:
        """Make a reader entry nobody's; call it with the lock held."""
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
