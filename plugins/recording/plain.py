"""Dicts and other plain messages as JSON that gives back their MessagePack to the last byte.

What JSON has no word for is a dict with one key: ``{"$float": "nan"}``, ``{"$hex": "68 65"}``,
``{"$base64": "..."}``, ``{"$map": [[key, value], ...]}``, ``{"$ext": [code, "base64"]}``.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import msgpack
from horus_plugins.recording.errors import Unfit

#: Longest bytes that are shown in hexadecimal.
HEX = 64
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
_pack = msgpack.Packer(strict_types=True, unicode_errors="surrogatepass").pack


def unpack(payload: bytes | bytearray) -> Any:
    """Return what MessagePack says, extensions as they are; `Unfit` if it is damaged."""
    try:
        return msgpack.unpackb(
            payload, raw=False, strict_map_key=False, unicode_errors="surrogatepass"
        )
    except Exception:  # a damaged payload may fail in any way
        raise Unfit from None


def encode(payload: bytes | bytearray, value: Any, *, wrapped: bool) -> bytes:
    """Return the JSON of a payload whose value is known; `Unfit` when bytes would be lost."""
    shown = _shown(value)
    text = json.dumps({"value": shown} if wrapped else shown, allow_nan=False).encode()
    try:
        again = decode(text, wrapped=wrapped)
    except Exception:
        raise Unfit from None
    if again != payload:
        raise Unfit
    return text


def decode(text: bytes, *, wrapped: bool) -> bytes:
    """Return the payload that was encoded; a ValueError if it cannot be."""
    packed: bytes = _pack(value(text, wrapped=wrapped))
    return packed


def value(text: bytes, *, wrapped: bool) -> Any:
    """Return the value that was encoded; a ValueError if it cannot be."""
    found = json.loads(text)
    return _value(found["value"] if wrapped else found)


def schema(value: Any, title: str, *, wrapped: bool) -> bytes:
    """Return a JSON schema that describes a first message; later ones may differ."""
    shown = {"value": _shown(value)} if wrapped else _shown(value)
    return json.dumps({"title": title, **_described(shown)}).encode()


def _described(shown: Any) -> dict[str, Any]:
    if isinstance(shown, dict):
        fields = {key: _described(item) for key, item in shown.items()}
        return {"type": "object", "properties": fields}
    if isinstance(shown, list):
        return {"type": "array", "items": _described(shown[0]) if shown else {}}
    return {"type": _TYPES[type(shown)]} if type(shown) in _TYPES else {}


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: _shown(item) for key, item in value.items()}
        return {"$map": [[_shown(key), _shown(item)] for key, item in value.items()]}
    if isinstance(value, list):
        return [_shown(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    if isinstance(value, msgpack.ExtType):
        return {"$ext": [value.code, base64.b64encode(value.data).decode()]}
    if isinstance(value, bytes):
        if len(value) <= HEX:
            return {"$hex": value.hex(" ")}
        return {"$base64": base64.b64encode(value).decode()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise Unfit


def _value(shown: Any) -> Any:
    if isinstance(shown, list):
        return [_value(item) for item in shown]
    if not isinstance(shown, dict):
        return shown
    if len(shown) == 1:
        ((key, item),) = shown.items()
        if key == "$float":
            return float(item)
        if key == "$hex":
            return bytes.fromhex(item)
        if key == "$base64":
            return base64.b64decode(item)
        if key == "$map":
            return {_value(k): _value(v) for k, v in item}
        if key == "$ext":
            return msgpack.ExtType(item[0], base64.b64decode(item[1]))
    return {key: _value(item) for key, item in shown.items()}
