"""How the messages of a channel are stored, and how their payloads are made again.

| form | payloads | in the file |
|---|---|---|
| ``cdr`` | declared messages whose type is described | CDR, ROS 2 schema |
| ``json`` | dicts | JSON, JSON schema |
| ``value`` | other plain messages | JSON ``{"value": ...}``, JSON schema |
| ``array`` | numpy arrays | CDR of ``dtype``, ``shape``, ``data`` |
| ``drawn`` | types of `horus.msgs` that viewers draw | as ROS has them, CDR: `drawing` |
| ``framed`` | declared messages with an array | CDR, ROS 2 schema; the array comes last, likewise |
| ``raw`` | what the others would not give back to the last byte | the payload itself |

A channel is one publisher's messages of one form; its metadata says which, so that a file is
replayed as it was.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from horus_plugins.recording import cdr, drawing, plain
from horus_plugins.recording.errors import RecordingError, Unfit

from horus.bus import layout as L
from horus.bus.raw import join_frame, split_frame

if TYPE_CHECKING:
    from horus.message import MessageSpec

#: Begins the keys of our metadata.
PREFIX = "horus."
_ARRAY_TEXT = "# a numpy array\nstring dtype\nuint64[] shape\nuint8[] data  # elements in C order\n"


@dataclass(frozen=True)
class Form:
    """How a channel's messages are stored."""

    name: str
    message_encoding: str = "horus"
    schema_name: str = ""
    schema_encoding: str = ""
    schema: bytes = b""


def raw_form() -> Form:
    """Return the form of payloads as they are."""
    return Form("raw")


def array_form() -> Form:
    """Return the form of numpy arrays."""
    return Form("array", "cdr", f"{cdr.PACKAGE}/msg/Array", "ros2msg", _ARRAY_TEXT.encode())


def plain_form(topic: str, value: Any) -> Form:
    """Return the form of plain messages, described by the first of them."""
    wrapped = not isinstance(value, dict)
    title = f"{topic} (plain message)"
    text = plain.schema(value, title, wrapped=wrapped)
    return Form("value" if wrapped else "json", "json", title, "jsonschema", text)


def declared_form(spec: MessageSpec) -> Form:
    """Return the form of a declared type, which may have an array."""
    from horus.message.docs import field_docs

    text = cdr.schema_text(spec, field_docs(spec.cls))
    name = "cdr" if spec.frame is None else "framed"
    return Form(name, "cdr", cdr.schema_name(spec.name), "ros2msg", text.encode())


def drawn_form(spec: MessageSpec) -> Form:
    """Return the form of a type that viewers draw."""
    from horus.message.docs import field_docs

    text = drawing.schema_text(spec, field_docs(spec.cls))
    return Form("drawn", "cdr", drawing.schema_name(spec), "ros2msg", text.encode())


def encoder(spec: MessageSpec) -> Callable[[bytes | bytearray], bytes]:
    """Return what makes the CDR of a declared type's payload; `Unfit` when bytes would be lost."""
    coder = cdr.Cdr(spec)
    if spec.frame is None:
        return coder.encode

    def encode(payload: bytes | bytearray) -> bytes:
        rest, array = _split(payload)
        return encode_array(array, coder.encode(rest))

    return encode


def _split(payload: bytes | bytearray) -> tuple[bytes, memoryview]:
    try:
        rest, array = split_frame(payload)
    except ValueError:
        raise Unfit from None
    if join_frame(rest, b"") != bytes(payload[: len(payload) - len(array)]):
        raise Unfit
    return rest, array


def encode_array(payload: bytes | bytearray | memoryview, before: bytes = cdr.HEADER) -> bytes:
    """Return the CDR of an array's payload, after what comes before it in the same message.

    `Unfit` when bytes would be lost.
    """
    shape, text, data = cdr.split_array(payload)
    out = bytearray(before)
    out += bytes(-(len(out) - 4) % 4) + struct.pack("<I", len(text) + 1) + text + b"\0"
    out += bytes(-(len(out) - 4) % 4) + struct.pack("<I", len(shape) // 8)
    if shape:
        out += bytes(-(len(out) - 4) % 8) + shape
    out += struct.pack("<I", len(data))
    return b"".join((out, data))


def decode_array(data: bytes, start: int = len(cdr.HEADER)) -> bytes:
    """Return the payload that was encoded."""
    body = memoryview(data)[4:]
    shape, text, end = cdr.read_head(body, start - 4)
    return cdr.array_head(shape, text) + bytes(body[end + 4 :])


def metadata(
    form: Form, publisher: int, kind: int, type_hash: int, type_name: str, spec: MessageSpec | None
) -> dict[str, str]:
    """Return what a channel's metadata says, from which `Stored` is made again."""
    found = {"form": form.name, "publisher": f"{publisher:016x}", "kind": str(kind)}
    if type_hash:
        found |= {"hash": f"{type_hash:016x}", "type": type_name}
    if spec is not None:
        from horus.message.schema import schema_of

        found["schema"] = schema_of(spec).to_json()
    return {PREFIX + key: value for key, value in found.items()}


class Stored:
    """A channel of a file: whose messages, and how their payloads are made again."""

    def __init__(self, topic: str, about: Mapping[str, str]) -> None:
        self.topic = topic
        try:
            self.form = about[f"{PREFIX}form"]
            self.publisher = int(about[f"{PREFIX}publisher"], 16)
            self.kind = int(about[f"{PREFIX}kind"])
            self.type_hash = int(about.get(f"{PREFIX}hash", "0"), 16)
            self.type_name = about.get(f"{PREFIX}type", "")
            self.schema = _schema(about.get(f"{PREFIX}schema", ""))
        except (KeyError, ValueError) as error:
            text = f"topic {topic!r}: its channel was not recorded by horus record ({error})"
            raise RecordingError(text) from None

    @property
    def shown_type(self) -> str:
        """Return the type for people."""
        words = {L.KIND_MSGPACK: "plain", L.KIND_ARRAY: "array"}
        return self.type_name or words.get(self.kind, f"kind {self.kind}")

    def spec(self) -> MessageSpec | None:
        """Return the layout of the declared type, if the file describes it."""
        if self.schema is None:
            return None
        from horus.message import spec_of

        return spec_of(self.schema.make_class())

    def decoder(self) -> Callable[[bytes], bytes]:
        """Return what makes a payload of a stored message."""
        if self.form in ("cdr", "framed", "drawn"):
            spec = self.spec()
            if spec is None:
                raise RecordingError(f"topic {self.topic!r}: the file does not describe its type")
            if self.form == "drawn":
                return drawing.decoder(spec)
            coder = cdr.Cdr(spec)
            return coder.decode if self.form == "cdr" else lambda data: _whole(coder, data)
        known: dict[str, Callable[[bytes], bytes]] = {
            "json": lambda data: plain.decode(data, wrapped=False),
            "value": lambda data: plain.decode(data, wrapped=True),
            "array": decode_array,
            "raw": bytes,
        }
        if self.form not in known:
            text = f"topic {self.topic!r}: stored in a form that this HORUS does not know"
            raise RecordingError(f"{text} ({self.form}): use a newer one")
        return known[self.form]


def _whole(coder: cdr.Cdr, data: bytes) -> bytes:
    """Return the payload of a declared message with its array."""
    rest, end = coder.decode_part(data)
    return join_frame(rest, decode_array(data, end))


def _schema(text: str) -> Any:
    if not text:
        return None
    from horus.message.schema import Schema, SchemaError

    try:
        return Schema.from_json(text)
    except SchemaError as error:
        raise ValueError(str(error)) from None
