"""Messages to bytes and back in pure Python.

Each class gets one `struct.Struct` and two small functions, written out as source and compiled at
first use, as `dataclasses` does for ``__init__``: reading attributes by name in straight code costs
about half of what a loop over the fields does.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from struct import error as StructError
from typing import TYPE_CHECKING, Any

from horus.message.annotations import EMPTY
from horus.message.values import (
    STRUCT_CODES,
    boolean,
    booleans,
    explain,
    fixed,
    framed,
    numpy_code,
    varying,
)

if TYPE_CHECKING:
    from horus.message.layout import MessageSpec


def _format(spec: MessageSpec, *, arrays: bool) -> Struct:
    """Return the layout for `struct`, with the elements of arrays or just their bytes.

    Whatever is not named, such as the room of a `VarArray`, is padding.
    """
    parts, at = ["<"], 0
    for f in spec.fields:
        parts.append(f"{f.offset - at}x")
        if f.kind == "vararray":
            parts.append(f"I{f.end - f.offset - 4}x")
        elif f.kind == "array" and not arrays:
            parts.append(f"{f.end - f.offset}s")
        else:
            parts.append(f"{'' if f.kind == 'scalar' else f.count}{STRUCT_CODES[f.code]}")
        at = f.end
    parts.append(f"{spec.size - at}x")
    return Struct("".join(p for p in parts if p != "0x"))


def _compile(name: str, lines: list[str], names: dict[str, Any], spec: MessageSpec) -> Any:
    exec(compile("\n".join(lines), f"<{name} of {spec.name}>", "exec"), names)
    return names[name]


def compile_pack(spec: MessageSpec) -> Callable[[Any, int, object], None]:
    """Return ``pack_into(buffer, offset, message)`` for one class."""
    body: list[str] = []
    arguments: list[str] = []
    elements: list[str] = []
    for i, f in enumerate(spec.fields):
        value, attribute = f"v{i}", f"message.{f.name}"
        argument = value
        if f.kind == "scalar" and f.code != "?":
            argument = attribute
        elif f.kind == "scalar":
            body.append(f"{value} = {attribute}")
            body.append(f"if {value}.__class__ is not bool: {value} = boolean({value})")
        elif f.kind == "str":
            body.append(f"{value} = {attribute}.encode()")
            body.append(f"if len({value}) > {f.count} or 0 in {value}: raise ValueError")
        elif f.kind == "array" and f.code == "?":
            argument = f"*{value}"
            body.append(f"{value} = booleans({attribute}, {f.count})")
        elif f.kind == "array":
            argument = f"*{value}"
            body.append(f"{value} = {attribute}")
            body.append(f"if {value}.__class__ is not tuple or len({value}) != {f.count}:")
            body.append(f"    {value} = fixed({value}, {f.count})")
        else:
            argument = f"len({value})"
            fits = f"{value}.dtype == dtype{i} and {value}.ndim == 1 and len({value}) <= {f.count}"
            body.append(f"{value} = {attribute}")
            body.append(f"if {value}.__class__ is not ndarray or not ({fits}):")
            body.append(f"    {value} = varying({value}, {f.code!r}, {f.count})")
            elements.append(f"if len({value}):")
            elements.append(f"    start = offset + {f.data_offset}")
            elements.append(f"    buffer[start:start + {value}.nbytes] = {value}.tobytes()")
        arguments.append(argument)
    body.append(f"pack(buffer, offset, {', '.join(arguments)})")
    lines = ["def pack_into(buffer, offset, message):", "    try:"]
    lines += [f"        {line}" for line in body + elements]
    lines += ["    except Exception as error:"]
    lines += ["        raise explain(spec, message, error) from None"]
    names = _numpy_names(spec) | {"pack": _format(spec, arrays=True).pack_into}
    names |= {"spec": spec, "explain": explain}
    names |= {f.__name__: f for f in (boolean, booleans, fixed, varying)}
    return _compile("pack_into", lines, names, spec)  # type: ignore[no-any-return]


def decoded(data: bytes, label: str) -> str:
    """Return NUL-padded UTF-8 as a text; what follows the first NUL is not looked at."""
    try:
        return data.partition(b"\0")[0].decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{label}: not UTF-8: {error.reason} at byte {error.start}") from None


def too_many(label: str, count: int, limit: int) -> ValueError:
    """Return the error for a count that cannot be."""
    return ValueError(f"{label}: {count} elements, but there is room for {limit}")


def _numpy_names(spec: MessageSpec) -> dict[str, Any]:
    """Return what the code of a class with `VarArray` fields needs, and import numpy only then."""
    varying = [(i, f) for i, f in enumerate(spec.fields) if f.kind == "vararray"]
    if not varying:
        return {}
    import numpy as np

    names: dict[str, Any] = {f"dtype{i}": np.dtype(numpy_code(f.code)) for i, f in varying}
    return names | {"ndarray": np.ndarray, "frombuffer": np.frombuffer, "uint8": np.dtype("u1")}


def compile_unpack(spec: MessageSpec) -> Callable[[Any, int], Any]:
    """Return ``unpack_from(buffer, offset) -> message`` for one class."""
    names = _numpy_names(spec) | {"unpack": _format(spec, arrays=False).unpack_from}
    names |= {"new": object.__new__, "cls": spec.cls}
    names |= {"StructError": StructError, "decoded": decoded, "too_many": too_many}
    targets: list[str] = []
    after: list[str] = []
    for i, f in enumerate(spec.fields):
        value, attribute, label = f"v{i}", f"message.{f.name}", f"{spec.cls.__name__}.{f.name}"
        if f.kind == "scalar":
            targets.append(attribute)
        elif f.kind == "array":
            targets.append(value)
            after.append(f"{attribute} = elements{i}({value})")
            names[f"elements{i}"] = Struct(f"<{f.count}{STRUCT_CODES[f.code]}").unpack
        elif f.kind == "str":
            targets.append(value)
            after.append(f"{attribute} = decoded({value}, {label!r})")
        else:
            targets.append(value)
            after.append(f"if {value} > {f.count}: raise too_many({label!r}, {value}, {f.count})")
            place = f"{value}, offset + {f.data_offset}"
            if f.code == "?":  # a numpy bool must be 0 or 1, and any byte may be there
                after.append(f"{attribute} = frombuffer(buffer, uint8, {place}) != 0")
            else:
                after.append(f"{attribute} = frombuffer(buffer, dtype{i}, {place}).copy()")
    if spec.frame is not None:
        names["nothing"] = framed(EMPTY)
        after.append(f"message.{spec.frame} = nothing")
    lines = ["def unpack_from(buffer, offset):", "    message = new(cls)", "    try:"]
    if targets:
        lines += [f"        {', '.join(targets)}, = unpack(buffer, offset)"]
    else:
        lines += ["        unpack(buffer, offset)"]
    lines += ["    except StructError as error:"]
    lines += [f"        raise ValueError(f'{spec.name}: {{error}}') from None"]
    lines += [f"    {line}" for line in [*after, "return message"]]
    return _compile("unpack_from", lines, names, spec)  # type: ignore[no-any-return]
