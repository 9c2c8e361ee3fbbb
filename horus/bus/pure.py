"""The twin of `_native` in Python: one writer and one reader on the layout of `LAYOUT.md`.

It is chosen when the C core was not built, or by ``HORUS_CORE=pure``. A memoryview's 8-byte items
are loaded and stored by single machine accesses, as the protocol asks; fences are needed
only on CPUs that reorder.
"""

from __future__ import annotations

import os
import platform
import struct
import threading
from collections.abc import Callable, Iterable
from mmap import mmap
from typing import TYPE_CHECKING, Any

from horus.bus import layout as L
from horus.bus.codec import new_pack, unpack
from horus.clock import now_ns
from horus.errors import CorruptTopicError

if TYPE_CHECKING:
    from horus.message import MessageSpec

_HEAD = struct.Struct("<QQII")
_pack_head, _unpack_head = _HEAD.pack_into, _HEAD.unpack_from
_STRONGLY_ORDERED = platform.machine().lower() in {"x86_64", "amd64", "i686", "i386"}
_fence_lock = threading.Lock()
_GENERATION = L.CONTROL_GENERATION // 8
_DEPTH = L.CONTROL_DEPTH // 4
_READERS = L.CONTROL_READERS // 4
_WAITING = L.CONTROL_WAITING // 8
_FIRST_WAITING = 8  # readers whose bytes are in that word
_DEPTH_PATIENCE = 64  # sends until more depth is tried for again
_AHEAD = 1_000_000_000  # ns that a stamp may be ahead of this clock
_NEXT = L.RING_NEXT // 8


def fence() -> None:
    """Order everything before against everything after, loads after stores too.

    Taking and giving back a lock orders what is around it; twice, so that nothing moves into the
    middle from both sides.
    """
    with _fence_lock:
        pass
    with _fence_lock:
        pass


def _no_fence() -> None:
    """Do nothing: this CPU keeps loads in order, and stores in order."""


def _after_fork() -> None:
    global _fence_lock
    _fence_lock = threading.Lock()  # a thread that is not here may hold the old one


os.register_at_fork(after_in_child=_after_fork)
#: Whether loads and stores have to be kept in order by fences.
_FENCES = not _STRONGLY_ORDERED
_fence: Callable[[], None] = fence if _FENCES else _no_fence


class Writer:
    """The writing end of a publisher's ring."""

    def __init__(
        self,
        control: mmap,
        spec: MessageSpec | None,
        encode: Callable[[object], tuple[int, tuple[Any, ...], int]],
        refuse: Callable[[object], None],
        pack_slowly: Callable[[MessageSpec, object], bytearray],
        grow: Callable[[int], None],
        wake: Callable[[], None],
        describe: Callable[[MessageSpec], None],
    ) -> None:
        self._control = memoryview(control)
        self._halves = self._control.cast("I")
        self._eights = self._control.cast("Q")
        self._spec = spec
        self._pack = new_pack()
        self._encode = encode
        self._refuse = refuse
        self._grow = grow
        self._wake = wake
        self._describe = describe
        self._last: MessageSpec | None = spec
        #: The class whose messages go the short way: the last one sent, if it has no frame.
        self._usual: type | None = None
        self._lock = threading.RLock()
        self._capacity = -1
        self._depth = 0
        self._patience = 0
        self.next = 0

    def attach(self, ring: mmap, slots: int, stride: int, next_number: int, depth: int) -> bool:
        """Write into this ring from now on, unless more was sent than the caller knows."""
        if next_number != self.next:
            return False
        self._memory = ring
        self._ring = memoryview(ring)
        self._words = self._ring.cast("Q")
        self._mask = slots - 1
        self._stride = stride
        self._capacity = stride - L.SLOT_HEADER
        self._depth = depth
        self._patience = 0
        return True

    def send(self, message: object, stamp_ns: int | None = None) -> bool:
        """Put a message on the topic; True once it is there."""
        with self._lock:
            data: bytes | None = None
            parts: tuple[Any, ...] = ()
            if type(message) is dict and self._spec is None:
                try:
                    data = self._pack(message)
                except (TypeError, ValueError, OverflowError):
                    pass  # something in it needs the long way
            if data is not None:
                kind, size, type_hash = L.KIND_MSGPACK, len(data), 0
            elif type(message) is self._usual or self._is_packed(message):
                kind, size, type_hash = L.KIND_STRUCT, self._size, self._hash
            else:
                kind, parts, type_hash = self._encode(message)
                size = sum(map(len, parts))
                if not size and kind == L.KIND_FRAME:
                    return False  # readers hold every frame: it is lost
            while size > self._capacity:
                self._grow(size)
            if self._halves[_DEPTH] > self._depth:
                self._try_deeper()
            number = self.next
            start = L.RING_HEADER + (number & self._mask) * self._stride
            ring, words = self._ring, self._words
            words[start >> 3] = 2 * number + 1
            if _FENCES:
                fence()
            if stamp_ns is None:
                stamp_ns = now_ns()
            elif not isinstance(stamp_ns, int) or not 0 < stamp_ns <= now_ns() + _AHEAD:
                raise ValueError(
                    f"stamp_ns is {stamp_ns!r}: it must be nanoseconds of time.monotonic_ns(), "
                    "not ahead of now"
                )
            _pack_head(ring, start + L.SLOT_STAMP, stamp_ns, type_hash, size, kind)
            offset = start + L.SLOT_HEADER
            if data is not None:
                self._memory[offset : offset + size] = data
            elif kind == L.KIND_STRUCT:
                self._pack_into(ring, offset, message)
            else:
                for part in parts:
                    ring[offset : offset + len(part)] = part
                    offset += len(part)
            if _FENCES:
                fence()
            words[start >> 3] = 2 * number + 2
            if _FENCES:
                fence()
            words[_NEXT] = self.next = number + 1
        # Whoever waits says so before it looks for messages; so this looks after the message is
        # there. Giving back the lock has kept the two apart on a strongly ordered CPU.
        if _FENCES:
            fence()
        try:
            if self._eights[_WAITING] or self._halves[_READERS] > _FIRST_WAITING:
                self._wake_readers()
        except (AttributeError, ValueError):
            if self._capacity >= 0:
                raise
            # Another thread has closed this end meanwhile: readers look by themselves.
        return True

    def _is_packed(self, message: object) -> bool:
        """Return whether this is a declared message that is packed into its slot as a whole."""
        spec: MessageSpec | None = getattr(type(message), "__horus_spec__", None)
        if spec is not None and spec.cls is not type(message):
            spec = None
        if self._spec is not None and spec is not self._spec:
            self._refuse(message)  # which raises
        if spec is None:
            return False
        if spec is not self._last:
            self._describe(spec)
            self._last = spec
        if spec.frame is not None:
            return False
        self._usual, self._size, self._hash = spec.cls, spec.size, spec.hash
        self._pack_into = spec.pack_into
        return True

    def _wake_readers(self) -> None:
        readers = min(self._halves[_READERS], L.MAX_READERS)
        if any(self._control[L.CONTROL_WAITING : L.CONTROL_WAITING + readers]):
            self._wake()

    def _try_deeper(self) -> None:
        """Ask for more depth, without waiting: who sends may have a motor to mind."""
        if self._patience:
            self._patience -= 1
        if not self._patience:
            self._patience = _DEPTH_PATIENCE
            self._grow(0)

    def detach(self) -> None:
        """Write nowhere until `attach`: the next send asks for a ring."""
        self._lock = (
            threading.RLock()
        )  # after a fork, the old one may be held by a thread that is not here
        self._capacity = -1
        self.next = 0

    def close(self) -> None:
        """Let go of the memory."""
        with self._lock:
            self._capacity = -1
            for name in ("_words", "_ring", "_eights", "_halves", "_control"):
                view = self.__dict__.pop(name, None)
                if view is not None:
                    view.release()


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


class _Overwritten(Exception):
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
        self._control_words = self._control.cast("Q")
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
            trouble, self._trouble = self._trouble, None
            raise trouble
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
                    raise _Overwritten
            self._damaged(ring, f"the sequence word of message {number} is wrong")
        return offset

    def _stamp(self, ring: _Ring, number: int) -> int:
        offset = self._word(ring, number)
        stamp = ring.words[(offset + L.SLOT_STAMP) // 8]
        _fence()
        if ring.words[offset // 8] != 2 * number + 2:
            raise _Overwritten
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
            raise _Overwritten
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
                except _Overwritten:
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
                except _Overwritten:
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
                except _Overwritten:
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
                except _Overwritten:
                    continue
                if ring is None or stamp >= mono_ns:
                    return count
                ring.cursor += 1
                count += 1
                self.last_stamp = max(self.last_stamp, stamp)

    def close(self) -> None:
        """Let go of the memory."""
        with self._lock:
            for ring in self._rings:
                ring.release()
            self._rings.clear()
            self._control_words.release()
            self._control.release()


def _first(item: Iterable[Any]) -> Any:
    return next(iter(item))
