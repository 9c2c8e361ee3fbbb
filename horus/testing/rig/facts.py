"""What is known of a device on a rig, with which its samples are compared: ``facts:`` of its file.

| fact | of what | says |
|---|---|---|
| ``still: true`` | an IMU | it lies still: it measures g and does not turn |
| ``up: z`` | an IMU that is still | which of its axes points up; ``-z`` points down |
| ``identity: text`` | any | what the device must say that it is |
| ``good: number`` | what moves | a command that harms nothing (rad/s, or rad) |
| a field of its message | any | the value that it measures, within 5 % |

A fact that no check would look at is a fault of the file: a check could pass without a measurement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from horus.errors import did_you_mean
from horus.hal.config import shown
from horus.hal.driver import Actuator, Driver
from horus.hardware.topics import data_type
from horus.hardware.yamltree import Faults, Tree, as_number
from horus.msgs import Imu

#: Facts that are no measurement.
ABOUT = ("identity", "good")
_AXES = tuple(f"{sign}{axis}" for axis in "xyz" for sign in ("", "+", "-"))
_NOT_MEASURED = ("stamp", "mock")


def read_facts(
    place: str, tree: Tree, driver: type[Driver[Any, Any]], faults: Faults
) -> Mapping[str, Any]:
    """Return the facts of a device; what its driver cannot be compared with goes to the faults."""
    message = data_type(driver)
    fields = _fields(message)
    known = [*(("still", "up") if issubclass(message, Imu) else ()), "identity"]
    known += [*(("good",) if issubclass(driver, Actuator) else ()), *fields]
    found: dict[str, Any] = {}
    for name, item in tree.items.items():
        value = as_number(item.value)
        if name not in known:
            near = did_you_mean(name, known).replace("'", "")
            text = "unknown" + (near or f"; known: {', '.join(known)}")
        else:
            text = _wrong(name, value)
        if text:
            faults.add(tree.key_lines[name], f"{place}.{name}: {text}")
        else:
            found[name] = value
    if "up" in found and not found.get("still"):
        text = "is measured of what lies still: add still: true"
        faults.add(tree.key_lines["up"], f"{place}.up: {text}")
    return found


def measured(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the facts that samples are compared with."""
    return {n: value for n, value in facts.items() if n not in ABOUT and value is not False}


def _fields(message: type) -> list[str]:
    """Return the fields of a message that are one number."""
    spec = getattr(message, "__horus_spec__", None)
    return [
        field.name
        for field in (spec.fields if spec is not None else ())
        if field.kind == "scalar" and field.code != "?" and field.name not in _NOT_MEASURED
    ]


def _wrong(name: str, value: object) -> str:
    """Return what is wrong with the value of a known fact."""
    if name == "still":
        return "" if isinstance(value, bool) else f"must be true or false, not {shown(value)}"
    if name == "up":
        what = "must be an axis such as z or -z"
        return "" if value in _AXES else f"{what}, not {shown(value)}"
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if name == "identity":
        fits = number or (isinstance(value, str) and bool(value.strip()))
        return "" if fits else f"must be text, not {shown(value)}"
    finite = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return "" if number and finite else f"must be a number, not {shown(value)}"
