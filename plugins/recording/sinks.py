"""Where chunks go: into a file by a thread of its own, or into memory until something happens."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from horus_plugins.recording.errors import RecordingError
from horus_plugins.recording.mcapfile import Chunk, McapFile, PackedChunk, bytes_of, pack

if TYPE_CHECKING:
    from horus_plugins.recording.channels import Channels

#: Chunks that may wait for a slow disk: of some 1 MB each, or one large frame.
WAITING = 64


class FileSink:
    """Compresses and writes in a thread of its own: a slow disk does not stop the reading."""

    def __init__(self, file: McapFile, compression: str) -> None:
        self.file = file
        self.compression = compression
        self.error: BaseException | None = None
        self._queue: queue.Queue[Chunk | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def put(self, chunk: Chunk) -> None:
        """Hand a chunk over; it waits while too many are waiting."""
        self.check()
        while True:
            try:
                return self._queue.put(chunk, timeout=0.1)
            except queue.Full:
                self.check()

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

    def write(
        self, path: Path, channels: Channels, about: Callable[[McapFile, dict[str, str]], None]
    ) -> int:
        """Write what is kept; return how many messages. ``about`` adds words before the end."""
        file = McapFile(path)
        try:
            file.schemas, file.channels = channels.schemas, channels.channels
            # The chunks that described the channels may be gone: here they are described once more.
            described = Chunk()
            described.data += bytes_of(*channels.schemas.values(), *channels.channels.values())
            file.add_chunk(pack(described, self.compression))
            count = 0
            for _, chunk in self._chunks:
                file.add_chunk(chunk)
                count += sum(chunk.counts.values())
            about(file, {"kept": f"{self.seconds:g} s"})
            file.finish()
        except RecordingError:
            file.close()
            raise
        return count
