"""Reads recordings: whole ones, those of a recorder that was killed, and those of a full disk."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from horus_plugins.recording.errors import RecordingError, need_mcap
from horus_plugins.recording.formats import PREFIX, Stored
from horus_plugins.recording.mcapfile import MAGIC
from horus_plugins.recording.recorder import matches

from horus.errors import did_you_mean

#: Version of what we write into a file beside MCAP itself, and those that are read.
VERSION = 2
READ = ("1", "2")
#: Messages are put into order over this long (ns).
WINDOW_NS = 2_000_000_000


class Message(NamedTuple):
    """A message of a file; times are unix ns."""

    log_ns: int
    place: int
    channel: int
    sequence: int
    publish_ns: int
    data: bytes


@dataclass
class Summary:
    """What a file holds."""

    topics: dict[str, TopicSummary] = field(default_factory=dict)
    start_ns: int = 0
    end_ns: int = 0
    count: int = 0
    #: Messages that the recorder was too slow for, by topic.
    lost: dict[str, int] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Return how long it lasts."""
        return (self.end_ns - self.start_ns) / 1e9


@dataclass
class TopicSummary:
    """What a file holds of a topic."""

    type: str
    publishers: set[int] = field(default_factory=set)
    count: int = 0
    bytes: int = 0
    #: Numbers that are missing between a publisher's messages.
    gaps: int = 0
    #: When the first and the last message were sent.
    start_ns: int = 0
    end_ns: int = 0

    @property
    def rate(self) -> float:
        """Return messages a second, from the first of the topic to its last; 0 with one alone."""
        length = (self.end_ns - self.start_ns) / 1e9
        return (self.count - 1) / length if length else 0.0


class Bag:
    """A recording; reading it needs no index, so what a killed recorder left will do."""

    def __init__(self, path: str | Path) -> None:
        need_mcap()
        self.path = Path(path)
        #: Why the file has no proper end; "" when it has one. Known when it was read.
        self.damage = ""
        self.channels: dict[int, Stored] = {}
        #: Topics of channels that were not written by us.
        self.foreign: set[str] = set()
        self.metadata: dict[str, dict[str, str]] = {}
        self.attachments: list[Any] = []
        #: Told how much of the file has been read, as a share of 1.
        self.progress: Callable[[float], object] = lambda share: None
        #: Schema and channel of each channel, as they are in the file.
        self.definitions: dict[int, tuple[Any, Any]] = {}
        try:
            with self.path.open("rb") as file:
                head = file.read(len(MAGIC))
        except FileNotFoundError:
            folder = self.path.parent
            names = [p.name for p in folder.glob("*.mcap")] if folder.is_dir() else []
            near = did_you_mean(self.path.name, names)
            raise RecordingError(f"{path}: there is no such file{near}", 2) from None
        except IsADirectoryError:
            raise RecordingError(f"{path} is a folder: name a recording in it", 2) from None
        except PermissionError:
            text = f"{path} cannot be read: this user may not (see ls -l {path})"
            raise RecordingError(text, 2) from None
        except OSError as error:
            raise RecordingError(f"{path} cannot be read: {error.strerror or error}") from None
        if head != MAGIC:
            text = f"{path} is no MCAP file" + ("; it is empty" if not head else "")
            raise RecordingError(text)

    def _records(self, file: BinaryIO, wanted: Callable[[Any], bool]) -> Iterator[Any]:
        """Yield the records of a file as far as it is whole, those of wanted chunks among them."""
        from mcap.records import Chunk, DataEnd
        from mcap.stream_reader import StreamReader, breakup_chunk

        file.seek(0, 2)
        size = file.tell()
        file.seek(0)
        reader = StreamReader(file, emit_chunks=True, record_size_limit=size)
        ended = False
        spoilt: list[str] = []
        try:
            for record in reader.records:
                self.progress(file.tell() / size)
                if isinstance(record, DataEnd):
                    ended = True
                elif not isinstance(record, Chunk):
                    if not ended:
                        yield record
                elif wanted(record):
                    try:
                        found = breakup_chunk(record, validate_crc=True)
                    except Exception as error:  # the next chunk is complete in itself
                        spoilt.append(str(error) or type(error).__name__)
                        continue
                    yield from found
            self.damage = ""
        except Exception as error:  # whatever is wrong, what came before is whole
            if ended:
                self.damage = "its summary is damaged"
            else:
                known = type(error).__name__ in ("EndOfFile", "error", "RecordLengthLimitExceeded")
                known = known or not str(error)
                why = "it ends in the middle" if known else f"it is damaged: {error}"
                self.damage = f"{why}; what comes before is whole"
        if spoilt:
            what = "a part of it is" if len(spoilt) == 1 else f"{len(spoilt)} parts of it are"
            parts = f"{what} damaged and left out ({spoilt[0]})"
            self.damage = f"{parts}; {self.damage}" if self.damage else parts

    def read(
        self,
        topics: Any = (),
        start: float = 0.0,
        duration: float | None = None,
        *,
        ordered: bool = True,
    ) -> Iterator[Message]:
        """Yield the messages of topics in the order of time, from ``start`` s after the first.

        They are put into order over two seconds; what is further off comes where it is.
        """
        heap: list[Message] = []
        newest = 0
        for message in self._in_file_order(topics, start, duration):
            if not ordered:
                yield message
                continue
            heapq.heappush(heap, message)
            newest = max(newest, message.log_ns)
            while heap[0].log_ns < newest - WINDOW_NS:
                yield heapq.heappop(heap)
        while heap:
            yield heapq.heappop(heap)

    def _in_file_order(
        self, topics: Any, start: float, duration: float | None
    ) -> Iterator[Message]:
        from mcap.records import Attachment, Channel, Metadata, Schema
        from mcap.records import Message as Record

        span = bool(start) or duration is not None
        first = self._begin() if span else 0
        low, high = 0, 1 << 63
        if first is not None and span:
            low = first + int(start * 1e9)
            high = high if duration is None else low + int(duration * 1e9)
        places = itertools.count()
        chosen: dict[int, bool] = {}
        self.attachments = []
        schemas: dict[int, Any] = {}

        def wanted(chunk: Any) -> bool:
            nonlocal first, low, high
            if first is None and chunk.message_start_time:
                first = chunk.message_start_time
                low = first + int(start * 1e9)
                high = high if duration is None else low + int(duration * 1e9)
            return True  # also those outside: a channel may be described in them

        with self.path.open("rb") as file:
            for record in self._records(file, wanted):
                if isinstance(record, Record):
                    if record.channel_id not in chosen:  # described in a part that is damaged
                        self._learn_from_summary(schemas, chosen, topics)
                    if first is None:
                        first = low = record.log_time + int(start * 1e9)
                        high = high if duration is None else low + int(duration * 1e9)
                    if chosen.get(record.channel_id) and low <= record.log_time < high:
                        at = (record.log_time, next(places), record.channel_id, record.sequence)
                        yield Message(*at, record.publish_time, record.data)
                elif isinstance(record, Channel):
                    self._take(record, schemas, chosen, topics)
                elif isinstance(record, Schema):
                    schemas[record.id] = record
                elif isinstance(record, Metadata):
                    self.metadata[record.name] = record.metadata
                    self._check_version(record)
                elif isinstance(record, Attachment):
                    self.attachments.append(record)

    def _take(
        self, channel: Any, schemas: dict[int, Any], chosen: dict[int, bool], topics: Any
    ) -> None:
        """Take note of a channel, and of whether its messages are wanted."""
        if channel.id in chosen:
            return
        self._learn(channel)
        self.definitions[channel.id] = (schemas.get(channel.schema_id), channel)
        chosen[channel.id] = channel.id in self.channels and matches(channel.topic, topics)

    def _end_of_file(self) -> Any:
        """Return the summary at the end of the file; None if it has none."""
        from mcap.reader import make_reader

        try:
            with self.path.open("rb") as file:
                return make_reader(file).get_summary()
        except Exception:  # whatever is wrong with it
            return None

    def _begin(self) -> int | None:
        """Return the time of the oldest message (unix ns), if the end of the file tells.

        It need not be in the first chunk: what was kept of a bus before the recording is later.
        """
        end = self._end_of_file()
        starts = [chunk.message_start_time for chunk in end.chunk_indexes] if end else []
        return min(filter(None, starts), default=None)

    def _learn_from_summary(
        self, schemas: dict[int, Any], chosen: dict[int, bool], topics: Any
    ) -> None:
        """Take note of the channels that the end of the file describes, if it has one."""
        summary = self._end_of_file()
        if summary is not None:
            for channel in summary.channels.values():
                self._take(channel, {**summary.schemas, **schemas}, chosen, topics)

    def _check_version(self, record: Any) -> None:
        version = record.metadata.get("version", "")
        if record.name == f"{PREFIX}recording" and version not in READ:
            raise RecordingError(
                f"{self.path} was recorded in version {version or '?'} of the format, this HORUS "
                f"reads versions {', '.join(READ)}: use the HORUS that recorded it "
                f"({record.metadata.get('horus', '?')})"
            )

    def _learn(self, channel: Any) -> None:
        if f"{PREFIX}form" not in channel.metadata:
            self.foreign.add(channel.topic)
            return
        self.channels[channel.id] = Stored(channel.topic, channel.metadata)

    def summary(self) -> Summary:
        """Read all of it and return what it holds."""
        found = Summary()
        newest: dict[int, int] = {}
        for message in self.read(ordered=False):
            stored = self.channels[message.channel]
            topic = found.topics.setdefault(stored.topic, TopicSummary(stored.shown_type))
            topic.publishers.add(stored.publisher)
            topic.count += 1
            topic.bytes += len(message.data)
            before = newest.get(stored.publisher)
            if before is not None:
                topic.gaps += (message.sequence - before - 1) % 2**32
            newest[stored.publisher] = message.sequence
            for span in (found, topic):
                span.start_ns = min(span.start_ns or message.log_ns, message.log_ns)
                span.end_ns = max(span.end_ns, message.log_ns)
            found.count += 1
        end = self.metadata.get(f"{PREFIX}end", {})
        found.lost = {
            name.removeprefix("lost "): int(number)
            for name, number in end.items()
            if name.startswith("lost ") and number.isdigit()
        }
        return found

    def choose(self, patterns: list[str], known: list[str]) -> None:
        """Refuse a pattern that no topic of the file matches."""
        for pattern in patterns:
            if not any(matches(name, [pattern]) for name in known):
                listed = ", ".join(known) if len(known) <= 12 else f"{len(known)} others"
                near = did_you_mean(pattern, known) or f"; it has {listed or 'none'}"
                text = f"{self.path} has no topic {pattern!r}{near}: see horus bag info {self.path}"
                raise RecordingError(text, 2)

    def check_start(self, start: float, length: float) -> None:
        """Refuse to begin after the end; ``length`` is how long all of it lasts (s)."""
        if start > length:
            raise RecordingError(
                f"{self.path} lasts {length:.3f} s: nothing is after {start:g} s", 2
            )
