"""Make a message type of an annotated class; what `horus.message` offers is gathered there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, InitVar, dataclass, fields
from typing import Any, ClassVar, TypeVar, get_origin

from horus.errors import MessageTypeError
from horus.message.annotations import Kind, resolve, shape_of
from horus.message.layout import MessageSpec
from horus.message.values import convert

__all__ = ["clip_text", "declare", "spec_for_hash", "spec_of"]

T = TypeVar("T")

_specs: dict[int, MessageSpec] = {}


def spec_of(cls: type) -> MessageSpec | None:
    """Return the layout of a message class, or None for any other class, subclasses included."""
    spec = cls.__dict__.get("__horus_spec__")
    return spec if isinstance(spec, MessageSpec) else None


def spec_for_hash(hash: int) -> MessageSpec | None:
    """Return the layout declared in this process with this hash; the standard ones are known."""
    if hash not in _specs:
        import horus.msgs  # noqa: F401
    return _specs.get(hash)


def clip_text(text: object, size: int) -> str:
    """Return as much of a text as fits into ``Str(size)``, for words that must not fail to go."""
    return str(text).replace("\0", " ").encode(errors="replace")[:size].decode(errors="ignore")


def declare(cls: type[T], name: str | None, local: Mapping[str, Any]) -> type[T]:
    """Turn a class into a message type; ``local`` are the names where it is declared."""
    shapes = _shapes(cls, local)
    for field_name, (kind, _, _) in shapes.items():
        if kind == "vararray" and f"{field_name}_count" in shapes:
            raise MessageTypeError(
                f"{cls.__qualname__}.{field_name}_count: the name is taken, "
                f"it is where the length of {field_name} is kept; choose another"
            )
    if any(kind in ("array", "vararray", "frame") for kind, _, _ in shapes.values()):
        _convert_on_init(cls)
    made = dataclass(slots=True, eq=False, repr=False)(cls)
    declared = fields(made)  # type: ignore[arg-type]
    full_name = cls.__name__ if name is None else name
    spec = MessageSpec(made, full_name, [(f.name, *shapes[f.name]) for f in declared])
    setattr(made, "__horus_spec__", spec)  # noqa: B010
    if "__repr__" not in cls.__dict__:
        setattr(made, "__repr__", _shown_as_made)  # noqa: B010
    if "__eq__" not in cls.__dict__:
        setattr(made, "__eq__", _equality([f.name for f in declared if f.compare]))  # noqa: B010
        if cls.__dict__.get("__hash__") is None:
            setattr(made, "__hash__", None)  # noqa: B010
    _specs[spec.hash] = spec
    return made


def _shapes(cls: type, local: Mapping[str, Any]) -> dict[str, tuple[Kind, str, int]]:
    """Read the annotations of a class and of the dataclasses it derives from."""
    shapes: dict[str, tuple[Kind, str, int]] = {}
    for base in reversed(cls.__mro__):
        spec = spec_of(base)
        if spec:
            shapes |= {name: (kind, code, count) for name, kind, code, count in spec.shapes}
        elif base is cls or "__dataclass_fields__" in base.__dict__:
            for name, annotation in base.__annotations__.items():
                where = f"{cls.__qualname__}.{name}"
                try:
                    meant = resolve(annotation, base, local)
                    if not _is_no_field(meant):
                        shapes[name] = shape_of(meant)
                except ValueError as error:
                    shown = annotation if isinstance(annotation, str) else _shown(annotation)
                    raise MessageTypeError(f"{where}: {shown} {error}") from None
                except Exception as error:
                    raise MessageTypeError(f"{where}: {annotation}: {error}") from error
    return shapes


def _shown(annotation: Any) -> str:
    return annotation.__name__ if type(annotation) is type else str(annotation)


def _is_no_field(annotation: Any) -> bool:
    return (
        annotation is KW_ONLY
        or annotation is ClassVar
        or get_origin(annotation) is ClassVar
        or annotation is InitVar
        or isinstance(annotation, InitVar)
    )


def _convert_on_init(cls: type) -> None:
    """Make ``__init__`` turn sequences into tuples and arrays before the class's own hook runs."""
    hook = getattr(cls, "__post_init__", None)

    def __post_init__(self: Any, *args: Any) -> None:
        convert(self.__horus_spec__, self)
        if hook is not None:
            hook(self, *args)

    setattr(cls, "__post_init__", __post_init__)  # noqa: B010


def _shown_as_made(self: Any) -> str:
    """Show a message as a dataclass does; one function for all classes keeps imports short."""
    frame = self.__horus_spec__.frame
    shown = (
        f"{f.name}={(_shown_short if f.name == frame else repr)(getattr(self, f.name))}"
        for f in fields(self)
        if f.repr
    )
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _shown_short(array: Any) -> str:
    """Show of a frame what it is; its elements are too many."""
    shape = getattr(array, "shape", None)
    return (
        f"<{'×'.join(map(str, shape)) or 'one'} {array.dtype}>" if shape is not None else "<none>"
    )


def _equality(names: list[str]) -> Callable[[Any, object], bool]:
    def __eq__(self: Any, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(_same(getattr(self, name), getattr(other, name)) for name in names)

    return __eq__


def _same(a: Any, b: Any) -> bool:
    """Compare two values of a field; nothing measured (NaN) is the same as nothing measured."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    if hasattr(a, "dtype") or hasattr(b, "dtype"):
        import numpy as np

        return bool(np.array_equal(a, b, equal_nan=True))
    return bool(a == b or (a != a and b != b))
