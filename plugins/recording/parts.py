"""A part of a recording: a shorter one, or its numbers as CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from horus_plugins.recording.bag import Bag
from horus_plugins.recording.errors import RecordingError
from horus_plugins.recording.formats import Stored
from horus_plugins.recording.mcapfile import Chunk, McapFile, bytes_of, pack
from horus_plugins.recording.recorder import CHUNK_BYTES

if TYPE_CHECKING:
    from horus.message import MessageSpec


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
    file = McapFile(path, force=force)
    try:
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
        file.finish()
    finally:
        file.close()
    return count


def export_csv(
    bag: Bag,
    folder: Path,
    topics: Sequence[str],
    start: float,
    duration: float | None,
    *,
    force: bool = False,
) -> Iterator[tuple[Path, int]]:
    """Write a CSV file for each topic; yield each with its number of rows.

    The first column is the unix time in seconds, then one for each number or text: those of a
    fixed array are ``name.0``, ``name.1``; an array of varying length is one column of numbers
    with spaces between. A comment line at the top gives the units that the file knows.
    """
    files: dict[str, _Table] = {}
    try:
        for message in bag.read(topics, start, duration):
            stored = bag.channels[message.channel]
            table = files.get(stored.topic)
            if table is None:
                table = files[stored.topic] = _Table(folder, stored, force)
            table.add(stored, message.publish_ns, message.data)
    finally:
        for table in files.values():
            table.file.close()
    for table in files.values():
        yield table.path, table.count


class _Table:
    """The CSV file of one topic; its columns are those of its first message."""

    def __init__(self, folder: Path, stored: Stored, force: bool) -> None:
        self.path = folder / f"{stored.topic.replace('/', '~')}.csv"
        self.count = 0
        self._columns: list[str] = []
        self._decoders: dict[int, Callable[[bytes], dict[str, Any]]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.file: IO[str] = self.path.open("w" if force else "x", newline="", encoding="utf-8")
        except FileExistsError:
            text = f"{self.path} exists: name another folder with -o, or replace it with --force"
            raise RecordingError(text, 2) from None
        except OSError as error:
            text = f"{self.path} cannot be written: {error.strerror or error}"
            raise RecordingError(text) from None
        if stored.schema is not None:
            units = [f"{n}: {d.unit}" for n, d in stored.schema.docs.items() if d.unit]
            self.file.write(f"# {stored.type_name}{'; ' if units else ''}{', '.join(units)}\n")
        self._rows = csv.writer(self.file)

    def add(self, stored: Stored, publish_ns: int, data: bytes) -> None:
        """Add a row."""
        decoder = self._decoders.get(id(stored))
        if decoder is None:
            decoder = self._decoders[id(stored)] = _fields(stored)
        row = decoder(data)
        if not self._columns:
            self._columns = list(row)
            self._rows.writerow(["time", *self._columns])
        time = f"{publish_ns // 10**9}.{publish_ns % 10**9:09d}"
        self._rows.writerow([time, *(row.get(name, "") for name in self._columns)])
        self.count += 1


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
