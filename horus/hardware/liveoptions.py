"""Options of a device that a person changes while it runs, as `horus param` shows and sets them.

    horus param set left_wheel.max_velocity 3

They are served on the thread of the device's node, between its ticks, under ``<device>.params``, as
the parameters of any node. What limits a device may be lowered, and raised again up to what
horus.yaml says, never above: that file is what people have agreed on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

from horus.errors import did_you_mean
from horus.hal.config import ActuatorConfig, DriverConfig, Option, options
from horus.hardware.slew import ramp_of
from horus.node.calls import Calls
from horus.node.params import SUFFIX, ParamError

__all__ = ["LiveOptions", "live_options"]

#: Options of every device that its node takes care of itself; each may be lowered.
_OF_ALL = ("rate", "command_timeout")
_RAMP = "max_acceleration"


def live_options(config: DriverConfig) -> dict[str, Option]:
    """Return the options that may be changed while a device runs, with the range they then have.

    ``config`` is what horus.yaml says.
    """
    found = {}
    ramped = isinstance(config, ActuatorConfig) and ramp_of(config) is not None
    for name, about in options(type(config)).items():
        value = getattr(config, name)
        ours = name in _OF_ALL or (name == _RAMP and ramped)
        if value is None or not (ours or about.live):
            continue
        limits = ours or about.live == "lower"
        if limits and value == about.low:
            continue  # nothing is lower
        found[name] = dataclasses.replace(about, high=value) if limits else about
    return found


class LiveOptions:
    """Those of one device; ``adopt`` takes a new configuration and the option that changed."""

    def __init__(
        self, device: str, config: DriverConfig, adopt: Callable[[DriverConfig, str], object]
    ) -> None:
        self._device = device
        self._first = self._config = config
        self._adopt = adopt
        self._options = live_options(config)
        doc = f"options of {device}"
        self._calls = Calls(device + SUFFIX, {"list": self._list, "set": self._set}, doc=doc)

    def serve(self) -> None:
        """Answer what was asked and take what was set; never waits."""
        self._calls.serve()

    def close(self) -> None:
        """Answer nobody any more."""
        self._calls.close()

    def _list(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "value": getattr(self._config, name),
                "default": getattr(self._first, name),
                "type": _type(about).__name__,
                "range": about.range,
                "unit": about.unit,
                "doc": about.doc,
            }
            for name, about in self._options.items()
        ]

    def _set(self, name: str, value: Any) -> Any:
        """Take a value, checked; return it as it was taken."""
        about = self._options.get(name)
        if about is None:
            known = ", ".join(self._options)
            near = did_you_mean(name, self._options) or f"; while it runs: {known}"
            raise ParamError(f"{self._device} has no parameter {name!r}{near}")
        value, text = about.check(value)
        if text:
            why = ""
            if about.high != options(type(self._first))[name].high:
                why = f" (horus.yaml: {getattr(self._first, name):g})"
            raise ParamError(f"{self._device}.{name} {text}{why}")
        try:
            config = dataclasses.replace(self._config, **{name: value})
        except ValueError as error:  # it does not go with the others
            raise ParamError(f"{self._device}.{name}: {error}") from None
        self._adopt(config, name)
        self._config = config
        return value


def _type(about: Option) -> type:
    choices = get_args(about.type) if get_origin(about.type) is Literal else ()
    return (
        type(choices[0])
        if choices
        else next(kind for kind in (*get_args(about.type), about.type) if isinstance(kind, type))
    )
