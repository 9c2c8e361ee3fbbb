"""A message type as plain JSON, for programs that have not imported its class.

    {"horus_schema": 1, "name": "Wheel", "size": 8, "hash": "9f86d081884c7d65",
     "fields": [{"name": "velocity", "kind": "scalar", "code": "f8", "count": 1,
                 "unit": "rad/s", "doc": ""}]}

The hash of a type is that of its name and layout, so a text is checked against itself: offsets
are laid out anew, and what does not give the hash that it names is refused. Nothing in it is code.
"""

from __future__ import annotations

import json
import keyword
from dataclasses import dataclass, field
from typing import Annotated, Any

from horus.errors import MessageTypeError
from horus.message.annotations import (
    BASES,
    EMPTY,
    FRAME_CODE,
    SIZES,
    AnyArray,
    Array,
    Scalar,
    Str,
    VarArray,
)
from horus.message.docs import FieldDoc, field_docs
from horus.message.layout import MessageSpec, frame_of, lay_out, layout_hash

__all__ = ["Schema", "SchemaError", "schema_of"]

VERSION = 1
#: Longest text (bytes), most fields and largest message that are believed.
MAX_TEXT, MAX_FIELDS, MAX_SIZE = 1 << 20, 4096, 256 * 1024 * 1024
_KINDS = ("scalar", "array", "vararray", "str", "frame")


class SchemaError(MessageTypeError):
    """A text is no description of a message type."""


@dataclass(frozen=True)
class Schema:
    """A message type without its class: its name, its fields and what they mean."""

    name: str
    hash: int
    size: int
    #: ``(name, kind, code, count)`` of each field, as `FieldSpec` has them.
    shapes: tuple[tuple[str, Any, str, int], ...]
    #: What is known about the meaning of a field, by its name.
    docs: dict[str, FieldDoc] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the text for others."""
        fields = []
        for name, kind, code, count in self.shapes:
            about = {"name": name, "kind": kind, "code": code, "count": count}
            if doc := self.docs.get(name):
                about |= {"unit": doc.unit, "doc": doc.text}
            fields.append(about)
        found = {"horus_schema": VERSION, "name": self.name, "size": self.size}
        return json.dumps(found | {"hash": f"{self.hash:016x}", "fields": fields})

    @classmethod
    def from_json(cls, text: str | bytes) -> Schema:
        """Return what a text describes; a `SchemaError` says what is wrong with it."""
        try:
            return cls._checked(text)
        except SchemaError:
            raise
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
            raise SchemaError(f"not a message schema: {type(error).__name__}: {error}") from None

    @classmethod
    def _checked(cls, text: str | bytes) -> Schema:
        if len(text) > MAX_TEXT:
            raise SchemaError(f"not a message schema: it has {len(text)} characters")
        found = json.loads(text)
        if not isinstance(found, dict) or found.get("horus_schema") != VERSION:
            raise SchemaError(f"not a message schema of version {VERSION}")
        name, rows = found["name"], found["fields"]
        if not isinstance(name, str) or not isinstance(rows, list) or len(rows) > MAX_FIELDS:
            raise SchemaError("not a message schema: its name or its fields cannot be")
        shapes = tuple(_shape(row) for row in rows)
        if len({shape[0] for shape in shapes}) < len(shapes):
            raise SchemaError(f"schema of {name!r}: a field is there twice")
        placed, size = lay_out(shapes)
        hash = layout_hash(name, size, placed, frame_of(shapes))
        if size > MAX_SIZE or (size, f"{hash:016x}") != (found["size"], found["hash"]):
            raise SchemaError(f"schema of {name!r}: its fields do not give its hash and size")
        docs = {row["name"]: _doc(row) for row in rows if "unit" in row or "doc" in row}
        return cls(name, hash, size, shapes, docs)

    def make_class(self) -> type[Any]:
        """Declare a class of this type in this process; messages of it look as the original's do.

        From then on `spec_for_hash` knows the hash, unless a class was declared with it before.
        """
        from horus.message import message, spec_for_hash

        if spec := spec_for_hash(self.hash):
            return spec.cls
        annotations: dict[str, Any] = {}
        members: dict[str, Any] = {"__annotations__": annotations, "__module__": __name__}
        for name, kind, code, count in self.shapes:
            annotations[name] = _annotation(kind, code, count)
            members[name] = _default(kind, code, count)
        title = self.name.rpartition(".")[2].rpartition(":")[2] or self.name
        made: type[Any] = message(name=self.name)(type(title, (), members))
        made.__doc__ = f"{self.name}, as its publisher describes it."
        return made


def schema_of(spec: MessageSpec) -> Schema:
    """Return the description of a message class, with what its source says about the fields."""
    return Schema(spec.name, spec.hash, spec.size, spec.shapes, field_docs(spec.cls))


def _shape(row: Any) -> tuple[str, Any, str, int]:
    name, kind, code, count = row["name"], row["kind"], row["code"], row["count"]
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise SchemaError(f"not a message schema: {str(name)[:40]!r} cannot be a field's name")
    if name.startswith("__") or kind not in _KINDS or code not in (*SIZES, FRAME_CODE):
        raise SchemaError(f"not a message schema: field {name[:40]!r} cannot be")
    if (
        type(count) is not int
        or not 0 < count < 2**31
        or (kind in ("scalar", "frame") and count != 1)
    ):
        raise SchemaError(f"not a message schema: field {name[:40]!r} cannot be so long")
    if (kind == "str", kind == "frame") != (code == "S", code == FRAME_CODE):
        raise SchemaError(f"not a message schema: field {name[:40]!r} has an unknown element")
    return name, kind, code, count


def _doc(row: Any) -> FieldDoc:
    return FieldDoc(str(row.get("unit", ""))[:64], str(row.get("doc", ""))[:2000])


def _annotation(kind: str, code: Any, count: int) -> Any:
    if kind == "frame":
        return AnyArray
    if kind == "str":
        return Annotated[str, Str(count)]
    if kind == "vararray":
        return Annotated[Any, VarArray(code, count)]
    if kind == "array":
        return Annotated[tuple.__class_getitem__((BASES[code], ...)), Array(code, count)]
    return Annotated[BASES[code], Scalar(code)]


def _default(kind: str, code: str, count: int) -> Any:
    if kind == "str":
        return ""
    if kind in ("vararray", "frame"):
        return EMPTY
    zero = BASES[code](0)
    return field(default_factory=lambda: (zero,) * count) if kind == "array" else zero
