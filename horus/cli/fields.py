"""Messages as people and as programs read them: short where they are long, with their units."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

#: Elements of a sequence, and characters of a text, that are shown of a long one.
SHORT, SHORT_TEXT = 8, 200


def plain(value: Any, *, full: bool = False) -> Any:
    """Return a message as JSON has it: messages as objects, NaN as null, bytes in hex.

    What is long is cut, unless ``full``: the last element then says how much more there is.
    """
    from horus.bus.schemas import as_dict

    value = as_dict(value)
    if hasattr(value, "dtype"):
        return _array(value, full)
    if isinstance(value, float):
        return value if math.isfinite(value) else None if value != value else str(value)
    if isinstance(value, (bytes, bytearray)):
        return _cut(value.hex(), full)
    if isinstance(value, str):
        return _cut(value, full)
    if isinstance(value, dict):
        return {str(key): plain(item, full=full) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        some = value if full or len(value) <= 2 * SHORT else value[:SHORT]
        return [plain(item, full=full) for item in some] + _more(len(value) - len(some))
    return value


def _array(value: Any, full: bool) -> Any:
    if value.ndim == 0:
        return plain(value.item(), full=full)
    if full or value.size <= 2 * SHORT:
        return plain(value.tolist(), full=True)
    flat = value.reshape(-1)[:SHORT].tolist()
    shape = "" if value.ndim == 1 else f", shape {'×'.join(map(str, value.shape))}"
    return [*plain(flat), f"... {value.size - SHORT} more{shape}"]


def _cut(text: str, full: bool) -> str:
    over = len(text) - SHORT_TEXT
    return text if full or over <= 0 else f"{text[:SHORT_TEXT]}... {over} more"


def _more(count: int) -> list[str]:
    return [f"... {count} more"] if count else []


def at(message: Any, path: str) -> Any:
    """Return a field of a message, such as ``pose.x`` or ``ranges.3``; a ValueError if none is."""
    from horus.bus.schemas import as_dict
    from horus.errors import did_you_mean

    for number, word in enumerate(path.split(".")):
        message = as_dict(message)
        known: list[str] = []
        if isinstance(message, dict):
            known = [str(key) for key in message]
            found = [item for key, item in message.items() if str(key) == word]
        elif hasattr(message, "__getitem__") and not isinstance(message, (str, bytes)):
            index = int(word) if word.isdecimal() else -1
            found = [message[index]] if 0 <= index < len(message) else []
            known = [f"0 to {len(message) - 1}"] if len(message) else []
        else:
            found = []
        if not found:
            where = ".".join(path.split(".")[:number]) or "the message"
            near = did_you_mean(word, known) or f"; it has {', '.join(known) or 'no fields'}"
            raise ValueError(f"no field {word!r} in {where}{near}")
        message = found[0]
    return message


def units(message: Any, folder: Path) -> dict[str, str]:
    """Return the units of a declared message's fields, as far as they are known."""
    from horus.bus import schemas
    from horus.errors import HorusError
    from horus.message.docs import field_docs

    spec = getattr(type(message), "__horus_spec__", None)
    if spec is None:
        return {}
    try:
        schema = schemas.schema_for(folder, spec.hash)
    except HorusError:
        schema = None
    docs = schema.docs if schema and schema.docs else field_docs(spec.cls)
    return {name: doc.unit for name, doc in docs.items()}


def lines(message: Any, unit_of: dict[str, str], *, full: bool = False) -> list[str]:
    """Return a message as lines for people: a field each, with its unit."""
    found = plain(message, full=full)
    if not isinstance(found, dict):
        return [_words(found)]
    rows = ((name, _words(item), unit_of.get(name, "")) for name, item in found.items())
    return [f"{name}: {text} {unit}".rstrip() for name, text, unit in rows]


def _words(value: Any) -> str:
    from horus.cli import live

    if value is None:
        return "nan"
    if isinstance(value, float) and abs(value) >= 1e6:
        return f"{value:.3f}" if abs(value) < 1e15 else repr(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(_words, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_words(item)}" for key, item in value.items()) + "}"
    return (
        repr(value)
        if isinstance(value, str) and not value.startswith("... ")
        else live.shown(value)
    )
