"""What a message class says about its fields: units and meanings, read from its source.

A field may be followed by a comment, ``# rad/s``, or by a docstring, ``N·m: at the shaft.``; an
annotation may tell the unit, ``Annotated[float, "1/s"]``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple, get_origin

__all__ = ["FieldDoc", "field_docs"]

#: A unit is one word, such as ``rad/s`` or ``µT``, or two such as ``m/s² per V``.
_UNIT = re.compile(r"[^\s:]{1,16}(?: [^\s:]{1,12}){0,2}")
_NO_UNIT = ("no unit", "count")


class FieldDoc(NamedTuple):
    """The unit of a field, "" if it has none, and what it means."""

    unit: str = ""
    text: str = ""


def field_docs(cls: type) -> dict[str, FieldDoc]:
    """Return what is said about the fields of a class and its bases; nothing where no source is."""
    found: dict[str, FieldDoc] = {}
    for base in reversed(cls.__mro__):
        found |= _of(base)
    return found


@lru_cache(maxsize=64)
def _of(cls: type) -> dict[str, FieldDoc]:
    import ast
    import inspect
    import textwrap

    found: dict[str, FieldDoc] = {}
    annotations = inspect.get_annotations(cls)
    if not annotations:
        return found
    for name, annotation in annotations.items():
        for item in getattr(annotation, "__metadata__", ()):
            if isinstance(item, str) and get_origin(annotation) is not None:
                found[name] = FieldDoc(item)
    try:
        source = textwrap.dedent(inspect.getsource(cls))
        (tree,) = ast.parse(source).body
    except (OSError, TypeError, SyntaxError, ValueError, IndentationError):
        return found
    lines = source.splitlines()
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    for node, after in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        text = ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            text = str(after.value.value)
        elif node.end_lineno is not None:
            rest = lines[node.end_lineno - 1].encode()[node.end_col_offset or 0 :].decode()
            text = rest.lstrip().removeprefix("#") if rest.lstrip().startswith("#") else ""
        if text.strip():
            found[node.target.id] = _split(" ".join(text.split()), found.get(node.target.id))
    return found


def _split(text: str, known: FieldDoc | None) -> FieldDoc:
    """Take ``unit: meaning`` apart; a short text alone is a unit."""
    head, colon, rest = text.partition(": ")
    if colon and head.lower() in _NO_UNIT:
        return FieldDoc("", rest)
    if _UNIT.fullmatch(head) and (colon or len(head) <= 12):
        return FieldDoc(head, rest)
    return FieldDoc(known.unit if known else "", text)
