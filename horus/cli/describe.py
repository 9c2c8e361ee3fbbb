"""Drivers in words: what each is, its topics, options, twin and commands, all from the code."""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from horus.hal.config import Config, Option, options
from horus.hal.driver import Actuator, Driver, marked
from horus.hardware import topics
from horus.plugins import DriverEntry, PluginError

BUS_WORDS = {"i2c": "I2C", "can": "CAN", "serial": "serial", "modbus": "Modbus"}


@dataclass(frozen=True)
class Described:
    """One driver by name; without a class it cannot be used, and the problem says why."""

    name: str
    package: str
    driver: type[Driver[Any, Any]] | None
    problem: str = ""

    @property
    def bus(self) -> str:
        """Return the kind of bus, in words."""
        kind = self.driver.map_type.bus_kind if self.driver else ""
        return BUS_WORDS.get(kind, kind)

    @property
    def device(self) -> str:
        """Return what device it is: the first sentence of the driver's file."""
        if self.driver is None:
            return "cannot be used"
        text = inspect.getdoc(sys.modules[self.driver.__module__]) or self.driver.__doc__
        return first_sentence(text).removesuffix(f", on {self.bus}")

    @property
    def topics(self) -> list[tuple[str, str, str]]:
        """Return topic, message and direction of each, with ``<name>`` for the device's name."""
        return topics_of("<name>", self.driver) if self.driver else []


def first_sentence(text: str | None) -> str:
    """Return the first sentence of a docstring, on one line and without its full stop."""
    paragraph = " ".join((text or "").split("\n\n")[0].split()).replace("``", "")
    return re.split(r"\.(?:\s|$)", paragraph)[0]


def described(entry: DriverEntry) -> Described:
    """Describe a driver; it is imported."""
    package = entry.plugin.package
    try:
        driver = entry.load()
    except PluginError as error:
        return Described(entry.name, package, None, str(error))
    lacks = "; ".join(topics.lacking(driver))
    if lacks:
        return Described(entry.name, package, None, f"{entry} is not complete: {lacks}")
    return Described(entry.name, package, driver)


def topics_of(name: str, driver: type[Driver[Any, Any]]) -> list[tuple[str, str, str]]:
    """Return topic, message and direction of each topic of a device but its status."""
    found = []
    if issubclass(driver, Actuator):
        message = topics.command_type(driver).__name__
        found.append((topics.command_topic(name), message, "to the device"))
    found.append((topics.data_topic(name, driver), topics.data_type(driver).__name__, "from it"))
    for method, kind in topics.output_types(driver).items():
        found.append((topics.output_topic(name, method), kind.__name__, "from it"))
    return found


def option_rows(config: type[Config]) -> list[tuple[str, str, str, str]]:
    """Return name, allowed values, default and meaning of each option."""
    return [
        (about.name, _values(about), _default(about), about.doc)
        for about in options(config).values()
    ]


def stimulus_rows(driver: type[Driver[Any, Any]]) -> list[tuple[str, str, str]]:
    """Return name, values and meaning of what can be set on the driver's twin."""
    if driver.twin is None:
        return []
    rows = []
    for name, about in driver.twin.stimuli.items():
        default = about.default
        many = f"{len(default)} numbers" if isinstance(default, tuple) else "a number"
        words = "true or false" if isinstance(default, bool) else many
        if about.low > float("-inf") or about.high < float("inf"):
            words += f" from {about.low:g} to {about.high:g}"
        rows.append((name, f"{words} {about.unit}".rstrip(), about.doc))
    return rows


def command_rows(driver: type[Driver[Any, Any]]) -> list[tuple[str, str]]:
    """Return name with arguments and meaning of the commands that can be called by name."""
    rows = []
    for name, function in marked(driver, "command").items():
        arguments = [
            str(p) for n, p in inspect.signature(function).parameters.items() if n != "self"
        ]
        rows.append((f"{name}({', '.join(arguments)})", _first_line(function)))
    return rows


def option_json(config: type[Config]) -> dict[str, dict[str, Any]]:
    """Return the options with their limits for programs."""
    return {
        about.name: {
            "type": _type_word(about.type),
            "required": about.required,
            "default": _plain(about.default),
            "choices": list(get_args(about.type)) if _is_choice(about) else None,
            "unit": about.unit,
            "low": about.low,
            "high": about.high,
            "above": about.above,
            "doc": about.doc,
        }
        for about in options(config).values()
    }


def _values(about: Option) -> str:
    if _is_choice(about):
        return f"{about.range} {about.unit}".rstrip().replace("'", "")
    if about.type is bool:
        return "true or false"
    return about.range or _type_word(about.type)


def _default(about: Option) -> str:
    if about.required:
        return "must be given"
    if about.default is None or about.default in ("", ()):
        return ""
    if isinstance(about.default, bool):
        return str(about.default).lower()
    if isinstance(about.default, tuple):
        return str(list(about.default))
    shown = (
        f"{about.default:.12g}" if isinstance(about.default, float) else about.show(about.default)
    )
    return shown.strip("'")


def _is_choice(about: Option) -> bool:
    from typing import Literal

    return get_origin(about.type) is Literal


def _type_word(wanted: Any) -> str:
    if get_origin(wanted) is tuple:
        return "list of " + _type_word(get_args(wanted)[0])
    inner = [argument for argument in get_args(wanted) if argument is not type(None)]
    if inner and isinstance(inner[0], type):
        return _type_word(inner[0])
    words = {int: "whole number", float: "number", bool: "true or false", str: "text"}
    return words.get(wanted, "file" if getattr(wanted, "__name__", "") == "Path" else "choice")


def _plain(value: Any) -> Any:
    return (
        value if isinstance(value, (int, float, str, bool, list, tuple, type(None))) else str(value)
    )


def _first_line(function: Any) -> str:
    return (inspect.getdoc(function) or "").partition("\n")[0]
