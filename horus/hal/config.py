"""Options of devices, buses and twins: dataclasses whose fields know their unit and their range."""

from __future__ import annotations

import dataclasses
import math
import reprlib
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from horus.errors import did_you_mean

_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a file",
}

Live = Literal["", "any", "lower"]
_PLURALS = {int: "whole numbers", float: "numbers", str: "texts"}


class _Short(reprlib.Repr):
    """Shortens what is long; a number so long that Python may refuse to write it is described."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 3, 200, 200

    def repr_int(self, value: int, _level: int) -> str:
        digits = int((value.bit_length() - 1) * math.log10(2)) + 1
        return repr(value) if digits <= 25 else f"a number of about {digits} digits"


def shown(value: object) -> str:
    """Return any value as a fault shows it: as in Python, but never long."""
    return _Short().repr(value)


#: The least value of what must be greater than 0, by unit. With less no device has a use, and what
#: is divided by it is beyond all bounds.
_LEAST = {"Hz": 1e-3, "s": 1e-6}
_LEAST_OF_ALL = 1e-9


@dataclass(frozen=True)
class Option:
    """What is known about one option."""

    name: str
    type: Any
    required: bool
    default: Any
    unit: str = ""
    low: float | None = None
    high: float | None = None
    above: float | None = None
    doc: str = ""
    #: Raises a `ValueError` for a value of the right type that is wrong all the same.
    also: Callable[[Any], object] | None = None
    #: Whether it may be changed while the device runs: to ``any`` value in range, or ``lower``.
    live: Live = ""

    @property
    def range(self) -> str:
        """Return the allowed values in words; "" when any will do."""
        if get_origin(self.type) is Literal:
            return ", ".join(self.show(value) for value in get_args(self.type))
        unit = f" {self.unit}" if self.unit else ""
        low, high, above = map(_plain, (self.low, self.high, self.above))
        if above:
            return f"greater than {above}{high and f' and at most {high}'}{unit}"
        if low and high:
            return f"from {low} to {high}{unit}"
        return f"{low and f'at least {low}'}{high and f'at most {high}'}{unit}"

    def show(self, value: object) -> str:
        """Return a value as it is written in horus.yaml; addresses in hex."""
        if self.name == "address" and isinstance(value, int) and not isinstance(value, bool):
            return f"0x{value:02X}" if abs(value) < 1 << 64 else shown(value)
        return shown(value)

    def check(self, value: object) -> tuple[Any, str]:
        """Return the value in its own type, and what is wrong with it ("" when nothing is)."""
        wanted, written = self.type, value
        if get_origin(wanted) in (Union, types.UnionType):
            if value is None and type(None) in get_args(wanted):
                return None, ""
            wanted = next(arg for arg in get_args(wanted) if arg is not type(None))
        if get_origin(wanted) is Literal:
            for choice in get_args(wanted):
                if choice == value and isinstance(choice, bool) == isinstance(value, bool):
                    return choice, ""
            return value, f"must be one of {self.range}, not {self.show(value)}"
        if get_origin(wanted) is tuple:
            return self._check_list(value, get_args(wanted)[0])
        if wanted is Path and isinstance(value, str) and value:
            value = Path(value)
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            fits = abs(value) <= sys.float_info.max
            value = float(value) if fits else math.inf
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            unit = f" ({self.unit})" if self.unit else ""
            return value, f"must be {_WORDS.get(wanted, wanted)}{unit}, not {shown(value)}"
        if isinstance(value, str) and not value.isprintable():
            return value, f"must be text that can be printed, not {shown(value)}"
        if self.required and isinstance(value, str) and not value.strip():
            return value, "must not be empty"
        text = self._check_range(value, written)
        if not text and self.also is not None:
            try:
                self.also(value)
            except ValueError as error:
                text = str(error)
        return value, text

    def _check_list(self, value: object, wanted: Any) -> tuple[Any, str]:
        """Check a list such as ``[1, 2, 3]``: one or more different values, each in range."""
        what = f"a list of {_PLURALS.get(wanted, 'values')}"
        if not isinstance(value, (list, tuple)) or not value:
            return value, f"must be {what}, such as [1, 2], not {shown(value)}"
        one = dataclasses.replace(self, type=wanted)
        made = []
        for number, item in enumerate(value, 1):
            item, text = one.check(item)
            if text:
                return value, f"item {number} {text}"
            if wanted is int and item in made:
                return value, f"has {shown(item)} twice"
            made.append(item)
        return tuple(made), ""

    def _check_range(self, value: object, written: object) -> str:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return ""
        finite = isinstance(value, int) or math.isfinite(value)  # an int may be too long for it
        inside = (
            finite
            and (self.above is None or value > self.above)
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
        )
        least = _LEAST.get(self.unit, _LEAST_OF_ALL)
        if inside and self.above == 0 and value < least:
            unit = f" {self.unit}" if self.unit else ""
            return f"must be at least {_plain(least)}{unit}, not {self.show(written)}"
        words = self.range if finite else "a finite number"
        return "" if inside else f"must be {words}, not {self.show(written)}"


def _plain(limit: float | None) -> str:
    return "" if limit is None else f"{limit:.12g}"


def option(
    default: Any = dataclasses.MISSING,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    doc: str = "",
    also: Callable[[Any], object] | None = None,
    live: Live = "",
) -> Any:
    """Declare an option with its unit and range; without a default it must be given.

    ``also`` raises a `ValueError` for a value that is wrong for a reason of its own. ``live`` lets
    a person change it while the device runs: to ``"any"`` value in range, or, of a limit,
    ``"lower"`` than horus.yaml says. The driver reads it from `self.config` whenever it uses it, or
    is told by `Driver.changed`.
    """
    about: dict[str, Any] = {"unit": unit, "low": low, "high": high, "above": above, "doc": doc}
    about |= {"also": also, "live": live}
    return dataclasses.field(default=default, metadata=about)


def options(config: type) -> dict[str, Option]:
    """Return the options of a configuration class by name."""
    hints = get_type_hints(config)
    return {
        field.name: Option(
            field.name,
            hints[field.name],
            field.default is dataclasses.MISSING,
            None if field.default is dataclasses.MISSING else field.default,
            **field.metadata,
        )
        for field in dataclasses.fields(config)
    }


def faults(config: type, values: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return all that is wrong with option values, as (option, text); "" stands for the whole."""
    known = options(config)
    found = []
    hints = []
    for name, value in values.items():
        if name not in known:
            hints.append(did_you_mean(name, known))
            near = hints[-1].replace("'", "")
            found.append((name, f"unknown option{near or '; known: ' + ', '.join(known)}"))
            continue
        text = known[name].check(value)[1]
        if text:
            found.append((name, text))
    for name, about in known.items():
        misspelt = did_you_mean(name, [name]) in hints  # which is said already
        if about.required and name not in values and not misspelt:
            allowed = f" ({about.range})" if about.range else ""
            found.append(("", f"option {name} is missing{allowed}"))
    return found or _contradictions(config, known, values)


def _contradictions(
    config: type, known: Mapping[str, Option], values: Mapping[str, object]
) -> list[tuple[str, str]]:
    """Return what is wrong between options each of which is right."""
    made: Any = object.__new__(config)
    for name, about in known.items():
        value = about.check(values[name])[0] if name in values else about.default
        object.__setattr__(made, name, value)
    return list(made.contradictions()) if isinstance(made, Config) else []


@dataclass(frozen=True, kw_only=True)
class Config:
    """Base of all options: a value out of range is a `ValueError` that names each such option."""

    def __post_init__(self) -> None:
        wrong = []
        for name, about in options(type(self)).items():
            value, text = about.check(getattr(self, name))
            if text:
                wrong.append(f"{name} {text}")
            else:
                object.__setattr__(self, name, value)
        wrong = wrong or [f"{name} {text}" for name, text in self.contradictions()]
        if wrong:
            raise ValueError(f"{type(self).__name__}: " + "; ".join(wrong))

    def contradictions(self) -> list[tuple[str, str]]:
        """Return what is wrong between options that are right one by one, as (option, text)."""
        return []


def _axes(text: str) -> None:
    """Refuse what is not three signed axes, right-handed; "" is allowed."""
    if text:
        signed_axes(text)


def signed_axes(text: str) -> tuple[tuple[float, float, float], ...]:
    """Return the rows of the rotation that ``"+y -x +z"`` describes; else a `ValueError`."""
    words = text.lower().split()
    rows = []
    for word in words:
        sign, axis = (word[0], word[1:]) if word[0] in "+-" else ("+", word)
        if axis not in ("x", "y", "z"):
            break
        one = -1.0 if sign == "-" else 1.0
        rows.append((one * (axis == "x"), one * (axis == "y"), one * (axis == "z")))
    if len(words) != 3 or len(rows) != 3:
        raise ValueError(f'must be three axes such as "+y -x +z", not {shown(text)}')
    (a, b, c), (d, e, f), (g, h, i) = rows
    handedness = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    if handedness == 0:
        raise ValueError(f"{shown(text)} names an axis twice")
    if handedness < 0:
        raise ValueError(f"{shown(text)} is a mirror image: one of its signs is wrong")
    return tuple(rows)


@dataclass(frozen=True, kw_only=True)
class DriverConfig(Config):
    """Options of every device."""

    rate: float = option(50.0, unit="Hz", above=0, high=10_000, doc="samples a second")
    frame: str = option("", doc="name of the frame of reference the samples are in")
    mount: str = option(
        "", doc='which sensor axes point along x, y, z of the frame, such as "+y -x +z"', also=_axes
    )
    stale_after: float = option(
        0.5, unit="s", above=0, high=3600, doc="no new sample for this long is a fault"
    )


@dataclass(frozen=True, kw_only=True)
class ActuatorConfig(DriverConfig):
    """Options of everything that moves."""

    rate: float = option(100.0, unit="Hz", above=0, high=10_000, doc="commands and states a second")
    command_timeout: float = option(
        0.25,
        unit="s",
        above=0,
        high=10,
        doc="without a fresh command for this long it is made safe",
    )
    max_acceleration: float | None = option(
        None,
        unit="rad/s²",
        above=0,
        high=1e6,
        doc="velocities that are commanded are ramped; a stop is not. Without it there is no ramp",
    )


@dataclass(frozen=True, kw_only=True)
class SimConfig(Config):
    """Options of every simulated twin, given under ``mock:``."""

    seed: int = option(1, low=0, doc="same seed, same noise")
    play: Path | None = option(None, doc="CSV of stimuli over time: seconds, then one a column")
    replay: Path | None = option(
        None, doc="recorded bus traffic (horus record --bus) to play in the twin's place"
    )

    def contradictions(self) -> list[tuple[str, str]]:
        """Return that both are played."""
        both = self.play is not None and self.replay is not None
        return [("replay", "cannot be played together with play")] if both else []


@dataclass(frozen=True, kw_only=True)
class BusConfig(Config):
    """Options of every bus."""
