"""Chunks of messages and the file that they go to, with the records of the mcap package.

A chunk is complete in itself: it is compressed and written in one piece, so whatever ends the
recorder, a file holds whole chunks. Its first records describe the channels that are new in it.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from horus_plugins.recording.errors import RecordingError, why

if TYPE_CHECKING:
    from mcap.records import Channel, ChunkIndex, McapRecord, Schema

MAGIC = b"\x89MCAP0\r\n"
COMPRESSIONS = ("zstd", "lz4", "none")
_MESSAGE = struct.Struct("<BQHIQQ")
_OPCODE = 5


def bytes_of(*records: McapRecord) -> bytes:
    """Return records as they stand in a file."""
    from mcap.data_stream import RecordBuilder

    builder: Any = RecordBuilder()
    for record in records:
        record.write(builder)
    return bytes(builder.end())


@dataclass
class Chunk:
    """Messages on their way into a file, in the order in which they came."""

    data: bytearray = field(default_factory=bytearray)
    #: For each channel: time and place of its messages.
    places: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    start: int = 0
    end: int = 0
    count: int = 0

    def add(self, channel: int, sequence: int, log_ns: int, publish_ns: int, data: Any) -> None:
        """Add a message; times are unix ns."""
        place = len(self.data)
        size = 22 + len(data)
        self.data += _MESSAGE.pack(_OPCODE, size, channel, sequence, log_ns, publish_ns)
        self.data += data
        self.places.setdefault(channel, []).append((log_ns, place))
        self.start = min(self.start, log_ns) if self.count else log_ns
        self.end = max(self.end, log_ns)
        self.count += 1


@dataclass(frozen=True)
class PackedChunk:
    """A chunk as it goes into a file: the record, and the index of each channel."""

    record: bytes
    indexes: dict[int, bytes]
    start: int
    end: int
    counts: dict[int, int]
    compression: str
    compressed_size: int
    uncompressed_size: int

    @property
    def size(self) -> int:
        """Return how many bytes it takes."""
        return len(self.record) + sum(map(len, self.indexes.values()))


def pack(chunk: Chunk, compression: str) -> PackedChunk:
    """Compress a chunk; the interpreter is free for others meanwhile."""
    from mcap.records import Chunk as Record
    from mcap.records import MessageIndex

    data = chunk.data
    packed, name = bytes(data) if compression == "none" else b"", ""
    if compression == "zstd":
        import zstandard

        packed, name = zstandard.ZstdCompressor(level=1).compress(data), "zstd"
    elif compression == "lz4":
        import lz4.frame

        packed, name = lz4.frame.compress(data), "lz4"
    record = Record(name, packed, chunk.end, chunk.start, zlib.crc32(data), len(data))
    indexes = {
        channel: bytes_of(MessageIndex(channel, places)) for channel, places in chunk.places.items()
    }
    counts = {channel: len(places) for channel, places in chunk.places.items()}
    about = (chunk.start, chunk.end, counts, name, len(packed), len(data))
    return PackedChunk(bytes_of(record), indexes, *about)


class McapFile:
    """A recording that is being written. What fails to be written is cut off again."""

    def __init__(self, path: Path, *, force: bool = False) -> None:
        from mcap.records import Header

        from horus import __version__

        self.path = path
        self.size = 0
        self.schemas: dict[int, Schema] = {}
        self.channels: dict[int, Channel] = {}
        self._chunks: list[ChunkIndex] = []
        self._metadata: list[McapRecord] = []
        self._attachments: list[McapRecord] = []
        self._counts: dict[int, int] = {}
        self._times: list[int] = []
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if force else os.O_EXCL)
        try:
            self._fd = os.open(path, flags, 0o644)
        except FileExistsError:
            text = f"{path} exists: name another file, or replace it with --force"
            raise RecordingError(text, 2) from None
        except OSError as error:
            raise RecordingError(f"{path} cannot be written: {_opening(error, path)}") from None
        self._write(MAGIC + bytes_of(Header("", f"horus {__version__}")))

    @property
    def count(self) -> int:
        """Return how many messages are in the file."""
        return sum(self._counts.values())

    def _write(self, data: bytes) -> None:
        """Append bytes, all or nothing."""
        view = memoryview(data)
        written = 0
        try:
            while written < len(view):
                written += os.write(self._fd, view[written:])
        except OSError as error:
            os.ftruncate(self._fd, self.size)
            os.lseek(self._fd, self.size, os.SEEK_SET)
            raise RecordingError(
                f"{self.path} cannot be written any more: {why(error, self.path)}; "
                f"what was written until then ({self.size} bytes) is readable"
            ) from None
        self.size += len(view)

    def add_metadata(self, name: str, about: dict[str, str]) -> None:
        """Write words about the recording."""
        from mcap.records import Metadata, MetadataIndex

        record = bytes_of(Metadata(name, about))
        self._metadata.append(MetadataIndex(self.size, len(record), name))
        self._write(record)

    def add_attachment(self, name: str, media_type: str, data: bytes, time_ns: int) -> None:
        """Write a file that belongs to the recording, such as horus.yaml."""
        from mcap.records import Attachment, AttachmentIndex

        record = bytes_of(Attachment(time_ns, time_ns, name, media_type, data))
        at = (self.size, len(record), time_ns, time_ns, len(data), name, media_type)
        self._attachments.append(AttachmentIndex(*at))
        self._write(record)

    def add_chunk(self, chunk: PackedChunk) -> None:
        """Write a chunk with its indexes."""
        from mcap.records import ChunkIndex

        start, at = self.size, self.size + len(chunk.record)
        offsets = {}
        for channel, index in chunk.indexes.items():
            offsets[channel] = at
            at += len(index)
        self._write(b"".join([chunk.record, *chunk.indexes.values()]))
        index_size = at - start - len(chunk.record)
        self._chunks.append(
            ChunkIndex(
                len(chunk.record),
                start,
                chunk.compression,
                chunk.compressed_size,
                chunk.end,
                index_size,
                offsets,
                chunk.start,
                chunk.uncompressed_size,
            )
        )
        for channel, count in chunk.counts.items():
            self._counts[channel] = self._counts.get(channel, 0) + count
        if chunk.counts:
            self._times += [chunk.start, chunk.end]

    def finish(self) -> None:
        """Write the summary and close; without it the file is readable all the same."""
        from mcap.records import DataEnd, Footer, Statistics

        try:
            self._write(bytes_of(DataEnd(0)))
            start = self.size
            statistics = Statistics(
                attachment_count=len(self._attachments),
                channel_count=len(self.channels),
                channel_message_counts=self._counts,
                chunk_count=len(self._chunks),
                message_count=self.count,
                message_end_time=max(self._times, default=0),
                message_start_time=min(self._times, default=0),
                metadata_count=len(self._metadata),
                schema_count=len(self.schemas),
            )
            definitions = [*self.schemas.values(), *self.channels.values()]
            more = [*self._chunks, *self._attachments, *self._metadata]
            summary = bytes_of(*definitions, statistics, *more)
            # The checksum is that of the summary and of the footer up to its own place.
            footer = bytes_of(Footer(start, 0, 0))
            crc = zlib.crc32(summary + footer[:-4])
            self._write(summary + footer[:-4] + struct.pack("<I", crc) + MAGIC)
        finally:
            self.close()

    def close(self) -> None:
        """Close the file as it is."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _opening(error: OSError, path: Path) -> str:
    """Return why a file cannot be made."""
    if isinstance(error, FileNotFoundError) and not path.parent.is_dir():
        return f"there is no folder {path.parent}: make it, or name another"
    if isinstance(error, IsADirectoryError):
        return "it is a folder: name a file"
    return why(error, path)
