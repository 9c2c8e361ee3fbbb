"""Parameters of a node: numbers, texts and switches that a person changes while it runs.

    node = horus.Node("drive", tick=tick, params={"gain": Param(1.0, low=0, high=10, unit="1/s")})
    node.param("gain")                   # in tick: 1.0, or what `horus param set drive.gain` says

They are asked for and set over `<node>.params.request` and `.reply` (`horus.node.calls`). A value
is checked by the node itself and takes effect between two ticks, never in the middle of one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from horus.errors import HorusError, did_you_mean

if TYPE_CHECKING:
    from horus.node.callbacks import Callbacks
    from horus.node.calls import Calls

__all__ = ["SUFFIX", "Param", "ParamError", "Params"]

#: What follows a node's name in the name that its parameters answer to.
SUFFIX = ".params"

Value = bool | int | float | str
_WORDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
}


class ParamError(HorusError, ValueError):
    """A parameter is not there, or does not take a value."""


class Param:
    """One parameter; its type is that of its default.

    ``low`` and ``high`` bound a number, both included; ``choices`` lists all that is allowed.
    """

    def __init__(
        self,
        default: Value,
        *,
        low: float | None = None,
        high: float | None = None,
        unit: str = "",
        doc: str = "",
        choices: Sequence[Value] = (),
    ) -> None:
        if type(default) not in _WORDS:
            raise TypeError(f"Param({default!r}): its value must be a bool, int, float or str")
        if (low is not None or high is not None) and type(default) not in (int, float):
            raise TypeError(f"Param({default!r}): only a number has low and high")
        self.type: type = type(default)
        self.low, self.high, self.unit, self.doc = low, high, unit, doc
        self.choices = tuple(choices)
        try:
            self.default = self.checked(default)
        except ParamError as error:
            raise ValueError(f"Param({default!r}): its own default {error}") from None

    @property
    def range(self) -> str:
        """Return the allowed values in words; "" when any will do."""
        if self.choices:
            return ", ".join(map(str, self.choices))
        parts = ((what, n) for what, n in (("at least", self.low), ("at most", self.high)))
        return " and ".join(f"{what} {n:g}" for what, n in parts if n is not None)

    def checked(self, value: object) -> Value:
        """Return a value in the parameter's own type; a `ParamError` says what is wrong with it."""
        if self.type is float and type(value) is int and abs(value) < 1 << 1000:
            value = float(value)
        if type(value) is not self.type:
            raise ParamError(f"must be {_WORDS[self.type]}, not {value!r}")
        assert isinstance(value, (bool, int, float, str))
        if isinstance(value, float) and not math.isfinite(value):
            raise ParamError(f"must be finite, not {value!r}")
        if isinstance(value, (int, float)):
            low = self.low is not None and value < self.low
            if low or (self.high is not None and value > self.high):
                raise ParamError(
                    f"must be {self.range}{self.unit and f' {self.unit}'}, not {value!r}"
                )
        if self.choices and value not in self.choices:
            raise ParamError(f"must be one of {self.range}, not {value!r}")
        return value


class Params:
    """The parameters of one node, with their present values."""

    def __init__(self, node: str, given: Mapping[str, Param | Value]) -> None:
        self._node = node
        self._params: dict[str, Param] = {}
        for name, param in given.items():
            if not isinstance(name, str) or not name.isidentifier():
                raise ValueError(
                    f"node {node!r}: a parameter cannot be called {name!r}: use a word"
                )
            self._params[name] = param if isinstance(param, Param) else Param(param)
        self._values: dict[str, Value] = {n: p.default for n, p in self._params.items()}
        self._started: set[str] = set()
        self._calls: Calls | None = None

    def __iter__(self) -> Iterator[str]:
        """Return the names."""
        return iter(self._params)

    def __contains__(self, name: object) -> bool:
        return name in self._params

    def start_with(self, name: str, value: object) -> None:
        """Take a value instead of the default, unless that was done before; checked as any other.

        What was changed since, by a person, is kept when the node starts again.
        """
        if name not in self._started:
            self._set(name, value)
            self._started.add(name)

    def __getitem__(self, name: str) -> Value:
        """Return the present value of a parameter."""
        try:
            return self._values[name]
        except KeyError:
            raise self._unknown(name) from None

    def _unknown(self, name: str) -> ParamError:
        near = did_you_mean(name, self._params) or f"; it has {', '.join(self._params) or 'none'}"
        return ParamError(f"{self._node} has no parameter {name!r}{near}")

    def open(self) -> None:
        """Let others ask and set from now on."""
        if self._calls is None and self._params:
            from horus.node.calls import Calls

            handlers: dict[str, Any] = {"list": self._list, "set": self._set}
            self._calls = Calls(self._node + SUFFIX, handlers, doc=f"parameters of {self._node}")

    def close(self) -> None:
        """Answer nobody any more."""
        calls, self._calls = self._calls, None
        if calls is not None:
            calls.close()

    def serve(self) -> None:
        """Answer what was asked and take what was set: between two ticks."""
        if self._calls is None:
            self.open()  # the node has closed its topics, as for a restart, and ticks again
        if self._calls is not None:
            self._calls.serve()

    def around(self, calls: Callbacks) -> None:
        """Have them served before each tick."""
        tick = calls.tick
        if tick is None:
            raise ValueError(
                f"node {self._node!r}: params are served between ticks: give it a tick"
            )

        async def serve_and_await(node: Any) -> object:
            self.serve()
            return await tick(node)  # type: ignore[misc]

        def serve_and_tick(node: Any) -> object:
            self.serve()
            return tick(node)

        calls.tick = serve_and_await if calls.is_async else serve_and_tick

    def _list(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "value": self._values[name],
                "default": param.default,
                "type": param.type.__name__,
                "range": param.range,
                "unit": param.unit,
                "doc": param.doc,
            }
            for name, param in self._params.items()
        ]

    def _set(self, name: str, value: Any) -> Any:
        """Take a value, checked; return it as it was taken."""
        param = self._params.get(name)
        if param is None:
            raise self._unknown(name)
        try:
            self._values[name] = param.checked(value)
        except ParamError as error:
            raise ParamError(f"{self._node}.{name} {error}") from None
        return self._values[name]
