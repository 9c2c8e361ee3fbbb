"""The last lines that a run has printed, in its folder, for `horus log`.

Two files of limited size, a JSON object a line: when one is full it takes the place of the other.
The supervisor writes what it has read from its processes anyway, so they have nothing more to do.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from horus.runtime.output import as_utf8

#: The present lines, and those before them.
FILE, OLD_FILE = "log.jsonl", "log.old.jsonl"
#: A file is full at this size (bytes); a longer line than `MOST` characters is cut.
LIMIT, MOST = 1 << 20, 4096
LEVELS = ("debug", "info", "warning", "error", "critical")
#: How a node's own line begins, `12:34:56.789 WARNING controller: text`, and a driver's.
_NODE = re.compile(
    r"\d\d:\d\d:\d\d\.\d{3} (DEBUG|INFO|WARNING|ERROR|CRITICAL) +([^\s:]+): (.*)", re.S
)
_DRIVER = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.\-/]*): (?:(WARNING|ERROR|CRITICAL): )?(.*)", re.S)


@dataclass(frozen=True)
class Line:
    """One line of a run."""

    #: Unix time (s) at which it was read.
    stamp: float
    #: The process that printed it; "" for the run's own words.
    process: str
    #: The node or device that logged it; "" for what was just printed.
    node: str
    #: One of `LEVELS`.
    level: str
    text: str


class RunLog:
    """The writing end, in the supervisor; where there is no room, lines are left out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fd = -1
        self._size = 0

    def add(self, process: str, lines: Sequence[bytes], kind: str = "node") -> None:
        """Keep lines of a process."""
        now = time.time()
        texts = (as_utf8(line[:MOST]).decode() for line in lines)
        rows = (json.dumps([round(now, 4), process, kind, text]) for text in texts)
        data = "".join(f"{row}\n" for row in rows).encode()
        with contextlib.suppress(OSError):  # a full shared memory must not end the run
            if self._fd < 0 or self._size + len(data) > LIMIT:
                self._turn()
            self._size += os.write(self._fd, data)

    def _turn(self) -> None:
        """Begin a new file."""
        path = self._folder / FILE
        self.close()
        if path.exists():
            path.replace(self._folder / OLD_FILE)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = 0

    def close(self) -> None:
        """Close the file; it stays as long as the run's folder."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class LogReader:
    """The reading end: yields what is kept, then what comes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rest = b""
        self._file = self._open(OLD_FILE) or self._open(FILE)

    def take(self) -> Iterator[Line]:
        """Yield the lines that have come since the last call, as far as they are kept."""
        while True:
            if self._file is None:
                self._file = self._open(FILE)
            if self._file is None:
                return
            while data := self._file.read(1 << 16):
                *rows, self._rest = (self._rest + data).split(b"\n")
                yield from filter(None, map(_line, rows))
            if not self._replaced():
                return
            # It was read to its end, and a file that was replaced does not grow any more.
            data = self._file.read()
            *rows, self._rest = (self._rest + data).split(b"\n")
            yield from filter(None, map(_line, rows))
            self._file.close()
            self._file, self._rest = self._open(FILE), b""

    def _replaced(self) -> bool:
        try:
            now = (self._folder / FILE).stat().st_ino
        except OSError:
            return False
        return self._file is not None and now != os.fstat(self._file.fileno()).st_ino

    def _open(self, name: str) -> BinaryIO | None:
        try:
            return (self._folder / name).open("rb")
        except OSError:
            return None

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _line(row: bytes) -> Line | None:
    """Return a line as it was kept, taken apart; None for what is none."""
    try:
        stamp, process, kind, text = json.loads(row)
        return parsed(float(stamp), str(process), str(kind), str(text))
    except (ValueError, TypeError):
        return None


def parsed(stamp: float, process: str, kind: str, text: str) -> Line:
    """Take a printed line apart: who logged it, at which level; plain output is ``info``."""
    if found := _NODE.fullmatch(text):
        return Line(stamp, process, found[2], found[1].lower(), found[3])
    if kind != "node" and (found := _DRIVER.fullmatch(text)):
        return Line(stamp, process, found[1], (found[2] or "INFO").lower(), found[3])
    return Line(stamp, process, "", "error" if kind == "crash" else "info", text)
