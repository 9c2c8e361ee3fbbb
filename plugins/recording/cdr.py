"""Declared messages as CDR, with a ROS 2 schema: what Foxglove and other viewers decode by name.

CDR aligns as C does, so a message's bytes go over as they are up to its first text or array of
varying length; what follows is placed anew. Unused room and padding are zeros on the bus and are
not stored.
"""

from __future__ import annotations

import re
import struct
from struct import Struct
from typing import TYPE_CHECKING

from horus_plugins.recording.errors import Unfit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from horus.message import FieldSpec, MessageSpec
    from horus.message.docs import FieldDoc

#: Little-endian plain CDR.
HEADER = b"\0\1\0\0"
PACKAGE = "horus_msgs"
_SIZES = {"?": 1, "S": 1} | {f"{k}{n}": n for k in "iuf" for n in (1, 2, 4, 8)}
_NAMES = {"?": "bool", "f4": "float32", "f8": "float64"} | {
    f"{k}{n}": f"{'int' if k == 'i' else 'uint'}{8 * n}" for k in "iu" for n in (1, 2, 4, 8)
}
#: The same for `struct`.
STRUCT = {"?": "?", "f4": "f", "f8": "d"} | {
    f"{k}{n}": letter if k == "i" else letter.upper()
    for k in "iu"
    for n, letter in ((1, "b"), (2, "h"), (4, "i"), (8, "q"))
}
_COUNT = Struct("<I")
_HEAD = Struct("<BB6x")
#: How the dtype, the shape and the elements of an array are written.
ARRAY = ("string", "uint64[]", "uint8[]")


def schema_name(name: str) -> str:
    """Return the ROS 2 name of a type: ``horus_msgs/msg/Imu``."""
    words = re.findall(r"[A-Za-z0-9]+", name)
    title = "".join(word[:1].upper() + word[1:] for word in words)
    return f"{PACKAGE}/msg/{title if title[:1].isalpha() else f'T{title}'}"


def field_names(names: list[str]) -> list[str]:
    """Return names as ROS 2 allows them, each once: lower case, no underscores at the ends."""
    taken: set[str] = set()
    found = []
    for name in names:
        plain = re.sub(r"_+", "_", re.sub(r"[^a-z0-9_]", "_", name.lower())).strip("_")
        plain = plain if plain[:1].isalpha() else f"f{plain}"
        while plain in taken:
            plain += "x"
        taken.add(plain)
        found.append(plain)
    return found


def schema_text(
    spec: MessageSpec, docs: Mapping[str, FieldDoc], prefix: str = "", *, with_array: bool = True
) -> str:
    """Return the ROS 2 definition of a type, with units and meanings as comments."""
    lines = [f"# {spec.name}"]
    names = [prefix + field.name for field in spec.fields]
    if spec.frame is not None:
        names += [f"{spec.frame}_dtype", f"{spec.frame}_shape", spec.frame]
    shown = field_names(names)
    for field, name in zip(spec.fields, shown, strict=False):
        ending = {"array": f"[{field.count}]", "vararray": "[]"}.get(field.kind, "")
        kind = "string" if field.kind == "str" else _NAMES[field.code] + ending
        doc = docs.get(field.name)
        words = f"{doc.unit or 'no unit'}: {doc.text}" if doc and (doc.unit or doc.text) else ""
        comment = " ".join(words.split())
        lines.append(f"{kind} {name}{f'  # {comment}' if comment.isascii() and comment else ''}")
    if spec.frame is not None and with_array:  # as `formats.array_form` has it
        lines += [f"{kind} {name}" for kind, name in zip(ARRAY, shown[-3:], strict=True)]
    return "\n".join(lines) + "\n"


class Cdr:
    """Turns the payloads of one declared type into CDR and back."""

    def __init__(self, spec: MessageSpec) -> None:
        self.spec = spec
        fields = list(spec.fields)
        first = next((i for i, f in enumerate(fields) if f.kind in ("str", "vararray")), None)
        #: Bytes that are the same in both; the rest is placed field by field.
        self.same = spec.size if first is None else fields[first].offset
        self.rest: list[FieldSpec] = [] if first is None else fields[first:]
        if self.rest or spec.frame is not None:  # not the padding before what follows
            before = fields[:first]
            self.same = before[-1].end if before else 0

    def encode(self, payload: bytes | bytearray) -> bytes:
        """Return a payload as CDR; `Unfit` when some of its bytes would be lost."""
        if len(payload) != self.spec.size:
            raise Unfit
        if not self.rest:
            return HEADER + payload[: self.same]
        out = bytearray(HEADER)
        out += payload[: self.same]
        at = self.same
        for field in self.rest:
            if field.kind == "str":
                text = bytes(payload[field.offset : field.end]).rstrip(b"\0")
                if b"\0" in text:
                    raise Unfit
                at = _align(out, at, 4)
                out += _COUNT.pack(len(text) + 1) + text + b"\0"
                at += 5 + len(text)
                continue
            size = _SIZES[field.code]
            start, end = field.data_offset, field.end
            if field.kind == "vararray":
                (count,) = _COUNT.unpack_from(payload, field.offset)
                used = start + count * size
                if count > field.count or payload[used:end].strip(b"\0"):
                    raise Unfit
                at = _align(out, at, 4)
                out += _COUNT.pack(count)
                at, end = at + 4, used
            if end > start:
                at = _align(out, at, size)
                out += payload[start:end]
                at += end - start
        return bytes(out)

    def decode(self, data: bytes) -> bytes:
        """Return the payload that was encoded; a ValueError if it cannot be."""
        return self.decode_part(data)[0]

    def decode_part(self, data: bytes) -> tuple[bytes, int]:
        """Return the payload that was encoded, and where in the data it ends."""
        try:
            return self._decode(data)
        except struct.error:
            raise ValueError("it is cut short") from None

    def _decode(self, data: bytes) -> tuple[bytes, int]:
        if data[:4] != HEADER:
            raise ValueError("it is not little-endian CDR")
        body = memoryview(data)[4:]
        payload = bytearray(self.spec.size)
        if len(body) < self.same:
            raise ValueError("it is cut short")
        payload[: self.same] = body[: self.same]
        at = self.same
        for field in self.rest:
            if field.kind == "str":
                at += -at % 4
                (count,) = _COUNT.unpack_from(body, at)
                text = body[at + 4 : at + 3 + count]
                _put(payload, field.offset, text, count - 1, field.count)
                at += 4 + count
                continue
            size = _SIZES[field.code]
            count = field.count
            if field.kind == "vararray":
                at += -at % 4
                (count,) = _COUNT.unpack_from(body, at)
                _COUNT.pack_into(payload, field.offset, count)
                at += 4
            if count:
                at += -at % size
                part = body[at : at + count * size]
                _put(payload, field.data_offset, part, count * size, field.count * size)
                at += count * size
        return bytes(payload), 4 + at


def _align(out: bytearray, at: int, size: int) -> int:
    pad = -at % size
    out += bytes(pad)
    return at + pad


def _put(payload: bytearray, offset: int, part: memoryview, size: int, room: int) -> None:
    if len(part) != size or size > room:
        raise ValueError("it is cut short, or does not fit its type")
    payload[offset : offset + size] = part


def array_head(shape: bytes, text: bytes) -> bytes:
    """Return how an array's payload begins: its shape as u64s and its dtype, aligned to 16."""
    head = _HEAD.pack(len(text), len(shape) // 8) + shape + text
    return head + bytes(-len(head) % 16)


def split_array(payload: bytes | bytearray | memoryview) -> tuple[bytes, bytes, memoryview]:
    """Return an array's shape, its dtype and its bytes; `Unfit` when others would be lost."""
    try:
        text_size, dimensions = _HEAD.unpack_from(payload)
    except struct.error:
        raise Unfit from None
    shape = bytes(payload[8 : 8 + 8 * dimensions])
    text = bytes(payload[8 + 8 * dimensions :][:text_size])
    head = array_head(shape, text)
    if bytes(payload[: len(head)]) != head or not text.isascii() or b"\0" in text:
        raise Unfit
    return shape, text, memoryview(payload)[len(head) :]


def read_head(body: memoryview, at: int) -> tuple[bytes, bytes, int]:
    """Return the shape and the dtype of an array, and where they end."""
    try:
        at += -at % 4
        (size,) = _COUNT.unpack_from(body, at)
        text = bytes(body[at + 4 : at + 3 + size])
        at += 4 + size
        at += -at % 4
        (dimensions,) = _COUNT.unpack_from(body, at)
    except struct.error:
        raise ValueError("it is cut short") from None
    at += 4
    if dimensions:
        at += -at % 8
    return bytes(body[at : at + 8 * dimensions]), text, at + 8 * dimensions
