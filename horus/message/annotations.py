"""What a message's fields may be: the markers, the aliases, and how an annotation is read."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar, get_args, get_origin

from horus.errors import MessageTypeError

Code = Literal["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"]
Kind = Literal["scalar", "array", "vararray", "str", "frame"]

SIZES: Mapping[str, int] = {
    "?": 1,
    **{f"{k}{n}": n for k in "iu" for n in (1, 2, 4, 8)},
    "f4": 4,
    "f8": 8,
    "S": 1,
}
#: Stands for the element of a frame, which each message's array tells.
FRAME_CODE = "*"
BASES: Mapping[str, type] = {
    code: float if code[0] == "f" else bool if code == "?" else int for code in SIZES if code != "S"
}
NAMES: Mapping[str, str] = {"?": "bool", "f4": "Float32", "f8": "Float64"} | {
    f"{k}{n}": f"{'Int' if k == 'i' else 'UInt'}{8 * n}" for k in "iu" for n in (1, 2, 4, 8)
}
_PLAIN: Mapping[object, str] = {float: "f8", int: "i8", bool: "?"}
_ALLOWED = (
    "use float, int, bool, Float32, Float64, Int8 to Int64, UInt8 to UInt64, "
    "Annotated[str, Str(n)], tuple[float, float, float], "
    'Annotated[tuple[float, ...], Array("f8", n)] '
    'Annotated[Float32Array, VarArray("f4", n)] '
    "or, for one large array of any shape, AnyArray"
)


def _check_code(marker: object, code: str) -> None:
    if code not in BASES:
        raise MessageTypeError(f"{marker}: unknown element {code!r}; use {', '.join(BASES)}")


def _check_count(marker: object, count: object) -> None:
    if type(count) is not int or not 0 < count < 2**31:
        raise MessageTypeError(f"{marker}: the size must be an int from 1 to 2**31 - 1")


class _Marker:
    """What `Annotated` carries; two of the same content are equal, as its cache needs."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, vars(self).values()))})"


class Scalar(_Marker):
    """Store a number as one element of this code; the aliases `Float32`, `UInt8`... carry it."""

    def __init__(self, code: Code) -> None:
        self.code = code


class Str(_Marker):
    """Bound a text: ``Annotated[str, Str(64)]`` holds up to 64 bytes of UTF-8."""

    def __init__(self, size: int) -> None:
        self.size = size
        _check_count(self, size)


class Array(_Marker):
    """Fix a number of elements: ``Annotated[tuple[float, ...], Array("f8", 9)]``.

    The field is a tuple. Any sequence, or a numpy array of any shape with as many elements
    (row by row), is taken when a message is made.
    """

    def __init__(self, code: Code, count: int) -> None:
        self.code, self.count = code, count
        _check_code(self, code)
        _check_count(self, count)


class VarArray(_Marker):
    """Bound a number of elements: ``Annotated[Float32Array, VarArray("f4", 4096)]``.

    The field is a one-dimensional numpy array of at most ``limit`` elements. Any sequence of
    numbers is taken when a message is made.
    """

    def __init__(self, code: Code, limit: int) -> None:
        self.code, self.limit = code, limit
        _check_code(self, code)
        _check_count(self, limit)


Float32 = Annotated[float, Scalar("f4")]
Float64 = Annotated[float, Scalar("f8")]
Int8 = Annotated[int, Scalar("i1")]
Int16 = Annotated[int, Scalar("i2")]
Int32 = Annotated[int, Scalar("i4")]
Int64 = Annotated[int, Scalar("i8")]
UInt8 = Annotated[int, Scalar("u1")]
UInt16 = Annotated[int, Scalar("u2")]
UInt32 = Annotated[int, Scalar("u4")]
UInt64 = Annotated[int, Scalar("u8")]

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import overload

    import numpy as np
    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Self

    _S = TypeVar("_S", bound=np.generic)
    _V = TypeVar("_V", bound=float)

    class _Values(Generic[_S, _V]):
        """What a checker sees: any sequence goes in, a numpy array comes out."""

        @overload
        def __get__(self, instance: None, owner: type) -> Self: ...
        @overload
        def __get__(self, instance: object, owner: type) -> NDArray[_S]: ...
        def __get__(self, instance: object, owner: type) -> Any: ...
        def __set__(self, instance: object, value: Sequence[_V] | NDArray[Any]) -> None: ...

    class AnyArray:
        """What a checker sees: any array or bytes go in, a numpy array comes out."""

        @overload
        def __get__(self, instance: None, owner: type) -> Self: ...
        @overload
        def __get__(self, instance: object, owner: type) -> NDArray[Any]: ...
        def __get__(self, instance: object, owner: type) -> Any: ...
        def __set__(self, instance: object, value: ArrayLike | bytes) -> None: ...

    BoolArray = _Values[np.bool_, bool]
    Float32Array = _Values[np.float32, float]
    Float64Array = _Values[np.float64, float]
    Int8Array = _Values[np.int8, int]
    Int16Array = _Values[np.int16, int]
    Int32Array = _Values[np.int32, int]
    Int64Array = _Values[np.int64, int]
    UInt8Array = _Values[np.uint8, int]
    UInt16Array = _Values[np.uint16, int]
    UInt32Array = _Values[np.uint32, int]
    UInt64Array = _Values[np.uint64, int]
else:

    class _Values:
        """The base of the array aliases, which stand for numpy's types without importing numpy."""

        code: str

    class AnyArray:
        """An array of numbers of any shape, at most one a message.

        It is no part of the message's struct: it lies in shared memory by itself, and readers look
        at it there. Whatever ``numpy.asarray`` takes is taken, and bytes (as uint8).

        The class may have a static method ``element_of(fields)``: it returns the dtype that lists
        become and loans have, of the other fields by their names.
        """

    def _values(code: str) -> type:
        return type(f"{NAMES[code].replace('bool', 'Bool')}Array", (_Values,), {"code": code})

    BoolArray = _values("?")
    Float32Array = _values("f4")
    Float64Array = _values("f8")
    Int8Array = _values("i1")
    Int16Array = _values("i2")
    Int32Array = _values("i4")
    Int64Array = _values("i8")
    UInt8Array = _values("u1")
    UInt16Array = _values("u2")
    UInt32Array = _values("u4")
    UInt64Array = _values("u8")

EMPTY: Any = ()
"""The default of a `VarArray` or `AnyArray` field: no elements."""


class _Unknown:
    """Stands for a name that exists for type checkers only, such as ``NDArray``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, attribute: str) -> _Unknown:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return _Unknown(self.name)

    def __getitem__(self, item: object) -> _Unknown:
        return self

    def __call__(self, *args: object, **kwargs: object) -> _Unknown:
        return self

    def __or__(self, other: object) -> _Unknown:
        return self

    __ror__ = __or__


class _Names(dict[str, Any]):
    """Looks a name up where an annotation was written; an unknown one becomes a placeholder."""

    def __init__(self, *scopes: Mapping[str, Any]) -> None:
        self._scopes = scopes

    def __missing__(self, name: str) -> Any:
        for scope in self._scopes:
            if name in scope:
                return scope[name]
        return _Unknown(name)


def resolve(annotation: Any, cls: type, local: Mapping[str, Any]) -> Any:
    """Return the annotation as an object; a text is evaluated where the class was written."""
    if not isinstance(annotation, str):
        return annotation
    module = vars(sys.modules.get(cls.__module__, builtins))
    names = _Names(local, module, vars(builtins), vars(cls))
    while isinstance(annotation, str):
        annotation = eval(annotation, {"__builtins__": {}}, names)
    return annotation


def shape_of(annotation: Any) -> tuple[Kind, str, int]:
    """Return a field's kind, element code and element count; ``ValueError`` says what is wrong."""
    code = _PLAIN.get(annotation) if isinstance(annotation, type) else None
    if code is not None:
        return "scalar", code, 1
    if annotation is AnyArray:
        return "frame", FRAME_CODE, 1
    base = annotation
    markers: list[Any] = []
    if get_origin(annotation) is Annotated:
        base = annotation.__origin__
        for item in annotation.__metadata__:  # Annotated[int, UInt16] means what it seems to
            markers += item.__metadata__ if get_origin(item) is Annotated else [item]
    known = [m for m in markers if isinstance(m, (Scalar, Str, Array, VarArray))]
    if len(known) > 1:
        raise ValueError(f"has more than one of {', '.join(map(str, known))}")
    if known:
        return _marked(base, known[0])
    for part in (base, *markers):
        if isinstance(part, _Unknown):
            raise ValueError(
                f"has the name {part.name!r}, which does not exist at run time: "
                "is it misspelt, or imported under TYPE_CHECKING only?"
            )
    if get_origin(base) is tuple:
        return _tuple(get_args(base))
    if base is str:
        raise ValueError(
            "has no bound: write Annotated[str, Str(64)] for up to 64 bytes "
            "(from horus.message import Str)"
        )
    if base is not annotation and base in _PLAIN:  # Annotated for somebody else's purposes
        return "scalar", _PLAIN[base], 1
    raise ValueError(f"cannot be a field; {_ALLOWED}")


def _marked(base: Any, marker: Scalar | Str | Array | VarArray) -> tuple[Kind, str, int]:
    known = not isinstance(base, _Unknown)
    if isinstance(marker, Str):
        if known and base is not str:
            raise ValueError(f"puts {marker} on something else than str")
        return "str", "S", marker.size
    if isinstance(marker, VarArray):
        code = getattr(base, "code", None) if known else None
        if isinstance(code, str) and code != marker.code:
            raise ValueError(f"says {NAMES[code]} elements, but {marker}")
        return "vararray", marker.code, marker.limit
    want = BASES[marker.code]
    if isinstance(marker, Scalar):
        if known and base is not want:
            raise ValueError(f"puts {NAMES[marker.code]} on something else than {want.__name__}")
        return "scalar", marker.code, 1
    if known:
        elements = get_args(base)
        if get_origin(base) is not tuple or not elements:
            raise ValueError(f"must be a tuple, for that is what comes out: {marker}")
        size = marker.count if elements[-1] is Ellipsis else len(elements)
        if size != marker.count or any(e not in (want, Ellipsis) for e in elements):
            raise ValueError(f"does not agree with {marker}")
    return "array", marker.code, marker.count


def _tuple(elements: tuple[Any, ...]) -> tuple[Kind, str, int]:
    """Read ``tuple[float, float, float]``: its elements must be alike."""
    if not elements or Ellipsis in elements:
        raise ValueError('has no length: write Annotated[tuple[float, ...], Array("f8", n)]')
    if any(e != elements[0] for e in elements):
        raise ValueError("mixes types: the elements of a tuple must all be of one type")
    kind, code, _ = shape_of(elements[0])
    if kind != "scalar":
        raise ValueError(f"has elements that are not plain numbers; {_ALLOWED}")
    return "array", code, len(elements)
