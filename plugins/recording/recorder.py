"""Reads the topics of a run and fills chunks; what becomes of them is for a `Sink`.

It takes part as a reader that never sleeps on a topic, so no publisher has to wake it; a publisher
never waits for it. What it was too slow for is lost, counted, and told in the file.
"""

from __future__ import annotations

import contextlib
import fnmatch
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from horus_plugins.recording.channels import Channels
from horus_plugins.recording.mcapfile import Chunk

from horus.bus import rings
from horus.bus.observer import folder_of, topic_names
from horus.bus.raw import RawMessage, RawSubscriber
from horus.errors import CorruptTopicError, SharedMemoryError, TopicError

#: A chunk is finished when it has this many bytes, or is this old (s).
CHUNK_BYTES, CHUNK_AGE = 1 << 20, 0.4
#: How often (s) topics are read, and the session is searched for new ones.
LOOK, SEARCH = 0.004, 0.05
#: Bytes of messages that were read and are not in a chunk yet; the rest waits in the rings.
WAITING = 32 << 20
#: How long (s) messages are put into chunks until it is asked whether to go on.
PACK = 0.1
#: Messages of a topic that publishers are asked to keep for us: at least, and of small ones so many
#: as fit into so many bytes, at most. The recorder may be held up so long.
DEPTH, ROOM, MOST_DEPTH = 64, 128 << 10, 256
#: How the topics of bus traffic begin.
WIRE = "wire."


class Sink(Protocol):
    """Where chunks go."""

    def put(self, chunk: Chunk) -> None:
        """Take a chunk; a `RecordingError` ends the recording."""

    def check(self) -> None:
        """Raise what went wrong since the last call."""


def matches(topic: str, patterns: Sequence[str]) -> bool:
    """Return whether a topic is meant; no patterns mean all."""
    return not patterns or any(fnmatch.fnmatchcase(topic, pattern) for pattern in patterns)


def _depth(name: str) -> int:
    """Return how many messages of a topic publishers are asked to keep."""
    largest = 0
    for ring in rings.ring_files(folder_of(name)):
        with contextlib.suppress(OSError, CorruptTopicError):
            memory, about = rings.open_ring(ring.path)
            memory.close()
            largest = max(largest, about.stride)
    return min(max(DEPTH, ROOM // largest), MOST_DEPTH) if largest else DEPTH


class Recorder:
    """Fills chunks from the topics whose names match."""

    def __init__(
        self,
        sink: Sink,
        patterns: Sequence[str] = (),
        exclude: Sequence[str] = (),
        watch: Callable[[RawSubscriber, RawMessage], None] | None = None,
    ) -> None:
        self.sink = sink
        self.patterns, self.exclude = patterns, exclude
        self.channels = Channels(time.time_ns() - time.monotonic_ns())
        self.count = 0
        #: What is wrong with topics that cannot be read, by name.
        self.troubles: dict[str, str] = {}
        self.ends: dict[str, RawSubscriber] = {}
        self._watch = watch
        #: What was read, to be put into chunks: the first of a topic takes its time, and meanwhile
        #: the others would be overrun.
        self._taken: deque[tuple[RawSubscriber, RawMessage]] = deque()
        self._waiting = 0
        self._took = time.monotonic()
        self._seen: set[str] = set()
        self._lost: dict[str, int] = {}
        self._searched = 0.0
        self._search(first=True)

    @property
    def lost(self) -> dict[str, int]:
        """Return how many messages were lost on each topic where some were."""
        found = dict(self._lost)
        for name, end in self.ends.items():
            if end.dropped:
                found[name] = found.get(name, 0) + end.dropped
        return found

    @property
    def absent(self) -> list[str]:
        """Return the names and patterns of which no topic has come so far."""
        return [each for each in self.patterns if not any(matches(n, [each]) for n in self._seen)]

    def _search(self, *, first: bool = False) -> None:
        """Take up topics that are new, and let go of those that have ended."""
        self._searched = time.monotonic()
        present = topic_names()
        for name in [name for name in self.ends if name not in present]:
            self._take(name)  # what is left of it
            self._leave(name)
        for name in present:
            if name in self.ends or not matches(name, self.patterns):
                continue
            if self.exclude and matches(name, self.exclude):
                continue
            try:
                # Of a topic that is new, nothing that was sent so far is missed, nor of a bus how
                # its devices were set up.
                history = not first or name.startswith(WIRE)
                self.ends[name] = RawSubscriber(name, depth=_depth(name), history=history)
                self._seen.add(name)
                self._take_all()
            except (TopicError, OSError) as error:
                self.troubles.setdefault(name, str(error))

    def _leave(self, name: str) -> None:
        self._pack(whole=True)  # what is taken of it is described by it
        end = self.ends.pop(name)
        if end.dropped:
            self._lost[name] = self._lost.get(name, 0) + end.dropped
        end.close()

    def _take(self, name: str) -> None:
        """Take what is unread of a topic out of its rings."""
        end = self.ends[name]
        try:
            messages = end.take()
        except CorruptTopicError as error:
            self.troubles.setdefault(name, str(error))
            return
        for message in messages:
            self._taken.append((end, message))
            self._waiting += len(message.payload)

    def _take_all(self) -> None:
        """Take what is unread, if that is due and there is room for it."""
        if time.monotonic() - self._took >= LOOK and self._waiting < WAITING:
            for name in self.ends:
                self._take(name)
            self._took = time.monotonic()

    def _pack(self, *, whole: bool = False) -> None:
        """Put what was taken into chunks, and take more meanwhile; for a while, or all there is."""
        until = time.monotonic() + PACK
        while self._taken and (whole or time.monotonic() < until):
            end, message = self._taken.popleft()
            self._waiting -= len(message.payload)
            self.channels.add(end, message)
            self.count += 1
            if self._watch is not None:
                self._watch(end, message)
            if len(self.channels.chunk.data) >= CHUNK_BYTES:
                self.sink.put(self.channels.take())
            if not whole:
                self._take_all()

    def look(self) -> int:
        """Read what has come; return how many messages that were."""
        now = time.monotonic()
        if now - self._searched > SEARCH:
            self._search()
        before = self.count
        for name in self.ends:
            self._take(name)
        self._took = time.monotonic()
        self._pack()
        if self.channels.chunk.count and time.monotonic() - self.channels.since > CHUNK_AGE:
            self.sink.put(self.channels.take())
        self.sink.check()
        return self.count - before

    def run(self, over: Callable[[], bool]) -> None:
        """Record until ``over`` says so."""
        while not over():
            began = time.monotonic()
            self.look()
            time.sleep(max(0.0005, LOOK - (time.monotonic() - began)))
        self.look()

    def close(self) -> None:
        """Hand the last chunk on and leave the topics."""
        try:
            self._pack(whole=True)
            if self.channels.chunk.count:
                self.sink.put(self.channels.take())
        finally:
            for name in list(self.ends):
                with contextlib.suppress(SharedMemoryError):
                    self._leave(name)
