"""What a function that is called from afar takes: told to people, checked before the call."""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from horus.errors import did_you_mean

__all__ = ["ArgumentError", "Signature"]

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


class ArgumentError(ValueError):
    """An argument does not fit; the text names it."""


class Signature:
    """The parameters of a function, from its annotations.

    Args:
        function: what is to be called.
        unbound: it is a method without its object: the first parameter is left out.
    """

    def __init__(self, function: Callable[..., Any], *, unbound: bool = False) -> None:
        whole: Any = function
        while isinstance(whole, partial):
            whole = whole.func
        self.doc = inspect.cleandoc(whole.__doc__ or "")
        self._signature = inspect.signature(function)
        parameters = list(self._signature.parameters.values())
        if unbound and not isinstance(function, types.MethodType):
            parameters = parameters[1:]
        self._signature = self._signature.replace(parameters=parameters)
        hints = get_type_hints(whole, include_extras=True) if hasattr(whole, "__code__") else {}
        self._hints = {p.name: hints.get(p.name, Any) for p in parameters}

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments by name, each in its type; an `ArgumentError` says what is wrong."""
        known = list(self._hints)
        for name in kwargs:
            if name not in known:
                listed = f"; it takes {', '.join(known) or 'none'}"
                near = did_you_mean(name, known) or listed
                raise ArgumentError(f"unknown argument {name!r}{near}")
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(f"{error}; it takes {self.text() or 'no arguments'}") from None
        return {
            name: _fit(name, value, self._hints[name]) for name, value in bound.arguments.items()
        }

    def text(self) -> str:
        """Return the parameters in words: ``samples: a whole number = 200``."""
        return ", ".join(
            f"{a['name']}: {a['type']}"
            + (f" ({a['unit']})" if a["unit"] else "")
            + (f" = {a['default']}" if "default" in a else "")
            for a in self.describe()["arguments"]
        )

    def describe(self) -> dict[str, Any]:
        """Return doc and arguments as plain dicts, to be sent."""
        arguments = []
        for name, parameter in self._signature.parameters.items():
            hint = self._hints[name]
            units = [text for text in getattr(hint, "__metadata__", ()) if isinstance(text, str)]
            about = {"name": name, "type": _words(hint), "unit": units[0] if units else ""}
            if parameter.default is not parameter.empty:
                about["default"] = repr(parameter.default)
            arguments.append(about)
        return {"doc": self.doc, "arguments": arguments}


def _plain(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _choices(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _words(hint: Any) -> str:
    """Return a type in words."""
    words = []
    for kind in _choices(_plain(hint)):
        if get_origin(kind) is Literal:
            words.append(" or ".join(map(str, get_args(kind))))
        elif get_origin(kind) in (tuple, list):
            inner = [a for a in get_args(kind) if a is not ...]
            many = "list of" if ... in get_args(kind) or get_origin(kind) is list else len(inner)
            one = _words(inner[0]).removeprefix("a ") if inner else ""
            words.append(f"{many} {one}s" if inner else "list")
        elif kind is not type(None):
            words.append(_WORDS.get(kind, "anything" if kind is Any else str(kind)))
    return " or ".join(words)


def _fit(name: str, value: Any, hint: Any) -> Any:
    """Return a value in the type of its parameter."""
    for kind in _choices(_plain(hint)):
        found = _as_kind(value, kind)
        if found is not _NO:
            return found
    raise ArgumentError(f"{name} must be {_words(hint)}, not {value!r}")


_NO = object()


def _as_kind(value: Any, kind: Any) -> Any:
    if kind is Any:
        return value
    if kind is type(None):
        return None if value is None else _NO
    if get_origin(kind) is Literal:
        return value if value in get_args(kind) else _NO
    if get_origin(kind) in (tuple, list):
        return _as_sequence(value, kind)
    if kind is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return float(value) if number and math.isfinite(value) else _NO
    if kind is int:
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        return int(value) if whole and not isinstance(value, bool) else _NO
    if isinstance(kind, type):
        return value if isinstance(value, kind) else _NO
    return value


def _as_sequence(value: Any, kind: Any) -> Any:
    inner = get_args(kind) or (Any, ...)
    if not isinstance(value, (list, tuple)):
        return _NO
    many = get_origin(kind) is list or ... in inner
    kinds = [inner[0]] * len(value) if many else list(inner)
    if len(kinds) != len(value):
        return _NO
    found = [_as_kind(v, k) for v, k in zip(value, kinds, strict=True)]
    return _NO if _NO in found else get_origin(kind)(found)
