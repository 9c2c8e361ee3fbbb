"""Messages as they lie in the rings, for tools that keep or repeat them without understanding them.

Both ends use the pure core: it shows whose message it is and which number it has.
"""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from horus.bus import codec, rings
from horus.bus import layout as L
from horus.bus.publisher import Publisher
from horus.bus.pure import Reader, Writer
from horus.bus.pure.reader import Overwritten
from horus.bus.schemas import write_schema
from horus.bus.subscriber import Subscriber
from horus.errors import CorruptTopicError

if TYPE_CHECKING:
    from horus.message import MessageSpec

__all__ = ["RawMessage", "RawPublisher", "RawSubscriber", "join_frame", "split_frame"]

_FRONT = struct.Struct("<I12x")


class RawMessage(NamedTuple):
    """A message as its publisher left it."""

    #: The id of the publisher, and the number that it gave the message.
    publisher: int
    number: int
    #: Monotonic ns.
    stamp_ns: int
    #: Kind of the payload and hash of its type, as LAYOUT.md has them.
    kind: int
    type_hash: int
    #: That of a frame is whole: see `split_frame`.
    payload: bytes | bytearray


def _front(rest: bytes) -> tuple[bytes, bytes, bytes]:
    return _FRONT.pack(len(rest)), rest, bytes(-len(rest) % _FRONT.size)


def join_frame(rest: bytes, array: bytes) -> bytes:
    """Return the payload of a whole frame; see `split_frame`."""
    return b"".join((*_front(rest), array))


def split_frame(payload: bytes | bytearray) -> tuple[bytes, memoryview]:
    """Return a whole frame's struct, and its array as a payload of that kind.

    A frame on its own is: the length of the struct as u32, 12 bytes 0, the struct, zeros up to a
    multiple of 16, the array as LAYOUT.md has it. A ValueError if it is none.
    """
    if len(payload) < _FRONT.size:
        raise ValueError("a frame is cut short")
    (size,) = _FRONT.unpack_from(payload)
    end = _FRONT.size + size
    if end + -size % _FRONT.size > len(payload):
        raise ValueError("a frame is cut short")
    return bytes(payload[_FRONT.size : end]), memoryview(payload)[end + -size % _FRONT.size :]


class _RawReader(Reader):
    """Reads each ring by itself, as far back as its slots go."""

    def __init__(self, control: Any, depth: int, *more: Any) -> None:
        super().__init__(control, L.MAX_SLOTS, *more)

    def take(self) -> list[RawMessage]:
        """Return what is unread, in order for each publisher."""
        found: list[RawMessage] = []
        with self._lock:
            self._refresh()
            try:
                for ring in self._rings.copy():
                    for _ in range(self._available(ring)):
                        try:
                            stamp, type_hash, kind, payload = self._read(ring, ring.cursor)
                        except Overwritten:
                            break  # the next look counts what was lost
                        about = (ring.publisher, ring.cursor, stamp, kind, type_hash)
                        found.append(RawMessage(*about, payload))
                        ring.cursor += 1
            except CorruptTopicError:
                if not found:
                    raise  # what was read before is not lost; the damaged ring is gone by now
        return found


class RawSubscriber(Subscriber):
    """Reads a topic without decoding it; see `take`. It never sleeps, so no publisher wakes it.

    ``history`` begins with what the rings still hold, for a topic that is known to be new.
    """

    _core = _RawReader

    def __init__(self, name: str, *, depth: int = 64, history: bool = False) -> None:
        self._history = history
        super().__init__(name, depth=depth)

    def take(self) -> list[RawMessage]:
        """Return all unread messages, in order for each publisher; what was lost is counted.

        Frames come whole, plain ones as arrays: what lies in shared memory is not there for long.
        """
        assert isinstance(self._reader, _RawReader)
        return [whole for message in self._reader.take() if (whole := self._whole(message))]

    def _whole(self, message: RawMessage) -> RawMessage | None:
        """Return a message with its frame in it; None if that is damaged, or was overwritten."""
        if message.kind != L.KIND_FRAME:
            return message
        ref = array = None
        with contextlib.suppress(CorruptTopicError):
            ref, array = self._look_at(message.payload)
        if ref is None or array is None:
            self._reader.dropped += 1
            return None
        _, parts = codec.encode(array)
        if not message.type_hash:
            return message._replace(kind=L.KIND_ARRAY, payload=b"".join(parts))
        return message._replace(payload=b"".join((*_front(ref.rest), *parts)))

    @property
    def folder(self) -> Path:
        """Return where the topic's files are."""
        return self._folder

    @property
    def type_name(self) -> str:
        """Return the name of the topic's declared type, or ""."""
        return self._control.type_name

    def dead_publishers(self) -> list[int]:
        """Return the ids of the publishers whose process ended without closing them."""
        return [
            ring.publisher
            for ring in rings.ring_files(self._folder)
            if rings.closed_at(ring.path) == 0 and not rings.ring_owner_alive(ring.path)
        ]

    def _first_scan(self, latch: bool) -> None:
        for memory, info, number in self._open_rings():
            start = info.base if self._history else number
            self._reader.attach(info.publisher, memory, info.slots, info.stride, info.base, start)


class _RawSpec:
    """Stands for a type of which name, hash and size are all that is needed."""

    def __init__(self, cls: type, declared: tuple[str, int, int], frame: str | None) -> None:
        self.cls, self.frame = cls, frame
        self.name, self.hash, self.size = declared
        self.needs_numpy = frame is not None

    @staticmethod
    def pack_into(buffer: Any, offset: int, message: Any) -> None:
        buffer[offset : offset + len(message.payload)] = message.payload


class _Payload:
    """A payload on its way, of a kind that needs no declared type."""

    __slots__ = ("kind", "payload")

    def __init__(self, kind: int, payload: bytes) -> None:
        self.kind, self.payload = kind, payload


class RawPublisher(Publisher):
    """Sends payloads as they are. ``declared`` is the name, hash and size of a declared type.

    With ``spec``, where the type is known, it is described for others. Of a type that is ``framed``
    each message has an array.
    """

    _core: ClassVar[Any] = Writer

    def __init__(
        self,
        name: str,
        declared: tuple[str, int, int] | None = None,
        spec: MessageSpec | None = None,
        *,
        framed: bool = False,
    ) -> None:
        self._known = spec
        self._hash = declared[1] if declared else 0
        self._payload_type: Any = _Payload
        if declared is not None:
            made: Any = type("Payload", (_Payload,), {"__slots__": ()})
            made.__horus_spec__ = _RawSpec(made, declared, "data" if framed else None)
            self._payload_type = made
        super().__init__(name, None if declared is None else self._payload_type)

    def send_raw(self, kind: int, payload: bytes, stamp_ns: int | None = None) -> bool:
        """Put a payload on the topic; True once it is there."""
        return self.send(self._payload_type(kind, payload), stamp_ns)

    def _encode(self, message: object) -> tuple[int, tuple[Any, ...], int]:
        assert isinstance(message, _Payload)
        payload = message.payload
        if message.kind == L.KIND_FRAME:
            return self._put(self._hash, *split_frame(payload))
        if message.kind == L.KIND_ARRAY and len(payload) >= L.FRAME_LEAST:
            return self._put(0, b"", payload)
        return message.kind, (payload,), 0

    def _put(
        self, hash: int, rest: bytes, payload: bytes | memoryview
    ) -> tuple[int, tuple[Any, ...], int]:
        """Put an array where arrays lie; its readers look at it there, as they did before."""
        array = codec.decode_array(payload)
        head = codec.array_head(array.shape, array.dtype)
        reference = self._pool().put(head, array, hash, rest)
        return L.KIND_FRAME, (reference.payload,) if reference else (), hash

    def _describe(self, spec: Any) -> None:
        if self._known is not None:
            write_schema(self._folder, self._known)
