"""`Observer`: a reader that nobody notices, for tools that look at a topic while a robot runs."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from horus.bus import files, pins, rings, schemas, session
from horus.bus.control import Control
from horus.bus.publisher import MAX_DEPTH
from horus.bus.subscriber import Subscriber
from horus.errors import MessageTypeError, TopicError, did_you_mean

__all__ = ["NoSuchTopic", "Observer", "folder_of", "topic_names"]

#: How often (s) it looks for something new; nobody wakes it.
LOOK = 0.004


class NoSuchTopic(TopicError, LookupError):
    """Nobody has opened a topic of this name in this session."""


def topic_names(topics: Path | None = None) -> list[str]:
    """Return the names of the topics that somebody has opened, sorted."""
    try:
        found = [path for path in (topics or session.topics_dir()).iterdir() if path.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise session.explain(error, topics or session.topics_dir()) from None
    return sorted(path.name.replace("~", "/") for path in found)


def folder_of(name: str) -> Path:
    """Return the folder of a topic that is there; if none is, a `NoSuchTopic` that names others."""
    files.check_name(name)
    folder = session.topics_dir() / name.replace("/", "~")
    if not (folder / "control").exists():
        known = topic_names()
        listed = f"; there are {', '.join(known)}" if 0 < len(known) <= 8 else ""
        near = did_you_mean(name, known) or listed
        raise NoSuchTopic(f"no topic {name!r} here{near}: see horus topic list")
    return folder


class Observer(Subscriber):
    """Reads a topic without taking part in it.

    It maps all files for reading only, takes no reader entry, asks for no depth, wakes nobody and
    is woken by nobody. Types that this process lacks are declared from their description. It
    sees what comes after it was made, with ``latch`` also the last message before.
    """

    def __init__(self, name: str, *, latch: bool = False) -> None:
        self.name = name
        self.type = self._declared = None
        self._closed = False
        self._topics = session.topics_dir()
        self._folder = folder_of(name)
        self._parts: dict[int, int] = {}
        self._refused: set[str] = set()
        self._pins = pins.Pins(self._folder)
        self._scanning = threading.RLock()
        try:
            self._control = Control.look(self._folder)
            self._file = (self._folder / "control").stat().st_ino
        except OSError as error:
            raise session.explain(error, self._folder) from None
        self._begin(MAX_DEPTH)
        self._first_scan(latch)

    @property
    def gone(self) -> bool:
        """Return whether everybody has left the topic since, and perhaps made it anew."""
        try:
            return (self._folder / "control").stat().st_ino != self._file
        except OSError:
            return True

    @property
    def publishers(self) -> int:
        """Return how many living processes have the topic open for sending."""
        return sum(
            rings.closed_at(ring.path) == 0 and rings.ring_owner_alive(ring.path)
            for ring in rings.ring_files(self._folder)
        )

    def wait(self, timeout: float | None = None) -> bool:
        """Look now and then until something is unread; False when ``timeout`` seconds went by."""
        deadline = time.monotonic() + (1e9 if timeout is None else timeout)
        while not self.unread():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, LOOK))
        return True

    def _decode(self, kind: int, type_hash: int, payload: bytearray) -> Any:
        try:
            return super()._decode(kind, type_hash, payload)
        except MessageTypeError:
            if schemas.learn(self._folder, type_hash) is None:
                raise
            return super()._decode(kind, type_hash, payload)

    def _say_unlisted(self) -> None:
        pass  # what is given up early is not seen here

    def _close(self, *, patient: bool) -> None:
        if not self._closed:
            self._closed = True
            self._reader.close()
            self._control.close()

    def _forked(self) -> None:
        pass
