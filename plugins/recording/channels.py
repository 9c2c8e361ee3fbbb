"""Which channel a message belongs to, and the chunk that is being filled."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from horus_plugins.recording import drawing, formats, plain
from horus_plugins.recording.errors import RecordingError, Unfit
from horus_plugins.recording.mcapfile import Chunk, bytes_of

from horus.bus import layout as L
from horus.bus.schemas import learn

if TYPE_CHECKING:
    from pathlib import Path

    from mcap.records import Channel, Schema

    from horus.bus.raw import RawMessage, RawSubscriber

#: A type, what makes its payloads drawn messages (None if nothing does), and what makes them CDR.
_Known = tuple[Any, Callable[[Any], bytes] | None, Callable[[Any], bytes]]

#: MCAP numbers channels with 16 bits.
MOST = 65_535


class _Channel:
    """A channel and the newest time in it: what viewers sort by never goes back."""

    __slots__ = ("id", "newest_ns")

    def __init__(self, id: int) -> None:
        self.id = id
        self.newest_ns = 0


class Channels:
    """Turns messages of topics into those of a file.

    ``offset_ns`` is unix time minus monotonic time, the same for the whole recording, so that
    stamps come out to the nanosecond.
    """

    def __init__(self, offset_ns: int) -> None:
        self.offset_ns = offset_ns
        self.schemas: dict[int, Schema] = {}
        self.channels: dict[int, Channel] = {}
        self.chunk = Chunk()
        #: When the first message came into the chunk (monotonic s).
        self.since = 0.0
        self._numbers: dict[tuple[Any, ...], _Channel] = {}
        self._schema_ids: dict[tuple[str, bytes], int] = {}
        self._encoders: dict[tuple[str, int], _Known | None] = {}

    def add(self, topic: RawSubscriber, message: RawMessage) -> None:
        """Add a message of a topic to the chunk."""
        form, data = self._stored(topic, message)
        key = (topic.name, message.publisher, message.kind, message.type_hash, form)
        channel = self._numbers.get(key)
        if channel is None:
            channel = self._numbers[key] = self._new(topic, message, form)
        publish_ns = message.stamp_ns + self.offset_ns
        if publish_ns > channel.newest_ns:
            channel.newest_ns = publish_ns
        if not self.chunk.count:
            self.since = time.monotonic()
        number = message.number & 0xFFFF_FFFF
        self.chunk.add(channel.id, number, channel.newest_ns, publish_ns, data)

    def take(self) -> Chunk:
        """Return the chunk and begin a new one."""
        full, self.chunk = self.chunk, Chunk()
        return full

    def _stored(self, topic: RawSubscriber, message: RawMessage) -> tuple[str, Any]:
        payload = message.payload
        try:
            if message.kind in (L.KIND_STRUCT, L.KIND_FRAME):
                known = self._encoder(topic.folder, topic.name, message.type_hash)
                if known is not None:
                    _, draw, encode = known
                    if draw is not None:
                        with contextlib.suppress(Unfit):
                            return "drawn", draw(payload)
                    return "cdr", encode(payload)
            elif message.kind == L.KIND_MSGPACK:
                value = plain.unpack(payload)
                wrapped = not isinstance(value, dict)
                name = "value" if wrapped else "json"
                return name, plain.encode(payload, value, wrapped=wrapped)
            elif message.kind == L.KIND_ARRAY:
                return "array", formats.encode_array(payload)
        except Unfit:
            pass
        return "raw", payload

    def _encoder(self, folder: Path, topic: str, hash: int) -> _Known | None:
        key = (topic, hash)
        if key not in self._encoders:
            spec = learn(folder, hash)
            if spec is None:
                self._encoders[key] = None
            else:
                draw = drawing.encoder(spec) if drawing.drawn(spec) else None
                self._encoders[key] = (spec, draw, formats.encoder(spec))
        return self._encoders[key]

    def _new(self, topic: RawSubscriber, message: RawMessage, form_name: str) -> _Channel:
        """Describe a channel in the chunk that is being filled."""
        from mcap.records import Channel

        known = self._encoders.get((topic.name, message.type_hash))
        spec = known[0] if known is not None else None
        form = self._form(topic.name, message, form_name, spec)
        number = len(self.channels) + 1
        if number > MOST:
            raise RecordingError(f"more than {MOST} channels do not fit into a file")
        type_name = spec.name if spec is not None else topic.type_name
        about = formats.metadata(
            form, message.publisher, message.kind, message.type_hash, type_name, spec
        )
        schema_id = self._schema(form)
        channel = Channel(number, topic.name, form.message_encoding, about, schema_id)
        self.channels[number] = channel
        self.chunk.data += bytes_of(channel)
        return _Channel(number)

    def _form(self, topic: str, message: RawMessage, name: str, spec: Any) -> formats.Form:
        if name == "cdr":
            return formats.declared_form(spec)
        if name == "drawn":
            return formats.drawn_form(spec)
        if name == "array":
            return formats.array_form()
        if name == "raw":
            return formats.raw_form()
        return formats.plain_form(topic, plain.unpack(message.payload))

    def _schema(self, form: formats.Form) -> int:
        """Return the number of a form's schema, described in the chunk when it is new."""
        from mcap.records import Schema

        if not form.schema_name:
            return 0
        key = (form.schema_name, form.schema)
        if key not in self._schema_ids:
            number = self._schema_ids[key] = len(self._schema_ids) + 1
            schema = Schema(number, form.schema, form.schema_encoding, form.schema_name)
            self.schemas[number] = schema
            self.chunk.data += bytes_of(schema)
        return self._schema_ids[key]
