"""The memory layout of a message type: where each field lies, and the number that identifies it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from horus.errors import MessageTypeError
from horus.message.annotations import SIZES, Kind

if TYPE_CHECKING:
    import numpy as np
    from typing_extensions import Buffer

NAME_LIMIT = 64
"""Bytes of UTF-8 that a type's name may have."""

_NAME = re.compile(r"[\w.:/-]+")


@dataclass(frozen=True)
class FieldSpec:
    """One field of a message: what it holds and where it lies.

    ``kind`` is ``scalar`` (one number), ``array`` (``count`` numbers), ``vararray`` (a u32 with
    the number of elements at ``offset``, then room for ``count`` elements at ``data_offset``)
    or ``str`` (``count`` bytes of UTF-8, filled up with NUL). ``code`` is the element: ``?``,
    ``i1``...``u8``, ``f4``, ``f8``, or ``S`` for text. Offsets are bytes from the message's start.
    """

    name: str
    kind: Kind
    code: str
    offset: int
    count: int
    data_offset: int

    @property
    def end(self) -> int:
        """The offset of the first byte after the field."""
        return self.data_offset + self.count * SIZES[self.code]


def _aligned(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment


def lay_out(shapes: Iterable[tuple[str, Kind, str, int]]) -> tuple[tuple[FieldSpec, ...], int]:
    """Place fields as a C compiler does; return them and the total size, a multiple of 8.

    A frame has no place among them.
    """
    fields: list[FieldSpec] = []
    end = 0
    for name, kind, code, count in shapes:
        if kind == "frame":
            continue  # it lies elsewhere
        offset = data = _aligned(end, 4 if kind == "vararray" else SIZES[code])
        if kind == "vararray":
            data = _aligned(offset + 4, SIZES[code])
        fields.append(FieldSpec(name, kind, code, offset, count, data))
        end = fields[-1].end
    return tuple(fields), max(8, _aligned(end, 8))


def frame_of(shapes: Iterable[tuple[str, Kind, str, int]]) -> str | None:
    """Return the name of the field that is a frame, or None; a ValueError if there are several."""
    names = [name for name, kind, _, _ in shapes if kind == "frame"]
    if len(names) > 1:
        raise ValueError(f"{' and '.join(names)} are AnyArray, and only one may be")
    return names[0] if names else None


def layout_text(name: str, size: int, fields: Iterable[FieldSpec], frame: str | None) -> str:
    """Return a type's name, its size, every field and the frame, a line each."""
    rows = [f"{name} {size}"]
    rows += [f"{f.name} {f.kind} {f.code} {f.count} {f.offset} {f.data_offset}" for f in fields]
    rows += [f"{frame} frame"] if frame else []
    return "\n".join(rows)


def layout_hash(name: str, size: int, fields: Iterable[FieldSpec], frame: str | None) -> int:
    """Return the number that identifies a type; it is never 0."""
    digest = blake2b(layout_text(name, size, fields, frame).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


class MessageSpec:
    """The layout of one message class, found as ``cls.__horus_spec__``.

    ``hash`` identifies name and layout together and is never 0: two ends of a topic with the
    same hash understand each other's bytes.
    """

    def __init__(self, cls: type, name: str, shapes: Iterable[tuple[str, Kind, str, int]]) -> None:
        if not _NAME.fullmatch(name) or len(name.encode()) > NAME_LIMIT:
            raise MessageTypeError(
                f"message {cls.__qualname__}: the name {name!r} cannot be used: "
                f"up to {NAME_LIMIT} letters, digits and _ . : / - are allowed; "
                'give another with @message(name="...")'
            )
        self.cls: type[Any] = cls
        self.name = name
        #: ``(name, kind, code, count)`` of every field in order, the frame among them.
        self.shapes = tuple(shapes)
        #: The name of the `AnyArray` field, or None. It is not in `fields`: it has no place there.
        try:
            self.frame = frame_of(self.shapes)
        except ValueError as error:
            raise MessageTypeError(f"message {cls.__qualname__}: {error}") from None
        self.fields, self.size = lay_out(self.shapes)
        self.sequences = tuple(f for f in self.fields if f.kind in ("array", "vararray"))
        self.hash = layout_hash(name, self.size, self.fields, self.frame)

    def __repr__(self) -> str:
        return f"<MessageSpec {self.name} {self.size} bytes {self.hash:#018x}>"

    def layout_text(self) -> str:
        """Return the text that `hash` is taken of: the name, the size, and every field."""
        return layout_text(self.name, self.size, self.fields, self.frame)

    @property
    def needs_numpy(self) -> bool:
        """Whether messages have arrays of a varying size, which are numpy's."""
        return any(kind in ("vararray", "frame") for _, kind, _, _ in self.shapes)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all fields, the frame's among them, as the class has them."""
        return tuple(shape[0] for shape in self.shapes)

    def unpack(self, data: Buffer, array: Any) -> Any:
        """Return the message of a struct's bytes and a frame; a ``ValueError`` as `unpack_from`."""
        message = self.unpack_from(data, 0)
        assert self.frame is not None
        setattr(message, self.frame, array)
        return message

    def used_size(self, message: object) -> int:
        """Return how many bytes of `size` a message needs, at present all of them."""
        return self.size

    @cached_property
    def pack_into(self) -> Callable[[Buffer, int, object], None]:
        """The function ``(buffer, offset, message)`` that writes a message, compiled once.

        It raises `MessageTypeError` naming the field that does not fit; the bytes are then
        undefined. Padding and unused elements are written as zeros.
        """
        from horus.message.packing import compile_pack

        return compile_pack(self)

    @cached_property
    def unpack_from(self) -> Callable[[Buffer, int], Any]:
        """The function ``(buffer, offset) -> message`` that reads a message, compiled once.

        Whatever the bytes are, it gives a message or raises ``ValueError`` naming the field.
        ``__init__`` and ``__post_init__`` are not called; nothing refers to the buffer afterwards.
        A frame is not in these bytes and comes out empty; see `unpack`.
        """
        from horus.message.packing import compile_unpack

        return compile_unpack(self)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The same layout as a numpy type; a `VarArray` field is ``<name>_count`` and ``<name>``.

        `numpy.frombuffer` with it turns a recording into columns without reading it in Python.
        """
        import numpy as np

        names, formats, offsets = [], [], []
        for f in self.fields:
            code = f.code if f.code == "?" else f"<{f.code}"
            if f.kind == "vararray":
                names.append(f"{f.name}_count")
                formats.append("<u4")
                offsets.append(f.offset)
            names.append(f.name)
            offsets.append(f.data_offset)
            if f.kind == "str":
                formats.append(f"S{f.count}")
            else:
                formats.append(code if f.kind == "scalar" else f"({f.count},){code}")
        layout = {"names": names, "formats": formats, "offsets": offsets, "itemsize": self.size}
        return np.dtype(layout)  # type: ignore[call-overload,no-any-return]
