"""A part of a recording: a shorter one, or its numbers as CSV."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from horus_plugins.recording.bag import Bag
from horus_plugins.recording.errors import RecordingError, why
from horus_plugins.recording.formats import Stored
from horus_plugins.recording.mcapfile import Chunk, McapFile, bytes_of, pack
from horus_plugins.recording.recorder import CHUNK_BYTES

if TYPE_CHECKING:
    from horus.message import MessageSpec


class Draft:
    """A file under another name until it is complete: what fails leaves nothing, and harms nothing.

    ``again`` says how to name another file, where this one exists.
    """

    def __init__(self, path: Path, *, force: bool, again: str) -> None:
        if path.is_dir():
            raise RecordingError(f"{path} is a folder: name a file", 2)
        if path.exists() and not force:
            raise RecordingError(f"{path} exists: {again}, or replace it with --force", 2)
        self.final = path
        self.path = path.with_name(f".{path.name}.{os.getpid()}.part")

    def keep(self) -> None:
        """Give it its name."""
        self.path.replace(self.final)

    def drop(self) -> None:
        """Remove what there is of it."""
        self.path.unlink(missing_ok=True)


def cut(
    bag: Bag,
    path: Path,
    topics: Sequence[str],
    start: float,
    duration: float | None,
    *,
    force: bool = False,
) -> int:
    """Write a part of a recording; return how many messages."""
    if path.exists() and path.samefile(bag.path):
        raise RecordingError(f"{path} is the recording itself: name another file", 2)
    draft = Draft(path, force=force, again="name another file")
    if not path.parent.is_dir():
        raise RecordingError(
            f"{path}: there is no folder {path.parent}: make it, or name another", 2
        )
    file = McapFile(draft.path, force=True)
    try:
        count = _copy(bag, file, topics, start, duration)
        file.finish()
        draft.keep()
    except RecordingError as error:
        cause = error.__context__ if isinstance(error.__context__, OSError) else None
        if cause is None:
            raise
        text = f"{path} cannot be written: {why(cause, path)}; nothing is left of it"
        raise RecordingError(text) from None
    finally:
        file.close()
        draft.drop()
    return count


def _copy(
    bag: Bag, file: McapFile, topics: Sequence[str], start: float, duration: float | None
) -> int:
    for name, about in bag.metadata.items():
        file.add_metadata(name, about)
    for one in bag.attachments:
        file.add_attachment(one.name, one.media_type, one.data, one.log_time)
    count = 0
    chunk = Chunk()
    for message in bag.read(topics, start, duration, ordered=False):
        if message.channel not in file.channels:
            schema, channel = bag.definitions[message.channel]
            if schema is not None and schema.id not in file.schemas:
                file.schemas[schema.id] = schema
                chunk.data += bytes_of(schema)
            file.channels[channel.id] = channel
            chunk.data += bytes_of(channel)
        times = (message.sequence, message.log_ns, message.publish_ns)
        chunk.add(message.channel, *times, message.data)
        count += 1
        if len(chunk.data) >= CHUNK_BYTES:
            file.add_chunk(pack(chunk, "zstd"))
            chunk = Chunk()
    if chunk.count:
        file.add_chunk(pack(chunk, "zstd"))
    return count


def export_csv(
    bag: Bag,
    folder: Path,
    topics: Sequence[str],
    start: float,
    duration: float | None,
    *,
    force: bool = False,
) -> list[Exported]:
    """Write a CSV file for each topic; return them. All are written, or none.

    The first column is the unix time in seconds, then one for each number or text: those of a
    fixed array are ``name.0``, ``name.1``; an array of varying length is one column of numbers
    with spaces between. A comment line at the top gives the units that the file knows. A message
    that is damaged is left out and counted.
    """
    tables: dict[str, _Table] = {}
    try:
        for message in bag.read(topics, start, duration):
            stored = bag.channels[message.channel]
            table = tables.get(stored.topic)
            if table is None:
                table = tables[stored.topic] = _Table(folder, stored, force)
            table.add(stored, message.publish_ns, message.data)
        for table in tables.values():
            table.close()
        for table in tables.values():
            table.draft.keep()
    finally:
        for table in tables.values():
            table.drop()
    return [Exported(t.draft.final, t.count, t.damaged) for t in tables.values()]


class Exported(NamedTuple):
    """A table that was written."""

    path: Path
    rows: int
    #: Messages that could not be read.
    damaged: int


class _Table:
    """The CSV file of one topic; its columns are those of its first message."""

    def __init__(self, folder: Path, stored: Stored, force: bool) -> None:
        path = folder / f"{stored.topic.replace('/', '~')}.csv"
        self.count = 0
        self.damaged = 0
        self._columns: list[str] = []
        self._decoders: dict[int, Callable[[bytes], dict[str, Any]]] = {}
        self.draft = Draft(path, force=force, again="name another folder with -o")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.file: IO[str] = self.draft.path.open("w", newline="", encoding="utf-8")
        except FileExistsError:
            raise RecordingError(f"{folder} is a file: name a folder with -o", 2) from None
        except OSError as error:
            raise RecordingError(f"{path} cannot be written: {why(error, path)}") from None
        self._rows = csv.writer(self.file)
        if stored.schema is not None:
            units = [f"{n}: {d.unit}" for n, d in stored.schema.docs.items() if d.unit]
            head = f"# {stored.type_name}{'; ' if units else ''}{', '.join(units)}\n"
            self._attempt(lambda: self.file.write(head))

    def _attempt(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            path = self.draft.final
            text = f"{path} cannot be written: {why(error, path)}; no table was written"
            raise RecordingError(text) from None

    def add(self, stored: Stored, publish_ns: int, data: bytes) -> None:
        """Add a row."""
        decoder = self._decoders.get(id(stored))
        if decoder is None:
            decoder = self._decoders[id(stored)] = _fields(stored)
        try:
            row = decoder(data)
        except (ValueError, KeyError, IndexError, TypeError):
            self.damaged += 1
            return
        if not self._columns:
            self._columns = list(row)
            self._attempt(lambda: self._rows.writerow(["time", *self._columns]))
        time = f"{publish_ns // 10**9}.{publish_ns % 10**9:09d}"
        values = [time, *(row.get(name, "") for name in self._columns)]
        self._attempt(lambda: self._rows.writerow(values))
        self.count += 1

    def close(self) -> None:
        """Write what is left of it."""
        self._attempt(self.file.close)

    def drop(self) -> None:
        """Leave it; what has not been kept is removed."""
        with contextlib.suppress(OSError):  # which has been told, or is of what goes away anyway
            self.file.close()
        self.draft.drop()


def _fields(stored: Stored) -> Callable[[bytes], dict[str, Any]]:
    """Return what makes columns of a stored message."""
    from horus.bus import codec
    from horus.bus.schemas import as_dict

    decode = stored.decoder()
    spec = stored.spec()
    if spec is not None:
        unpack = spec.unpack_from
        if spec.frame is not None:
            return lambda data: dict(_flat(as_dict(_framed(spec, decode(data)))))
        return lambda data: dict(_flat(as_dict(unpack(decode(data), 0))))

    def plainly(data: bytes) -> dict[str, Any]:
        value = codec.decode(stored.kind, stored.type_hash, bytearray(decode(data)))
        return dict(_flat(value if isinstance(value, dict) else {"value": value}))

    return plainly


def _framed(spec: MessageSpec, payload: bytes) -> Any:
    from horus.bus import codec
    from horus.bus.raw import split_frame

    rest, array = split_frame(payload)
    return codec.framed(spec, rest, codec.decode_array(array))


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _flat(item, f"{name}.{index}")
    elif isinstance(value, list):
        yield name, " ".join(map(str, value))
    elif hasattr(value, "ravel"):
        yield name, " ".join(map(str, value.ravel().tolist()))
    elif isinstance(value, bytes):
        yield name, value.hex(" ")
    else:
        yield name, value
