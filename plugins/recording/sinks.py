"""Where chunks go: into a file by a thread of its own, or into memory until something happens."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from horus_plugins.recording.mcapfile import Chunk, McapFile, PackedChunk, bytes_of, pack

if TYPE_CHECKING:
    from horus_plugins.recording.channels import Channels
    from mcap.records import Channel, Schema

#: Bytes that may wait for a slow disk, beside the chunk that is being written.
WAITING = 64 << 20


class FileSink:
    """Compresses and writes in a thread of its own: a slow disk does not stop the reading."""

    def __init__(self, file: McapFile, compression: str) -> None:
        self.file = file
        self.compression = compression
        pack(Chunk(), compression)  # what it imports is not to delay the first chunk
        self.error: BaseException | None = None
        self._queue: queue.SimpleQueue[Chunk | None] = queue.SimpleQueue()
        self._room = threading.Condition()
        self._waiting = 0
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def put(self, chunk: Chunk) -> None:
        """Hand a chunk over; it waits while too much is waiting."""
        self.check()
        size = len(chunk.data)
        with self._room:
            while self._waiting and self._waiting + size > WAITING:
                self._room.wait(0.1)
                self.check()
            self._waiting += size
        self._queue.put(chunk)

    def check(self) -> None:
        """Raise what went wrong in the thread."""
        if self.error is not None:
            raise self.error

    def _work(self) -> None:
        while (chunk := self._queue.get()) is not None:
            try:
                if self.error is None:
                    self.file.add_chunk(pack(chunk, self.compression))
            except Exception as error:
                self.error = error  # told by `check`; what comes now is thrown away
            with self._room:
                self._waiting -= len(chunk.data)
                self._room.notify()

    def close(self) -> None:
        """Write what is waiting."""
        self._queue.put(None)
        self._thread.join()


class MemorySink:
    """Keeps the last seconds, compressed; `write` puts them into a file.

    At most ``seconds`` and ``limit`` bytes are kept; the oldest chunks go first.
    """

    def __init__(self, seconds: float, limit: int, compression: str) -> None:
        self.seconds, self.limit, self.compression = seconds, limit, compression
        self.size = 0
        self._chunks: deque[tuple[float, PackedChunk]] = deque()

    def put(self, chunk: Chunk) -> None:
        """Take a chunk and let go of what is too old or too much."""
        packed = pack(chunk, self.compression)
        now = time.monotonic()
        self._chunks.append((now, packed))
        self.size += packed.size
        while len(self._chunks) > 1 and (
            self.size > self.limit or now - self._chunks[0][0] > self.seconds
        ):
            self.size -= self._chunks.popleft()[1].size

    def check(self) -> None:
        """Nothing goes wrong here."""

    def kept(self, channels: Channels) -> Kept:
        """Return what is kept now, to be written by whom it suits."""
        words = {"kept": f"{self.seconds:g} s"}
        chunks = [chunk for _, chunk in self._chunks]
        definitions = dict(channels.schemas), dict(channels.channels)
        return Kept(chunks, *definitions, self.compression, words)


@dataclass(frozen=True)
class Kept:
    """The last seconds as they were at a moment."""

    chunks: list[PackedChunk]
    schemas: dict[int, Schema]
    channels: dict[int, Channel]
    compression: str
    words: dict[str, str]

    def write(self, path: Path, about: Callable[[McapFile, dict[str, str]], None]) -> int:
        """Write it; return how many messages. ``about`` adds words before the end."""
        file = McapFile(path)
        try:
            file.schemas, file.channels = self.schemas, self.channels
            # The chunks that described the channels may be gone: here they are described once more.
            described = Chunk()
            described.data += bytes_of(*self.schemas.values(), *self.channels.values())
            file.add_chunk(pack(described, self.compression))
            for chunk in self.chunks:
                file.add_chunk(chunk)
            about(file, self.words)
            file.finish()
        finally:
            file.close()
        return file.count
