"""How packets stand in a stream of bytes, and how they are found again after garbage."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable

#: Bytes that are looked at in one go.
PIECE = 1024


class Framing(ABC):
    """The frame of a serial protocol: where one begins, how long it is, whether it is whole."""

    @abstractmethod
    def measure(self, data: bytes) -> int:
        """Return the size of the frame at the start of ``data``.

        0 means that more bytes are needed to tell, -1 that no frame begins here.
        """

    def valid(self, frame: bytes) -> bool:
        """Return whether a complete frame's checksum is right."""
        return True


class Checksum:
    """Where a frame's checksum stands and what it covers.

    ``start`` is the first byte covered; the checksum is the end of the frame, before ``tail``
    bytes that close it, and covers all up to itself.
    """

    def __init__(
        self, function: Callable[[bytes], int], format: str = "B", *, start: int = 0, tail: int = 0
    ) -> None:
        self.function = function
        self.struct = struct.Struct(format)
        self.start = start
        self.tail = tail

    def of(self, covered: bytes) -> bytes:
        """Return the checksum's bytes for a frame that lacks only them."""
        return self.struct.pack(self.function(covered[self.start :]))

    def fits(self, frame: bytes) -> bool:
        """Return whether a whole frame's checksum is right."""
        end = len(frame) - self.tail - self.struct.size
        if end < self.start:
            return False
        found: int = self.struct.unpack_from(frame, end)[0]
        return found == self.function(frame[self.start : end])


class HeaderFraming(Framing):
    """A constant header, then either a constant size or a length field, then a checksum.

    ``length`` is ``(offset, format, extra)``: the frame's size is the field's value plus ``extra``.
    """

    def __init__(
        self,
        header: bytes,
        *,
        size: int = 0,
        length: tuple[int, str, int] | None = None,
        checksum: Checksum | None = None,
        largest: int = 1024,
    ) -> None:
        if bool(size) == (length is not None):
            raise ValueError("a frame has either a size or a length field")
        self.header = header
        self.checksum = checksum
        self._size = size
        self._offset, format, self._extra = length or (0, "B", 0)
        self._field = struct.Struct(format)
        self._largest = largest

    def measure(self, data: bytes) -> int:
        """Return the size of the frame at the start of the data."""
        head = data[: len(self.header)]
        if head != self.header[: len(head)]:
            return -1
        if self._size:
            return self._size if len(head) == len(self.header) else 0
        if len(data) < self._offset + self._field.size:
            return 0
        size: int = self._field.unpack_from(data, self._offset)[0] + self._extra
        return size if len(self.header) < size <= self._largest else -1

    def valid(self, frame: bytes) -> bool:
        """Return whether a complete frame's checksum is right."""
        return self.checksum is None or self.checksum.fits(frame)


class Deframer:
    """Takes a stream apart into whole frames; after garbage it finds the next one.

    A frame whose checksum is wrong costs one byte only: what follows it is looked at again, so a
    frame that began inside of the damaged one is not lost.
    """

    def __init__(self, framing: Framing) -> None:
        self.framing = framing
        #: Bytes that belonged to no frame, and frames with a wrong checksum.
        self.skipped = 0
        self.damaged = 0
        self._buffer = bytearray()

    @property
    def pending(self) -> bytes:
        """Return what has come of a frame that is not complete yet."""
        return bytes(self._buffer)

    def clear(self) -> None:
        """Forget what has come so far."""
        self._buffer.clear()

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes and return the frames that they complete."""
        # In pieces: each byte of garbage costs a copy of what follows it.
        pieces = range(0, len(data), PIECE)
        return [frame for at in pieces for frame in self._take(data[at : at + PIECE])]

    def _take(self, data: bytes) -> list[bytes]:
        self._buffer += data
        buffer = bytes(self._buffer)
        frames = []
        at = 0
        while at < len(buffer):
            rest = buffer[at:]
            size = self.framing.measure(rest)
            if size > len(rest) or size == 0:
                break
            if size < 0:
                at += 1
                self.skipped += 1
            elif self.framing.valid(rest[:size]):
                frames.append(rest[:size])
                at += size
            else:
                at += 1
                self.skipped += 1
                self.damaged += 1
        del self._buffer[:at]
        return frames
