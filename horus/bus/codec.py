"""Messages that are not declared types: MessagePack, with arrays. Nothing is pickled.

Extension types: 1 numpy array (the array format of `LAYOUT.md`), 2 numpy scalar (the same with no
dimensions), 3 an int that does not fit 64 bits (two's complement, little-endian).
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import msgpack

from horus.bus import layout as L
from horus.errors import CorruptTopicError, MessageTypeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from horus.message import MessageSpec

EXT_ARRAY = 1
EXT_SCALAR = 2
EXT_INT = 3
#: Kinds of numpy dtype that hold plain values: no objects, no structures, nothing that runs code.
_PLAIN_KINDS = "biufcSUmM"
_ARRAY_ALIGN = 16
MOST_DIMENSIONS = 32

ALLOWED = (
    "dict, list, tuple, str, bytes, int, float, bool, None inside them, numpy arrays and "
    "classes declared with @horus.message"
)


def new_pack() -> Callable[[object], bytes]:
    """Return a fast packer of one's own; what it refuses with a TypeError `encode` may still take.

    It has no default hook, so packing runs no Python code and no other thread can come in between.
    """
    packer = msgpack.Packer(strict_types=True, unicode_errors="surrogatepass")
    return packer.pack  # type: ignore[no-any-return]


def encode(message: object, large: int = sys.maxsize) -> tuple[int, tuple[Any, ...]]:
    """Return ``(kind, parts)``; the parts, one after the other, are the payload.

    An array of ``large`` bytes or more is a frame: its head and itself.

    Raises `MessageTypeError` for what cannot be sent, naming its type and the cure.
    """
    if message is None:
        raise MessageTypeError(
            "None cannot be sent: for a reader None means that there is no message. "
            "Send a value, for example {} or False"
        )
    numpy = sys.modules.get("numpy")
    if numpy is not None and type(message) is numpy.ndarray:
        array: Any = message
        if array.nbytes >= large:
            return L.KIND_FRAME, (array_head(array.shape, array.dtype), array)
        return L.KIND_ARRAY, _array_parts(array)
    unusual: set[type] = set()
    default = partial(_default, type(message), unusual)
    packer = msgpack.Packer(strict_types=True, unicode_errors="surrogatepass", default=default)
    try:
        packed = packer.pack(message)
        if tuple in unusual:
            _refuse_tuples_as_keys(message)
        return L.KIND_MSGPACK, (packed,)
    except MessageTypeError:
        raise
    except ValueError as error:
        text = str(error)
        if "recursion" in text:
            text = "it is nested too deeply, or contains itself"
        raise MessageTypeError(f"a {type(message).__name__} cannot be sent: {text}") from None
    except TypeError as error:
        raise MessageTypeError(
            f"a {type(message).__name__} cannot be sent: {error}. Allowed are {ALLOWED}"
        ) from None


def _refuse_tuples_as_keys(value: object) -> None:
    """Refuse what a reader could not take: there a tuple is a list, and a list is no key."""
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, tuple):
                raise MessageTypeError(
                    f"a dict with the key {key!r} cannot be sent: a tuple comes out as a list, "
                    "which cannot be a key. Send a list of pairs, or str(...) of the key"
                )
            _refuse_tuples_as_keys(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _refuse_tuples_as_keys(item)


def _default(outer: type, unusual: set[type], value: object) -> object:
    """Turn into MessagePack what it has no type for; note the type."""
    unusual.add(type(value))
    if isinstance(value, tuple):
        return list(value)
    if type(value) is int:
        size = value.bit_length() // 8 + 1
        return msgpack.ExtType(EXT_INT, value.to_bytes(size, "little", signed=True))
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        if type(value) is numpy.ndarray:
            return msgpack.ExtType(EXT_ARRAY, b"".join(_array_parts(value)))
        if isinstance(value, numpy.generic):
            return msgpack.ExtType(EXT_SCALAR, b"".join(_array_parts(numpy.asarray(value))))
    raise MessageTypeError(_refusal(value, outer))


def _refusal(value: object, outer: type) -> str:
    kind = type(value)
    name = kind.__qualname__
    if kind.__module__ not in ("builtins", "__main__"):
        name = f"{kind.__module__}.{name}"
    where = "" if kind is outer else f" (inside a {outer.__name__})"
    cure = f"Allowed are {ALLOWED}"
    if hasattr(kind, "__horus_spec__"):
        cure = "A declared message is sent by itself, not inside another one"
    elif hasattr(kind, "__dataclass_fields__"):
        cure = f"Declare {kind.__name__} with @horus.message, or send dataclasses.asdict(...)"
    elif isinstance(value, (set, frozenset)):
        cure = "Send a sorted list"
    elif isinstance(value, (int, str, float, bytes, list, dict, bytearray, memoryview)):
        base = next(
            b for b in (bool, int, str, float, bytes, list, dict, object) if isinstance(value, b)
        )
        if base is object:
            base = bytes
        cure = f"Send {base.__name__}(...) of it"
    article = "an" if name[0] in "aeiouAEIOU" else "a"
    return f"{article} {name}{where} cannot be sent. {cure}"


def plain_dtype(dtype: Any) -> Any:
    """Return a dtype if its arrays can be sent; else a `MessageTypeError` that says why not."""
    if dtype.kind not in _PLAIN_KINDS:
        raise MessageTypeError(
            f"a numpy array of dtype {dtype} cannot be sent: only numbers, bool, fixed-"
            "length text and times can. Convert it with .astype(...), or send its fields one by one"
        )
    return dtype


@lru_cache(maxsize=256)
def array_head(shape: tuple[int, ...], dtype: Any) -> bytes:
    """Return what stands before the elements of an array, without the zeros that follow it."""
    text: bytes = plain_dtype(dtype).str.encode()
    if len(shape) > MOST_DIMENSIONS:
        raise MessageTypeError(
            f"a numpy array of {len(shape)} dimensions cannot be sent: at most {MOST_DIMENSIONS} "
            "can. Reshape it"
        )
    return struct.pack(f"<BB6x{len(shape)}Q", len(text), len(shape), *shape) + text


def _array_parts(array: Any) -> tuple[bytes, Any]:
    import numpy

    head = array_head(array.shape, array.dtype)
    data = numpy.ascontiguousarray(array)
    if data.size == 0 or data.dtype.itemsize == 0:
        return _padded(head), b""
    flat: Any = data.reshape(-1).view(numpy.uint8)
    return _padded(head), memoryview(flat)


def _padded(head: bytes) -> bytes:
    return head + bytes(-len(head) % _ARRAY_ALIGN)


def decode_array(payload: bytes | bytearray | memoryview) -> NDArray[Any]:
    """Return the array in a payload, a view of it; a ValueError if the payload is not one."""
    shape, dtype, start = _read_head(payload)
    start += -start % _ARRAY_ALIGN
    return _elements(payload, shape, dtype, start, len(payload) - start)


def frame(head: bytes, length: int, memory: Any, at: int) -> NDArray[Any]:
    """Return an array that lies in other memory; a ValueError if its head does not fit it."""
    shape, dtype, size = frame_head(head)
    if size != length:
        raise ValueError(f"shape {shape} of {dtype} does not fit {length} bytes")
    import numpy

    array: NDArray[Any] = numpy.ndarray(shape, dtype, memory, at)
    return array


def copied_frame(head: bytes, length: int, memory: Any, at: int) -> NDArray[Any]:
    """Return a read-only copy of it."""
    copy: NDArray[Any] = frame(head, length, memory, at).copy()
    copy.flags.writeable = False
    return copy


@lru_cache(maxsize=256)
def frame_head(head: bytes) -> tuple[tuple[int, ...], Any, int]:
    """Return the shape and the dtype of an array, and its size in bytes."""
    shape, dtype, _ = _read_head(head)
    return shape, dtype, math.prod(shape) * dtype.itemsize


def _read_head(payload: bytes | bytearray | memoryview) -> tuple[tuple[int, ...], Any, int]:
    """Return the shape and the dtype of an array, and where its head ends."""
    try:
        text_size, dimensions = struct.unpack_from("<BB", payload)
        if dimensions > MOST_DIMENSIONS:
            raise ValueError(f"{dimensions} dimensions")
        shape = struct.unpack_from(f"<{dimensions}Q", payload, 8)
        start = 8 + 8 * dimensions
        dtype = _plain_dtype(bytes(payload[start : start + text_size]))
    except struct.error as error:
        raise ValueError(f"the array's head is cut short ({error})") from None
    return shape, dtype, start + text_size


def _elements(
    memory: Any, shape: tuple[int, ...], dtype: Any, start: int, length: int
) -> NDArray[Any]:
    """Return the array whose elements are so many bytes of a memory."""
    import numpy

    count = 1
    for size in shape:
        count *= size
    if count * dtype.itemsize != max(0, length):
        raise ValueError(f"shape {shape} of {dtype} does not fit {length} bytes")
    if count == 0 or dtype.itemsize == 0:
        if max(shape, default=0) > sys.maxsize // 64:
            raise ValueError(f"shape {shape} is too large")
        if dtype.itemsize == 0:  # of which empty() makes items of one byte, with memory
            nothing: NDArray[Any] = numpy.ndarray(shape, dtype, bytearray())
            return nothing
        return numpy.empty(shape, dtype)
    array: NDArray[Any] = numpy.ndarray(shape, dtype, memory, start)
    return array


def _plain_dtype(text: bytes) -> np.dtype[Any]:
    import numpy

    try:
        name = text.decode("ascii")
        # Only numpy's own short form: one letter of kind, a size, and a unit for times.
        if len(name) < 2 or name[1] not in _PLAIN_KINDS or "," in name or "(" in name:
            raise ValueError
        dtype = numpy.dtype(name)
        if dtype.kind not in _PLAIN_KINDS or dtype.fields is not None:
            raise ValueError
    except (ValueError, TypeError, SyntaxError):
        raise ValueError(f"{text!r} is not a plain dtype") from None
    return dtype


def _extension(code: int, data: bytes) -> object:
    if code == EXT_ARRAY:
        return decode_array(bytearray(data))
    if code == EXT_SCALAR:
        return decode_array(data)[()]
    if code == EXT_INT:
        return int.from_bytes(data, "little", signed=True)
    raise ValueError(f"unknown extension type {code}")


def unpack(data: bytes) -> Any:
    """Decode a MessagePack payload.

    Raises ValueError, TypeError or an error of `msgpack` for a damaged one.
    """
    return msgpack.unpackb(
        data, strict_map_key=False, unicode_errors="surrogatepass", ext_hook=_extension
    )


def spec_with_frame(type_hash: int) -> MessageSpec:
    """Return the layout of a declared type that has an array.

    One that this process does not know is a `MessageTypeError`, one that has none is damage.
    """
    spec = _known(type_hash)
    if spec.frame is None:
        raise CorruptTopicError(
            f"a damaged message came in and was skipped ({spec.name} with an array)"
        )
    return spec


def framed(spec: MessageSpec, rest: bytes | memoryview, array: Any) -> Any:
    """Return the declared message of a struct's bytes and its array; a ValueError if damaged."""
    if len(rest) != spec.size:
        raise ValueError(f"{spec.name} has {spec.size} bytes, got {len(rest)}")
    return spec.unpack(rest, array)


def _known(type_hash: int) -> MessageSpec:
    from horus.message import spec_for_hash

    spec = spec_for_hash(type_hash)
    if spec is None:
        raise MessageTypeError(
            "a message of a declared type that this process has not imported came in "
            f"(hash {type_hash:016x}): import the module that declares it"
        )
    return spec


def decode(kind: int, type_hash: int, payload: bytearray) -> Any:
    """Decode a payload of any kind; what does not decode is a `CorruptTopicError`.

    A declared type that this process does not know is a `MessageTypeError` that says so.
    """
    try:
        if kind == L.KIND_MSGPACK:
            return unpack(bytes(payload))
        if kind == L.KIND_ARRAY:
            array = decode_array(payload)
            array.flags.writeable = False  # as those are that lie in shared memory
            return array
        if kind == L.KIND_STRUCT:
            spec = _known(type_hash)
            if len(payload) != spec.size:
                raise ValueError(f"{spec.name} has {spec.size} bytes, got {len(payload)}")
            return spec.unpack_from(payload, 0)
        raise ValueError(f"unknown kind {kind}")
    except MessageTypeError:
        raise
    except Exception as error:  # a damaged payload may fail in any way; it must not get further
        raise CorruptTopicError(
            f"a damaged message came in and was skipped ({type(error).__name__}: {error})"
        ) from None
