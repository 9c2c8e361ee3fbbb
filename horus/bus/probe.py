"""How much goes over a topic, seen from the headers of its rings alone: nothing is decoded."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from horus.bus import frames, leftovers, rings
from horus.bus import layout as L
from horus.bus.control import Control
from horus.errors import CorruptTopicError

__all__ = ["Probe", "Sent", "TopicState", "state_of"]

_HEAD = struct.Struct("<QQQII")


class Sent(NamedTuple):
    """The header of one message."""

    stamp_ns: int
    hash: int
    #: Bytes of the payload, and of the frame that it refers to.
    size: int
    kind: int


class Probe:
    """Follows the rings of a topic; their owners notice nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        #: Messages sent since the probe was made, also those that were overwritten meanwhile.
        self.count = 0
        #: The header of the newest message seen, also from before the probe was made.
        self.newest: Sent | None = None
        self._rings: dict[int, tuple[int, Any, rings.RingInfo]] = {}
        self._next: dict[int, int] = {}
        self._look(first=True)

    def take(self) -> list[Sent]:
        """Return the headers of what was sent since the last call, as far as it is still there."""
        self._look()
        found: list[Sent] = []
        for publisher, (_, memory, info) in self._rings.items():
            end = self._word(memory, L.RING_NEXT)
            begin = self._next[publisher]
            if end < begin:
                continue
            self.count += end - begin
            self._next[publisher] = end
            there = range(max(begin, info.base, end - info.slots + 1), end)
            found += filter(None, (self._header(memory, info, number) for number in there))
        found.sort()
        if found:
            self.newest = found[-1]
        return found

    def close(self) -> None:
        """Unmap everything."""
        for _, memory, _ in self._rings.values():
            memory.close()
        self._rings.clear()

    def _look(self, *, first: bool = False) -> None:
        present = rings.ring_files(self.folder)
        for ring in present:
            known = self._rings.get(ring.publisher)
            if known and known[0] >= ring.part:
                continue
            with contextlib.suppress(OSError, CorruptTopicError):
                memory, info = rings.open_ring(ring.path)
                if known:
                    known[1].close()
                elif first:
                    end = self._next[ring.publisher] = self._word(memory, L.RING_NEXT)
                    last = self._header(memory, info, end - 1) if end > info.base else None
                    self.newest = max(filter(None, (self.newest, last)), default=None)
                else:
                    self._next[ring.publisher] = info.base
                self._rings[ring.publisher] = (ring.part, memory, info)
        for publisher in self._rings.keys() - {ring.publisher for ring in present}:
            self._rings.pop(publisher)[1].close()

    @staticmethod
    def _word(memory: Any, offset: int) -> int:
        with memoryview(memory) as view, view.cast("Q") as words:
            return int(words[offset // 8])

    @classmethod
    def _header(cls, memory: Any, info: rings.RingInfo, number: int) -> Sent | None:
        at = begin = L.RING_HEADER + number % info.slots * info.stride
        word, stamp, hash, size, kind = _HEAD.unpack_from(memory, at)
        if kind == L.KIND_FRAME and size <= info.stride - L.SLOT_HEADER:
            with contextlib.suppress(ValueError):
                at += L.SLOT_HEADER
                size += frames.FrameRef.unpack(memory[at : at + size]).length
        if word != 2 * number + 2 or cls._word(memory, begin) != word:
            return None  # overwritten meanwhile
        return Sent(stamp, hash, size, kind)


@dataclass(frozen=True)
class TopicState:
    """Who is at a topic and what it carries."""

    name: str
    #: The declared type, or that of the newest message; "" when nothing is known.
    type: str
    hash: int
    publishers: tuple[int, ...]
    readers: tuple[int, ...]
    depth: int


def state_of(folder: Path, newest: Sent | None = None) -> TopicState:
    """Return the state of a topic, without changing anything."""
    name, hash, depth = "", 0, 0
    with contextlib.suppress(OSError, CorruptTopicError):
        control = Control.look(folder)
        name, hash = control.type_name, control.word(L.CONTROL_TYPE_HASH)
        depth = control.half(L.CONTROL_DEPTH)
        control.close()
    if not name and newest is not None:
        name, hash = _kind(folder, newest), newest.hash
    ends = leftovers.ends_of(folder)
    return TopicState(folder.name.replace("~", "/"), name, hash, *ends, depth)


def _kind(folder: Path, newest: Sent) -> str:
    if not newest.hash:
        arrays = dict.fromkeys((L.KIND_ARRAY, L.KIND_FRAME), "array")
        return (arrays | {L.KIND_MSGPACK: "plain"}).get(newest.kind, "")
    from horus.bus import schemas

    spec = schemas.learn(folder, newest.hash)
    return spec.name if spec else f"unknown ({newest.hash:016x})"
