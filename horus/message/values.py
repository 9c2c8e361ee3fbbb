"""A field's value: what it takes, how it is converted, and what is said when it does not fit."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from operator import index
from reprlib import repr as short
from struct import Struct
from struct import error as StructError
from typing import TYPE_CHECKING, Any

from horus.errors import MessageTypeError
from horus.message.annotations import BASES, NAMES, SIZES

if TYPE_CHECKING:
    import numpy as np

    from horus.message.layout import FieldSpec, MessageSpec

STRUCT_CODES = dict(zip(SIZES, "?bhiqBHIQfds", strict=True))
"""The letter of each element code in `struct`."""


class Fault(Exception):
    """What is wrong with a field's value; ``index`` is the element's place, such as ``[2]``."""

    def __init__(self, text: str, index: str = "") -> None:
        self.index = index
        super().__init__(text)


def _wanted(what: str, value: object, index: str = "") -> Fault:
    return Fault(f"expected {what}, got {type(value).__name__} ({short(value)})", index)


def boolean(value: object) -> bool:
    """Return a bool or numpy bool as a bool; a number is not a bool."""
    if value.__class__ is not bool:
        numpy = sys.modules.get("numpy")
        if numpy is None or not isinstance(value, numpy.bool_):
            raise _wanted("bool", value)
    return bool(value)


def fixed(value: Any, count: int) -> tuple[Any, ...]:
    """Return a sequence or numpy array as a tuple of so many elements."""
    if value.__class__ is not tuple:
        if hasattr(value, "ravel"):
            value = value.ravel().tolist()
        elif isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
            raise _wanted(f"{count} values", value)
        value = tuple(value)
    if len(value) != count:
        raise Fault(f"expected {count} values, got {len(value)}")
    return value  # type: ignore[no-any-return]


def booleans(value: Any, count: int) -> tuple[bool, ...]:
    """Return a sequence or numpy array of bools as a tuple of so many bools."""
    return tuple(boolean(v) for v in fixed(value, count))


def encoded(value: str, size: int) -> bytes:
    """Return a text as UTF-8 that fits into so many bytes."""
    if not isinstance(value, str):
        raise _wanted("str", value)
    try:
        data = value.encode()
    except UnicodeEncodeError as error:
        raise Fault(f"the text cannot be UTF-8: {error.reason} at {error.start}") from None
    if len(data) > size:
        raise Fault(f"a text of {len(data)} bytes (UTF-8) does not fit into {size}")
    if 0 in data:
        raise Fault("the text contains NUL")
    return data


def varying(value: Any, code: str, limit: int) -> np.ndarray[Any, Any]:
    """Return a sequence of numbers as a contiguous numpy array of at most so many elements."""
    import numpy as np

    kind = BASES[code].__name__
    if isinstance(value, (str, bytes)):
        raise _wanted(f"{kind} values", value)
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        raise _wanted(f"{kind} values", value) from None
    if array.ndim == 0:
        raise _wanted(f"{kind} values", value)
    if array.ndim > 1:
        raise Fault(f"expected one dimension, got an array of shape {array.shape}")
    if array.size > limit:
        raise Fault(f"{array.size} values do not fit into {limit}")
    wanted = np.dtype(numpy_code(code))
    if array.dtype != wanted and array.size:
        if kind == "int" and array is not value and array.dtype.kind in "fO":
            array = _exact_ints(value, code)  # numpy reads [1, 2**63] as floats
        _check_elements(array, wanted, code)
    return np.ascontiguousarray(array, wanted)


def framed(value: Any) -> np.ndarray[Any, Any]:
    """Return an array of numbers of any shape, or bytes, as a numpy array; it is not copied."""
    import numpy as np

    if isinstance(value, (bytes, bytearray, memoryview)):
        return np.frombuffer(value, "u1")
    if isinstance(value, tuple) and not value:  # `EMPTY`
        return np.empty(0, "u1")
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        raise _wanted("an array of numbers", value) from None
    if array.dtype.kind not in "biufc":
        if array is value:
            raise Fault(f"expected an array of numbers, got one of dtype {array.dtype}")
        raise _wanted("an array of numbers", value)
    return array


def frame_of(spec: MessageSpec, message: Any) -> np.ndarray[Any, Any]:
    """Return the array of a message that has one; a `MessageTypeError` if it cannot be sent."""
    assert spec.frame is not None
    where = f"{spec.cls.__name__}.{spec.frame}"
    try:
        return framed(getattr(message, spec.frame))
    except Fault as fault:
        raise MessageTypeError(f"{where}: {fault}") from None
    except AttributeError:
        raise MessageTypeError(f"{where}: has no value") from None


def numpy_code(code: str) -> str:
    """Return numpy's name of an element: little-endian, which a byte does not need."""
    return code if code == "?" else f"<{code}"


def _exact_ints(values: Sequence[Any], code: str) -> np.ndarray[Any, Any]:
    import numpy as np

    try:
        return np.array([index(v) for v in values], numpy_code(code))
    except TypeError:
        raise Fault("expected int values, got others among them") from None
    except OverflowError:
        raise Fault(f"has values out of range for {_range_text(code)}") from None


def _check_elements(array: np.ndarray[Any, Any], wanted: np.dtype[Any], code: str) -> None:
    """Raise `Fault` unless every element keeps its value, apart from a float's precision."""
    import numpy as np

    taken = {"f": "fiub", "i": "iub", "u": "iub", "b": "b"}[wanted.kind]
    if array.dtype.kind not in taken:
        raise Fault(f"expected {BASES[code].__name__} values, got {array.dtype} values")
    if wanted.kind == "f":
        with np.errstate(over="ignore"):
            outside = bool((np.isinf(array.astype(wanted)) > np.isinf(array)).any())
    elif wanted.kind != "b":
        low, high = _int_range(code)
        outside = int(array.min()) < low or int(array.max()) > high
    else:
        outside = False
    if outside:
        raise Fault(f"has values out of range for {_range_text(code)}")


def _int_range(code: str) -> tuple[int, int]:
    bits = 8 * SIZES[code]
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if code[0] == "i" else (0, (1 << bits) - 1)


def _range_text(code: str) -> str:
    if code[0] == "f":
        return f"{NAMES[code]} (±{'3.4028235e+38' if code == 'f4' else '1.7976931348623157e+308'})"
    low, high = _int_range(code)
    return f"{NAMES[code]} ({low} to {high})"


def _check_scalar(code: str, value: object, index: str = "") -> None:
    try:
        if code == "?":
            boolean(value)
        else:
            Struct("<" + STRUCT_CODES[code]).pack(value)
    except Fault as fault:
        raise Fault(str(fault), index) from None
    except (StructError, TypeError, ValueError, OverflowError):
        whole = hasattr(value, "__index__")
        if whole or (code[0] == "f" and isinstance(value, float)):
            text = f"{short(value)} is out of range for {_range_text(code)}"
            raise Fault(text, index) from None
        raise _wanted(BASES[code].__name__, value, index) from None


def check(field: FieldSpec, value: Any) -> None:
    """Raise `Fault` when a value does not fit its field; slow, for finding the culprit."""
    if field.kind == "scalar":
        _check_scalar(field.code, value)
    elif field.kind == "str":
        encoded(value, field.count)
    elif field.kind == "vararray":
        varying(value, field.code, field.count)
    else:
        for i, element in enumerate(fixed(value, field.count)):
            _check_scalar(field.code, element, f"[{i}]")


def convert(spec: MessageSpec, message: Any) -> None:
    """Turn the sequences of a new message into tuples and numpy arrays, in place."""
    for field in spec.sequences:
        if not hasattr(message, field.name):
            continue  # without init and default: left to the class's own hook
        value = getattr(message, field.name)
        try:
            if field.kind == "vararray":
                setattr(message, field.name, varying(value, field.code, field.count))
            elif value.__class__ is not tuple or len(value) != field.count:
                setattr(message, field.name, fixed(value, field.count))
        except Fault as fault:
            raise named(spec.cls, field, fault) from None
    if spec.frame is not None and hasattr(message, spec.frame):
        given = getattr(message, spec.frame)
        array = frame_of(spec, message)
        if isinstance(given, (list, tuple)) and array.size:
            array = _as_class_says(spec, message, array)
        setattr(message, spec.frame, array)


def _as_class_says(
    spec: MessageSpec, message: Any, array: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Return the array that was made of a list, of the element that its class has for it, if any.

    numpy makes int64 and float64 of lists, whatever is meant.
    """
    element_of = getattr(spec.cls, "element_of", None)
    if element_of is None:
        return array
    import numpy as np

    others = {f.name: getattr(message, f.name) for f in spec.fields if hasattr(message, f.name)}
    wanted = np.dtype(element_of(others))
    code = "?" if wanted.kind == "b" else wanted.str[1:]
    if array.dtype != wanted and code in BASES:
        try:
            _check_elements(array, wanted, code)
        except Fault as fault:
            raise MessageTypeError(f"{spec.cls.__name__}.{spec.frame}: {fault}") from None
    return array.astype(wanted, copy=False)


def named(cls: type, field: FieldSpec, fault: Fault) -> MessageTypeError:
    """Return the error for a user: ``Imu.accel_x: expected float, got str ('abc')``."""
    return MessageTypeError(f"{cls.__name__}.{field.name}{fault.index}: {fault}")


def explain(spec: MessageSpec, message: object, error: Exception) -> Exception:
    """Return the error that names the field at fault, or the given one if all fields fit."""
    if not isinstance(message, spec.cls):
        return MessageTypeError(f"expected {spec.name}, got {type(message).__name__}")
    for field in spec.fields:
        fault = _fault_of(spec, field, message)
        if fault is not None:
            return fault
    return error


def _fault_of(spec: MessageSpec, field: FieldSpec, message: object) -> MessageTypeError | None:
    try:
        check(field, getattr(message, field.name))
    except Fault as fault:
        return named(spec.cls, field, fault)
    except AttributeError:
        return MessageTypeError(f"{spec.cls.__name__}.{field.name}: has no value")
    return None
