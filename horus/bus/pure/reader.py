"""The reading end, a cursor in each publisher's ring: the twin of `_native/reader.c`."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterable
from mmap import mmap
from typing import TYPE_CHECKING, Any, NoReturn

from horus.bus import layout as L
from horus.bus.codec import unpack
from horus.bus.pure.fences import NEEDED as _FENCES
from horus.bus.pure.fences import fence
from horus.bus.pure.fences import ordered as _fence
from horus.errors import CorruptTopicError

if TYPE_CHECKING:
    from horus.message import MessageSpec

_HEAD = struct.Struct("<QQII")
_unpack_head = _HEAD.unpack_from
_GENERATION = L.CONTROL_GENERATION // 8
_NEXT = L.RING_NEXT // 8


class _Ring:
    """One publisher's ring and how far this reader has come in it."""

    __slots__ = (
        "base",
        "cursor",
        "limit",
        "mask",
        "memory",
        "publisher",
        "stride",
        "view",
        "words",
    )

    def __init__(self, publisher: int, memory: mmap, slots: int, stride: int, base: int) -> None:
        self.publisher = publisher
        self.memory = memory
        self.view = memoryview(memory)
        self.words = self.view.cast("Q")
        self.mask = slots - 1
        self.stride = stride
        self.base = base
        self.limit = 0
        self.cursor = 0

    def release(self) -> None:
        self.words.release()
        self.view.release()


#: Stands for what is not read by the short way.
_UNUSUAL: tuple[Any, int] = (None, -1)


class _Closed:
    """Stands where the control file's words were: says that the topic was closed."""

    def __init__(self, rescan: Callable[[], None]) -> None:
        self._rescan = rescan

    def __getitem__(self, place: int) -> NoReturn:
        self._rescan()  # which has the words
        raise ValueError("this reader is closed")


class Overwritten(Exception):
    """The message was overwritten while it was looked at."""


class Reader:
    """The reading end: a cursor in each publisher's ring."""

    def __init__(
        self,
        control: mmap,
        depth: int,
        spec: MessageSpec | None,
        rescan: Callable[[], None],
        decode: Callable[[int, int, bytearray], Any],
        mismatch: Callable[[int, int, bytearray], None],
        corrupt: Callable[[int, str], None],
        on_drop: Callable[[], object] | None,
    ) -> None:
        self._control = memoryview(control)
        self._control_words: memoryview[int] | _Closed = self._control.cast("Q")
        self._depth = depth
        self._spec = spec
        self._rescan = rescan
        self._decode = decode
        self._mismatch = mismatch
        self._corrupt = corrupt
        self._on_drop = on_drop
        self._generation = self._control_words[_GENERATION]
        #: What went wrong after messages were read that must not be lost with it.
        self._trouble: Exception | None = None
        self._rings: list[_Ring] = []
        #: What `_quick` reads: the type declared, or else the last that came, unless with a frame.
        self._usual_hash = self._usual_size = -1
        if spec is not None:
            self._note_usual(spec)
        self._lock = threading.RLock()
        self.dropped = 0
        self.last_stamp = 0

    # rings -----------------------------------------------------------------------------------

    def attach(
        self, publisher: int, memory: mmap, slots: int, stride: int, base: int, cursor: int
    ) -> None:
        """Read this ring too, from message ``cursor`` on."""
        ring = _Ring(publisher, memory, slots, stride, base)
        ring.cursor = cursor
        ring.limit = min(self._depth, slots - 1)
        self._rings.append(ring)

    def replace(self, publisher: int, memory: mmap, slots: int, stride: int, base: int) -> None:
        """Read the next part of a publisher's ring instead of the last one."""
        for index, old in enumerate(self._rings):
            if old.publisher == publisher:
                self._rings.pop(index)
                self.attach(publisher, memory, slots, stride, base, old.cursor)
                self._rings.insert(index, self._rings.pop())
                old.release()

    def detach(self, publisher: int) -> None:
        """Read this publisher no more."""
        for ring in [ring for ring in self._rings if ring.publisher == publisher]:
            self._rings.remove(ring)
            ring.release()

    def rings(self) -> list[tuple[int, int, int, int]]:
        """Return ``(publisher, cursor, next, closed)`` of each ring."""
        return [
            (r.publisher, r.cursor, r.words[_NEXT], r.words[L.RING_CLOSED // 8])
            for r in self._rings
        ]

    # reading ---------------------------------------------------------------------------------

    def _news(self) -> bool:
        """Return whether `_refresh` has something to do."""
        return self._trouble is not None or self._control_words[_GENERATION] != self._generation

    def _refresh(self) -> None:
        if self._trouble is not None:
            # No name for it here: its traceback, and so this frame, would keep it and the arrays of
            # all callers until the collector comes, and with them the pins of their frames.
            try:
                raise self._trouble
            finally:
                self._trouble = None
        generation = self._control_words[_GENERATION]
        if generation != self._generation:
            # Noted first: a change during the scan is then seen at the next call.
            self._generation = generation
            _fence()
            self._rescan()

    def _lose(self, ring: _Ring, count: int, *, passed: bool = False) -> None:
        """Count messages as lost; those that the cursor has passed are frames given up."""
        if not passed:
            ring.cursor += count
        first = self.dropped == 0
        self.dropped += count
        if first and self._on_drop is not None:
            self._on_drop()

    def _available(self, ring: _Ring) -> int:
        """Return how many messages a ring's window holds; what fell out is counted as lost."""
        number = ring.words[_NEXT]
        _fence()
        behind = number - ring.cursor
        if behind < 0 or number < ring.base:
            self._damaged(ring, "its message counter went backwards")
        lost = max(behind - ring.limit, ring.base - ring.cursor)
        if lost > 0 and number >> 63:
            self._damaged(ring, f"its message counter is {number}")
        if lost > 0 and behind:
            self._lose(ring, lost)
            behind -= lost
        return behind

    def _damaged(self, ring: _Ring, why: str) -> None:
        self.detach(ring.publisher)
        self._corrupt(ring.publisher, why)
        raise CorruptTopicError(why)

    def _word(self, ring: _Ring, number: int) -> int:
        """Return the offset of a message's slot, or raise if the message is not in it any more."""
        offset = L.RING_HEADER + (number & ring.mask) * ring.stride
        expected = 2 * number + 2
        word = ring.words[offset // 8]
        _fence()
        if word != expected:
            if word > expected:
                latest = ring.words[_NEXT]
                if latest - number > ring.mask:
                    raise Overwritten
            self._damaged(ring, f"the sequence word of message {number} is wrong")
        return offset

    def _stamp(self, ring: _Ring, number: int) -> int:
        offset = self._word(ring, number)
        stamp = ring.words[(offset + L.SLOT_STAMP) // 8]
        _fence()
        if ring.words[offset // 8] != 2 * number + 2:
            raise Overwritten
        return stamp

    def _read(self, ring: _Ring, number: int) -> tuple[int, int, int, bytearray]:
        """Return ``(stamp, hash, kind, payload)`` of a message, whole."""
        offset = self._word(ring, number)
        stamp, type_hash, length, kind = _HEAD.unpack_from(ring.view, offset + L.SLOT_STAMP)
        length = min(length, ring.stride)  # a length that is wrong is found below
        start = offset + L.SLOT_HEADER
        payload = bytearray(ring.view[start : start + length])
        _fence()
        if ring.words[offset // 8] != 2 * number + 2:
            raise Overwritten
        if length > ring.stride - L.SLOT_HEADER:
            self._damaged(ring, f"message {number} claims {length} bytes")
        return stamp, type_hash, kind, payload

    def _oldest(self) -> _Ring | None:
        """Return the ring with the oldest unread message, keeping to the depth over all rings."""
        unread: list[tuple[int, _Ring]] = []
        total = 0
        for ring in self._rings.copy():
            count = self._available(ring)
            if count:
                total += count
                unread.append((0, ring))
        if len(unread) < 2:
            return unread[0][1] if unread else None
        unread = [(self._stamp(ring, ring.cursor), ring) for _, ring in unread]
        while True:
            best = min(unread, key=_first)
            if total <= self._depth:
                return best[1]
            self._lose(best[1], 1)
            total -= 1
            place = unread.index(best)  # it keeps its place: of equal stamps, the first ring's goes
            if self._available(best[1]):
                unread[place] = (self._stamp(best[1], best[1].cursor), best[1])
            else:
                del unread[place]

    def _finish(self, stamp: int, type_hash: int, kind: int, payload: bytearray) -> Any:
        if stamp > self.last_stamp:
            self.last_stamp = stamp
        wanted = self._spec is None or (
            kind in (L.KIND_STRUCT, L.KIND_FRAME) and type_hash == self._spec.hash
        )
        if not wanted:
            self._mismatch(kind, type_hash, payload)
        message = self._decode(kind, type_hash, payload)
        if kind == L.KIND_STRUCT:
            self._note_usual(type(message).__horus_spec__)
        return message

    def _note_usual(self, spec: MessageSpec) -> None:
        if spec.frame is None:
            self._usual_hash, self._usual_size = spec.hash, spec.size
            self._unpack_from = spec.unpack_from

    def _quick(self) -> tuple[Any, int] | None:
        """Return what `recv_stamped` does in the usual case, `_UNUSUAL` in others.

        Usual is one ring, and no message or one in its window, of the usual type or of none.
        """
        ring = self._rings[0]
        number, words = ring.cursor, ring.words
        behind = words[_NEXT] - number
        if _FENCES:
            fence()
        if number < ring.base:
            return _UNUSUAL
        if not 0 < behind <= ring.limit:
            return _UNUSUAL if behind else None
        at = L.RING_HEADER + (number & ring.mask) * ring.stride
        expected = 2 * number + 2
        if words[at >> 3] != expected:
            return _UNUSUAL
        if _FENCES:
            fence()
        stamp, type_hash, length, kind = _unpack_head(ring.view, at + L.SLOT_STAMP)
        start = at + L.SLOT_HEADER
        message: Any
        if kind == L.KIND_STRUCT:
            if type_hash != self._usual_hash or length != self._usual_size:
                return _UNUSUAL
            if length > ring.stride - L.SLOT_HEADER:
                return _UNUSUAL
            try:
                message = self._unpack_from(ring.view, start)
            except ValueError:
                return _UNUSUAL
        elif kind == L.KIND_MSGPACK and self._spec is None:
            message = ring.memory[start : start + length]
        else:
            return _UNUSUAL
        if _FENCES:
            fence()
        if words[at >> 3] != expected:
            return _UNUSUAL
        if kind == L.KIND_MSGPACK:
            if length > ring.stride - L.SLOT_HEADER:
                return _UNUSUAL
            try:
                message = unpack(message)
            except Exception:  # the long way meets it again and says what it is
                return _UNUSUAL
        ring.cursor = number + 1
        if stamp > self.last_stamp:
            self.last_stamp = stamp
        return message, stamp

    def recv_stamped(self) -> tuple[Any, int] | None:
        """Return the next unread message and its stamp (monotonic ns), or None."""
        with self._lock:
            if len(self._rings) == 1 and not self._news():
                found = self._quick()
                if found is not _UNUSUAL:
                    return found
            self._refresh()
            while True:
                try:
                    ring = self._oldest()
                    if ring is None:
                        return None
                    stamp, type_hash, kind, payload = self._read(ring, ring.cursor)
                except Overwritten:
                    continue
                ring.cursor += 1
                message = self._finish(stamp, type_hash, kind, payload)
                if message is not NotImplemented:
                    return message, stamp
                self._lose(ring, 1, passed=True)

    def recv(self) -> Any:
        """Return the next unread message, or None."""
        found = self.recv_stamped()
        return None if found is None else found[0]

    def recv_all(self) -> list[Any]:
        """Return every message that is unread now, in order.

        An error that comes after some of them is raised by the next call.
        """
        messages: list[Any] = []
        for _ in range(self.unread()):
            try:
                found = self.recv_stamped()
            except Exception as error:
                if not messages:
                    raise
                self._trouble = error
                break
            if found is None:
                break
            messages.append(found[0])
        return messages

    def latest(self) -> Any:
        """Return the newest unread message and skip the older ones, or None."""
        with self._lock:
            self._refresh()
            while True:
                try:
                    ends = [(ring, ring.words[_NEXT]) for ring in self._rings]
                    _fence()
                    for ring, end in ends:
                        if end >> 63:
                            self._damaged(ring, f"its message counter is {end}")
                    newest = [
                        (self._stamp(ring, end - 1), ring, end)
                        for ring, end in ends
                        if end > ring.cursor
                    ]
                    if not newest:
                        return None
                    _, ring, end = max(reversed(newest), key=_first)
                    stamp, type_hash, kind, payload = self._read(ring, end - 1)
                except Overwritten:
                    continue
                for _, other, other_end in newest:
                    other.cursor = other_end
                message = self._finish(stamp, type_hash, kind, payload)
                if message is not NotImplemented:
                    return message
                self._lose(ring, 1, passed=True)

    def unread(self) -> int:
        """Return how many messages can be received now; consumes and counts nothing."""
        with self._lock:
            self._refresh()
            total = 0
            for ring in self._rings:
                total += max(0, min(ring.words[_NEXT] - max(ring.cursor, ring.base), ring.limit))
            return min(total, self._depth)

    def peek_stamp(self) -> int | None:
        """Return the stamp of the message that `recv` would return, or None."""
        with self._lock:
            self._refresh()
            while True:
                try:
                    ring = self._oldest()
                    return None if ring is None else self._stamp(ring, ring.cursor)
                except Overwritten:
                    continue

    def discard_before(self, mono_ns: int) -> int:
        """Skip unread messages with an older stamp, not counted as lost; return how many."""
        count = 0
        with self._lock:
            self._refresh()
            while True:
                try:
                    ring = self._oldest()
                    stamp = 0 if ring is None else self._stamp(ring, ring.cursor)
                except Overwritten:
                    continue
                if ring is None or stamp >= mono_ns:
                    return count
                ring.cursor += 1
                count += 1
                self.last_stamp = max(self.last_stamp, stamp)

    def look_again(self) -> None:
        """Have the next call look for rings."""
        self._generation -= 1

    def forked(self) -> None:
        """Begin anew in a child: a thread that is not here may hold the lock."""
        self._lock = threading.RLock()

    def close(self) -> None:
        """Let go of the memory."""
        with self._lock:
            for ring in self._rings:
                ring.release()
            self._rings.clear()
            words, self._control_words = self._control_words, _Closed(self._rescan)
            if not isinstance(words, _Closed):
                words.release()
            self._control.release()


def _first(item: Iterable[Any]) -> Any:
    return next(iter(item))
