"""What a run prints: whole lines from many processes, none of which may be held up by a reader."""

from __future__ import annotations

import errno
import os
import re
import select
import threading
import time
from collections import deque
from collections.abc import Callable

from horus.errors import HorusError
from horus.runtime.linux import start_trouble

#: A line longer than this is shown in pieces.
MAX_LINE = 1 << 20
#: Above this many unwritten bytes processes are no longer read, while the reader of ours moves.
HIGH_WATER = 4 << 20
#: Above this many unwritten bytes lines of processes are dropped and counted.
LIMIT = 8 << 20
#: A reader that took nothing for so long (s) holds up nobody any more: a paused terminal, a pager.
STUCK_AFTER = 1.0

_LINE_END = re.compile(rb"\r\n|\n|\r")


class LineSplitter:
    """Cuts a stream of bytes into lines; also at a lone carriage return (progress bars)."""

    def __init__(self) -> None:
        self._rest = bytearray()
        #: What a newline as the next byte stands for, after a carriage return: no line, or an
        #: empty one that the carriage return alone would not have been.
        self._owed: list[bytes] | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are now complete, without their ends."""
        lines: list[bytes] = []
        if self._owed is not None and data.startswith(b"\n"):
            lines += self._owed
            data = data[1:]
        self._owed = None
        start = 0
        for end in _LINE_END.finditer(data):
            line = bytes(self._rest) + data[start : end.start()]
            self._rest.clear()
            start = end.end()
            if line or end.group() != b"\r":
                lines.append(line)
            if end.group() == b"\r" and start == len(data):
                self._owed = [] if line else [b""]
        self._rest += data[start:]
        return lines + self._overlong()

    def _overlong(self) -> list[bytes]:
        lines: list[bytes] = []
        while len(self._rest) > MAX_LINE:
            cut = MAX_LINE
            while cut > MAX_LINE - 4 and self._rest[cut] & 0xC0 == 0x80:
                cut -= 1  # not inside a UTF-8 character
            lines.append(bytes(self._rest[:cut]))
            del self._rest[:cut]
        return lines

    def flush(self) -> list[bytes]:
        """Return the last line, if it never got its end."""
        rest = bytes(self._rest)
        self._rest.clear()
        return [rest] if rest else []


def as_utf8(line: bytes) -> bytes:
    """Return the line with whatever is not UTF-8 replaced, so that a log stays one encoding."""
    return line.decode("utf-8", "replace").encode("utf-8")


class Output:
    """Writes to a descriptor from a thread of its own, so that a blocked one blocks only that.

    ``wake`` is called from that thread when there is room again, and when nobody reads any more.
    """

    def __init__(self, fd: int = 1, wake: Callable[[], object] = lambda: None) -> None:
        self._fd = fd
        #: Called from the writing thread.
        self.wake = wake
        self._queue: deque[bytes] = deque()
        self._pending = 0
        self._dropped = 0
        self._moved = time.monotonic()
        self._awaited = False
        self._changed = threading.Condition()
        #: True once the reader has gone (a closed pipe or terminal); everything is then discarded.
        self.broken = False
        self._thread = threading.Thread(target=self._run, name="horus-output", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # what Python makes of EAGAIN
            text = f"no thread can be started: {start_trouble(OSError(errno.EAGAIN, ''))}"
            raise HorusError(text) from None

    def say(self, text: str) -> None:
        """Write the run's own words; these are never dropped."""
        self._put(text.encode("utf-8", "replace"))

    def write(self, data: bytes, lines: int = 1) -> None:
        """Write lines of a process, or drop and count them when too much is waiting."""
        with self._changed:
            if self._pending > LIMIT:
                self._dropped += lines
                return
        self._tell_dropped()
        self._put(data)

    def _tell_dropped(self) -> None:
        dropped, self._dropped = self._dropped, 0
        if dropped:
            self.say(f"[horus] {dropped} lines were dropped here: nothing read this output\n")

    def _put(self, data: bytes) -> None:
        with self._changed:
            if self.broken:
                return
            if not self._pending:
                self._moved = time.monotonic()
            self._queue.append(data)
            self._pending += len(data)
            self._changed.notify_all()

    def full(self) -> bool:
        """Return whether processes should wait: much is unwritten, yet the reader moves."""
        with self._changed:
            if self.broken or self._pending <= HIGH_WATER:
                return False
            self._awaited = True
            return time.monotonic() - self._moved < STUCK_AFTER

    def flush(self, give_up: Callable[[], bool] = lambda: False) -> None:
        """Wait until all is written, nobody reads any more, or ``give_up`` says so."""
        self._tell_dropped()
        with self._changed:
            while self._pending and not self.broken and not give_up():
                self._changed.wait(0.05)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._queue:
                    self._changed.wait()
                data = b"".join(self._queue)
                self._queue.clear()
            try:
                self._write_all(memoryview(data))
            except OSError:  # EPIPE, EIO, EBADF: the reader is gone for good
                with self._changed:
                    self.broken = True
                    self._queue.clear()
                    self._pending = 0
                    self._changed.notify_all()
                self.wake()
                return

    def _write_all(self, data: memoryview) -> None:
        while data:
            try:
                written = os.write(self._fd, data[:65536])
            except BlockingIOError:  # somebody made the terminal non-blocking
                select.select([], [self._fd], [])
                continue
            data = data[written:]
            with self._changed:
                self._moved = time.monotonic()
                self._pending -= written
                awake = self._awaited and self._pending <= HIGH_WATER // 2
                if awake:
                    self._awaited = False
                self._changed.notify_all()
            if awake:
                self.wake()
