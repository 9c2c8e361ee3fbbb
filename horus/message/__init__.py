"""Message types: an annotated class becomes a dataclass with a fixed layout in shared memory.

    from horus.message import EMPTY, Array, Float32, Float32Array, Str, UInt8, VarArray, message

    @message
    class Wheel:
        name: Annotated[str, Str(32)] = ""
        velocity: float = 0.0  # rad/s
        gear: UInt8 = 0
        axis: tuple[float, float, float] = (0.0, 1.0, 0.0)
        inertia: Annotated[tuple[float, ...], Array("f8", 9)] = (0.0,) * 9
        ticks: Annotated[Float32Array, VarArray("f4", 256)] = EMPTY

One field may be an `AnyArray`, such as an image's pixels: it is an array of any shape and lies in
shared memory by itself, where readers look at it.

A message is made, compared, printed and completed in an editor like any dataclass. Its bytes are
those of the little-endian C struct with the same fields, rounded up to a multiple of 8.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import field
    from typing import overload

    from typing_extensions import dataclass_transform

    from horus.message.annotations import (
        EMPTY,
        AnyArray,
        Array,
        BoolArray,
        Float32,
        Float32Array,
        Float64,
        Float64Array,
        Int8,
        Int8Array,
        Int16,
        Int16Array,
        Int32,
        Int32Array,
        Int64,
        Int64Array,
        Str,
        UInt8,
        UInt8Array,
        UInt16,
        UInt16Array,
        UInt32,
        UInt32Array,
        UInt64,
        UInt64Array,
        VarArray,
    )
    from horus.message.declaring import clip_text, spec_for_hash, spec_of
    from horus.message.layout import FieldSpec, MessageSpec


__all__ = [
    "EMPTY",
    "AnyArray",
    "Array",
    "BoolArray",
    "FieldSpec",
    "Float32",
    "Float32Array",
    "Float64",
    "Float64Array",
    "Int8",
    "Int8Array",
    "Int16",
    "Int16Array",
    "Int32",
    "Int32Array",
    "Int64",
    "Int64Array",
    "MessageSpec",
    "Str",
    "UInt8",
    "UInt8Array",
    "UInt16",
    "UInt16Array",
    "UInt32",
    "UInt32Array",
    "UInt64",
    "UInt64Array",
    "VarArray",
    "clip_text",
    "message",
    "spec_for_hash",
    "spec_of",
]

T = TypeVar("T")

if TYPE_CHECKING:

    @overload
    @dataclass_transform(field_specifiers=(field,))
    def message(cls: type[T], /) -> type[T]: ...
    @overload
    def message(*, name: str | None = None) -> Callable[[type[T]], type[T]]: ...


def message(cls: type[T] | None = None, /, *, name: str | None = None) -> Any:
    """Turn an annotated class into a message type: ``@message`` or ``@message(name="...")``.

    The class becomes a dataclass with slots. Two messages are equal when they hold the same
    values, NaN included. ``name`` (the class's name unless given) and the layout together
    identify the type on a topic, so that both ends may define it in modules of their own.
    A field that cannot be laid out in memory is a `MessageTypeError`.
    """
    from horus.message.declaring import declare

    def decorate(cls: type[T]) -> type[T]:
        return declare(cls, name, sys._getframe(1).f_locals)

    if cls is None:
        return decorate
    if not isinstance(cls, type):
        from horus.errors import MessageTypeError

        raise MessageTypeError(
            f"@message goes before a class, got {cls!r}; a name is given as @message(name=...)"
        )
    return declare(cls, name, sys._getframe(1).f_locals)


_AT = {
    "FieldSpec": "layout",
    "MessageSpec": "layout",
    "clip_text": "declaring",
    "spec_for_hash": "declaring",
    "spec_of": "declaring",
}


def _load(name: str) -> Any:
    """Import at its first use what only programs with message types of their own need."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_AT.get(name, 'annotations')}"), name)
    globals()[name] = value
    return value


if not TYPE_CHECKING:  # a type checker would take every name for one of ours
    __getattr__ = _load
