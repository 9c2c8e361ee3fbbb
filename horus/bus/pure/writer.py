"""The writing end of a publisher's ring: the twin of `_native/writer.c`."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from mmap import mmap
from typing import TYPE_CHECKING, Any, NamedTuple

from horus.bus import layout as L
from horus.bus.codec import new_pack
from horus.bus.pure.fences import NEEDED as _FENCES
from horus.bus.pure.fences import fence
from horus.clock import now_ns

if TYPE_CHECKING:
    from horus.message import MessageSpec

_pack_head = struct.Struct("<QQII").pack_into
_DEPTH = L.CONTROL_DEPTH // 4
_READERS = L.CONTROL_READERS // 4
_WAITING = L.CONTROL_WAITING // 8
_FIRST_WAITING = 8  # readers whose bytes are in that word
_DEPTH_PATIENCE = 64  # sends until more depth is tried for again
_AHEAD = 1_000_000_000  # ns that a stamp may be ahead of this clock
_NEXT = L.RING_NEXT // 8


class _Late(NamedTuple):
    """What a signal handler sent while its thread was in the middle of another message."""

    kind: int
    payload: bytes
    hash: int
    stamp_ns: int


class _Packed(NamedTuple):
    """A class whose messages are packed into their slots as a whole."""

    cls: type | None
    size: int = 0
    hash: int = 0
    pack_into: Callable[[Any, int, Any], None] | None = None


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
        self._usual = _Packed(None)
        self._lock = threading.RLock()
        self._writing = False
        self._late: list[_Late] = []
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
        if stamp_ns is not None and (
            not isinstance(stamp_ns, int) or not 0 < stamp_ns <= now_ns() + _AHEAD
        ):
            raise ValueError(
                f"stamp_ns is {stamp_ns!r}: it must be nanoseconds of time.monotonic_ns(), "
                "not ahead of now"
            )
        with self._lock:
            data: bytes | None = None
            parts: tuple[Any, ...] = ()
            pack_into: Any = None
            if type(message) is dict and self._spec is None:
                try:
                    data = self._pack(message)
                except (TypeError, ValueError, OverflowError):
                    pass  # something in it needs the long way
            if data is not None:
                kind, size, type_hash = L.KIND_MSGPACK, len(data), 0
            elif type(message) is (usual := self._usual)[0]:
                kind, (_, size, type_hash, pack_into) = L.KIND_STRUCT, usual
            elif type(message) is _Late:
                kind, data, type_hash, stamp_ns = message
                size = len(data)
            elif packed := self._packed(message):
                kind, (_, size, type_hash, pack_into) = L.KIND_STRUCT, packed
            else:
                kind, parts, type_hash = self._encode(message)
                size = sum(map(len, parts))
                if not size and kind == L.KIND_FRAME:
                    return False  # readers hold every frame: it is lost
            if self._writing:  # this is a signal handler, in the middle of another message
                if data is None:
                    data = (
                        b"".join(parts) if pack_into is None else _packed(pack_into, size, message)
                    )
                self._late.append(_Late(kind, data, type_hash, stamp_ns or now_ns()))
                return True
            while size > self._capacity:
                self._grow(size)
            if self._halves[_DEPTH] > self._depth:
                self._try_deeper()
            self._writing = True
            try:
                number = self.next
                start = L.RING_HEADER + (number & self._mask) * self._stride
                ring, words = self._ring, self._words
                words[start >> 3] = 2 * number + 1
                if _FENCES:
                    fence()
                if stamp_ns is None:
                    stamp_ns = now_ns()
                _pack_head(ring, start + L.SLOT_STAMP, stamp_ns, type_hash, size, kind)
                offset = start + L.SLOT_HEADER
                if data is not None:
                    self._memory[offset : offset + size] = data
                elif pack_into is not None:
                    pack_into(ring, offset, message)
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
            finally:
                self._writing = False
                while self._late:
                    self.send(self._late.pop(0))
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

    def _packed(self, message: object) -> _Packed | None:
        """Return how a declared message is packed into its slot as a whole; None if it is not."""
        spec: MessageSpec | None = getattr(type(message), "__horus_spec__", None)
        if spec is not None and spec.cls is not type(message):
            spec = None
        if self._spec is not None and spec is not self._spec:
            self._refuse(message)  # which raises
        if spec is None:
            return None
        if spec is not self._last:
            self._describe(spec)
            self._last = spec
        if spec.frame is not None:
            return None
        self._usual = usual = _Packed(spec.cls, spec.size, spec.hash, spec.pack_into)
        return usual

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
        self._writing = False
        self._late.clear()
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


def _packed(pack_into: Callable[[Any, int, Any], None], size: int, message: object) -> bytes:
    payload = bytearray(size)
    pack_into(payload, 0, message)
    return bytes(payload)
