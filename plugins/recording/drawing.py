"""Pictures, clouds, scans, poses and positions as the ROS 2 types that viewers draw.

A message in the file is that of ROS, with its name and its fields first; behind them come our own
fields with ``horus_`` before their names, from which the payload is made again to the last byte. A
reader that goes by the schema in the file shows all of them; one that knows the type by name reads
the first part. Pixels and points are there once: the last two numbers say where in the message they
and our own fields begin.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from horus_plugins.recording import cdr
from horus_plugins.recording.errors import Unfit
from horus_plugins.recording.rostypes import DRAWN, PARTS, Array, Writer

from horus.bus.raw import join_frame, split_frame

if TYPE_CHECKING:
    from horus.message import MessageSpec
    from horus.message.docs import FieldDoc

PREFIX = "horus_"
_ENDS = struct.Struct("<II")


def drawn(spec: MessageSpec) -> bool:
    """Return whether a type is one that viewers draw: by name and by hash, ours and no other."""
    if spec.name not in DRAWN:
        return False
    import horus.msgs
    from horus.message import spec_of

    ours = spec_of(getattr(horus.msgs, spec.name))
    return ours is not None and ours.hash == spec.hash


def schema_name(spec: MessageSpec) -> str:
    """Return the name of the ROS 2 type."""
    return DRAWN[spec.name][0]


def schema_text(spec: MessageSpec, docs: Mapping[str, FieldDoc]) -> str:
    """Return the definition: that of ROS, our own fields, and the types that it is made of."""
    _, text, _ = DRAWN[spec.name]
    own = cdr.schema_text(spec, docs, PREFIX, with_array=False)
    lines = [f"# {spec.name} of HORUS; what begins with {PREFIX} gives back its bytes", text, own]
    if spec.frame is not None:
        lines.append(f"string {PREFIX}dtype\nuint64[] {PREFIX}shape")
    lines.append(f"uint32 {PREFIX}array_at\nuint32 {PREFIX}own_at")
    found: dict[str, None] = {}
    _parts(text, found)
    return (
        "\n".join(lines)
        + "\n"
        + "".join(f"{'=' * 80}\nMSG: {name}\n{PARTS[name]}\n" for name in found)
    )


def _parts(text: str, found: dict[str, None]) -> None:
    for line in text.splitlines():
        name = line.split()[0].removesuffix("[]")
        if name in PARTS and name not in found:
            found[name] = None
            _parts(PARTS[name], found)


def encoder(spec: MessageSpec) -> Callable[[bytes | bytearray], bytes]:
    """Return what makes a payload a message of ROS; `Unfit` where none can be made."""
    coder = cdr.Cdr(spec)
    _, _, draw = DRAWN[spec.name]

    def encode(payload: bytes | bytearray) -> bytes:
        array = None
        rest: bytes | bytearray = payload
        if spec.frame is not None:
            rest, array = _split(payload)
        own = coder.encode(rest)
        out = Writer()
        try:
            draw(out, _fields(spec, rest), array)
        except (struct.error, OverflowError, ValueError):
            raise Unfit from None
        out.align(8)
        own_at = out.at
        out.parts.append(own[len(cdr.HEADER) :])
        out.at += len(own) - len(cdr.HEADER)
        if array is not None:
            out.text(array.dtype.encode())
            out.numbers("Q", array.shape)
        out.put("II", out.array_at, own_at)
        return b"".join((cdr.HEADER, *out.parts))

    return encode


def decoder(spec: MessageSpec) -> Callable[[bytes], bytes]:
    """Return what makes the payload again; a `ValueError` when it cannot be made."""
    coder = cdr.Cdr(spec)

    def decode(data: bytes) -> bytes:
        body = memoryview(data)[len(cdr.HEADER) :]
        if len(body) < _ENDS.size:
            raise ValueError("it is cut short")
        array_at, own_at = _ENDS.unpack_from(body, len(body) - _ENDS.size)
        if (
            own_at % 8
            or own_at > len(body)
            or array_at > own_at
            or (spec.frame is not None and array_at < 4)
        ):
            raise ValueError("it is damaged")
        rest, end = coder.decode_part(cdr.HEADER + bytes(body[own_at:]))
        if spec.frame is None:
            return rest
        shape, text, _ = cdr.read_head(body, own_at + end - len(cdr.HEADER))
        (count,) = struct.unpack_from("<I", body, array_at - 4)
        head = cdr.array_head(shape, text)
        return join_frame(rest, b"".join((head, body[array_at : array_at + count])))

    return decode


def _split(payload: bytes | bytearray) -> tuple[bytes, Array]:
    """Return a frame's struct and its array, if they are as they are always written."""
    try:
        rest, whole = split_frame(payload)
    except ValueError:
        raise Unfit from None
    shape, text, data = cdr.split_array(whole)
    if join_frame(rest, b"") != bytes(payload[: len(payload) - len(whole)]):
        raise Unfit
    return rest, Array(text.decode(), struct.unpack(f"<{len(shape) // 8}Q", shape), data)


def _fields(spec: MessageSpec, payload: bytes | bytearray) -> dict[str, Any]:
    """Return the fields of a struct: numbers, texts as bytes, arrays as tuples."""
    found: dict[str, Any] = {}
    for field in spec.fields:
        if field.kind == "str":
            found[field.name] = bytes(payload[field.offset : field.end]).rstrip(b"\0")
            continue
        code = cdr.STRUCT[field.code]
        if field.kind == "scalar":
            (found[field.name],) = struct.unpack_from(f"<{code}", payload, field.offset)
            continue
        count = field.count
        if field.kind == "vararray":
            (count,) = struct.unpack_from("<I", payload, field.offset)
        found[field.name] = struct.unpack_from(f"<{count}{code}", payload, field.data_offset)
    return found
