"""Reads what is wired on a rig, and the means by which it can be broken."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from horus.errors import did_you_mean
from horus.hal import config as hal_config
from horus.hal.config import Config, option, shown
from horus.hardware.config import BusEntry
from horus.hardware.conflicts import KIND_WORDS
from horus.hardware.yamltree import Faults, Tree
from horus.testing.rig.faults import KINDS, MEANS, breaker_type
from horus.testing.rig.file import Means, Wire
from horus.testing.rig.kinds import WIRES


@dataclass(frozen=True, kw_only=True)
class _Loopback(Config):
    ends: tuple[str, ...] = option(doc="the buses at its ends")


@dataclass(frozen=True, kw_only=True)
class _Known(Config):
    bus: str = option(doc="the I2C bus that the chip is on")
    address: int = option(low=0x08, high=0x77)


@dataclass(frozen=True, kw_only=True)
class _Constant(Config):
    reg: int = option(low=0, high=0xFF, doc="a register that always holds the same")
    value: int = option(low=0, high=0xFF)


#: Of each kind of wire: the kind of its buses, and how many.
_ENDS = {"can-loopback": ("can", 2), "serial-loopback": ("serial", 1), "i2c-known": ("i2c", 1)}


def read_wires(
    tree: Tree, buses: Mapping[str, BusEntry], written: Collection[str], faults: Faults
) -> dict[str, Wire]:
    """Return the wires of a rig's file; what is wrong goes to the faults."""
    return {
        name: wire
        for name, item in _named(tree, "wires", faults)
        if (wire := _wire(name, item, buses, written, faults)) is not None
    }


def _wire(
    name: str, item: Tree, buses: Mapping[str, BusEntry], written: Collection[str], faults: Faults
) -> Wire | None:
    place = f"wires.{name}"
    kind = word(item, place, "kind", WIRES, faults)
    if not kind:
        return None
    if kind == "i2c-known":
        read = item.items.pop("read", None)
        if read is None or not read.is_mapping:
            faults.add(item.line, f"{place}: read is missing: {{reg: 0x00, value: 0x00}}")
        known = _options(place, item, _Known, ("kind",), faults)
        holds = None
        if read is not None and read.is_mapping:
            holds = _options(f"{place}.read", read, _Constant, (), faults)
        if known is None or holds is None:
            return None
        wire = Wire(name, kind, (known.bus,), known.address, holds.reg, holds.value)
    else:
        loop = _options(place, item, _Loopback, ("kind",), faults)
        if loop is None:
            return None
        wire = Wire(name, kind, loop.ends)
    wanted, count = _ENDS[kind]
    line = item.key_lines.get("ends", item.key_lines.get("bus", item.line))
    if len(wire.ends) != count or len(set(wire.ends)) != count:
        text = f"{place}: a {kind} is between {count} different buses, not {list(wire.ends)}"
        faults.add(line, text if count > 1 else f"{place}: a {kind} is on one bus")
        return None
    for end in wire.ends:
        if end not in written:
            near = did_you_mean(end, written).replace("'", "")
            text = near or f"; known: {', '.join(written) or 'none'}"
            faults.add(line, f"{place}: unknown bus {end}{text}")
        elif end in buses and buses[end].backend.kind != wanted:
            is_a = KIND_WORDS[buses[end].backend.kind]
            faults.add(line, f"{place}: {end} is {is_a}, a {kind} is on {KIND_WORDS[wanted]}")
    return wire


def read_means(tree: Tree, places: Collection[str], faults: Faults) -> dict[str, dict[str, Means]]:
    """Return by what each device or bus can be given a fault; what is wrong goes to the faults."""
    found: dict[str, dict[str, Means]] = {}
    for name, item in _named(tree, "faults", faults):
        if name not in places:
            near = did_you_mean(name, places).replace("'", "")
            text = near or f"; known: {', '.join(places)}"
            faults.add(item.line, f"faults.{name}: unknown device or bus{text}")
        for kind, inner in item.items.items():
            place = f"faults.{name}.{kind}"
            if kind not in KINDS:
                near = did_you_mean(kind, KINDS).replace("'", "") or f"; known: {', '.join(KINDS)}"
                faults.add(item.key_lines[kind], f"{place}: unknown fault{near}")
            elif not inner.is_mapping:
                text = f"{place}: must be a mapping with by:, not {shown(inner.value)}"
                faults.add(inner.line, text)
            else:
                means = _means(place, inner, faults)
                if means is not None:
                    found.setdefault(name, {})[kind] = means
    return found


def _means(place: str, item: Tree, faults: Faults) -> Means | None:
    by = word(item, place, "by", MEANS, faults)
    if not by:
        return None
    options = _options(place, item, breaker_type(by).options_type, ("by",), faults)
    return Means(by, options) if options is not None else None


def _named(tree: Tree, key: str, faults: Faults) -> list[tuple[str, Tree]]:
    """Return the named mappings of a section."""
    section = tree.items.get(key)
    if section is None or section.value is None:
        return []
    if not section.is_mapping:
        faults.add(section.line, f"{key}: must be a mapping of names, not {shown(section.value)}")
        return []
    good = []
    for name, item in section.items.items():
        if item.is_mapping:
            item.line = section.key_lines[name]
            good.append((name, item))
        else:
            text = f"{key}.{name}: must be a mapping, not {shown(item.value)}"
            faults.add(section.key_lines[name], text)
    return good


def word(item: Tree, place: str, key: str, known: Collection[str], faults: Faults) -> str:
    """Return which of the known words stands after a key, or "" and a fault."""
    found = item.items.get(key)
    if found is None:
        faults.add(item.line, f"{place}: {key} is missing: one of {', '.join(known)}")
        return ""
    if isinstance(found.value, str) and found.value in known:
        return found.value
    near = ""
    if isinstance(found.value, str):
        near = did_you_mean(found.value, known).replace("'", "")
    text = near or f"; known: {', '.join(known)}"
    faults.add(found.line, f"{place}.{key}: unknown: {found.value}{text}")
    return ""


def _options(
    place: str, item: Tree, kind: type[Config], skip: tuple[str, ...], faults: Faults
) -> Any:
    """Return options made of a tree, or None and faults."""
    given = {key: inner.value for key, inner in item.items.items() if key not in skip}
    wrong = hal_config.faults(kind, given)
    for name, text in wrong:
        line = item.key_lines.get(name, item.line)
        faults.add(line, f"{place}.{name}: {text}" if name else f"{place}: {text}")
    return None if wrong else kind(**given)
