"""Reads rig files: every fault at once, with its line and what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from horus.errors import ConfigError, did_you_mean
from horus.hal.config import shown
from horus.hardware.config import robot_of
from horus.hardware.yamltree import Faults, Tree, as_number, read
from horus.testing.rig.file import RigDevice, RigFile
from horus.testing.rig.kinds import HAZARDS, RIGS

_TOP = ("rig", "buses", "hardware", "wires", "faults")
_RIG = ("name", "kind", "allow")
#: What a device has here and not in horus.yaml.
_DEVICE = ("facts", "limits", "hazard")


def read_rig(path: Path) -> RigFile:
    """Return the rig of a file; all faults are one `ConfigError`."""
    faults = Faults(str(path))
    tree = read(path, faults)
    found = _RigReader(path, faults).rig(tree) if tree is not None else None
    if faults or found is None:
        raise ConfigError(faults)
    return found


def known_word(
    faults: Faults, line: int, place: str, value: object, known: Iterable[str], what: str
) -> str:
    """Return a word out of those that are known, or "" and a fault."""
    known = tuple(known)
    if isinstance(value, str) and value in known:
        return value
    near = did_you_mean(value, known).replace("'", "") if isinstance(value, str) else ""
    shows = value if isinstance(value, str) and value.isprintable() else shown(value)
    faults.add(line, f"{place}: unknown {what} {shows}{near or '; known: ' + ', '.join(known)}")
    return ""


class _RigReader:
    """Takes what is the rig's own out of a tree, and reads the rest as a horus.yaml."""

    def __init__(self, path: Path, faults: Faults) -> None:
        self.path = path
        self.faults = faults

    def rig(self, tree: Tree) -> RigFile | None:
        if not tree.is_mapping:
            what = "empty" if tree.value is None else "not a mapping"
            self.faults.add(tree.line, f"the file is {what}: a rig needs {', '.join(_TOP)}")
            return None
        about = self.mapping(tree, "rig", "rig", _RIG)
        if about is None:
            self.faults.add(tree.line, "rig: is missing: it needs name and kind")
            about = Tree({}, tree.line)
        name = self.text(about, "name", self.path.stem)
        kind_tree = about.items.get("kind")
        if kind_tree is None:
            text = f"rig: kind is missing: one of {', '.join(RIGS)}"
            self.faults.add(tree.key_lines.get("rig", 1), text)
            kind = ""
        else:
            kind = known_word(
                self.faults, kind_tree.line, "rig.kind", kind_tree.value, RIGS, "kind"
            )
        allow = self.words(about, "rig", "allow", HAZARDS, "hazard")
        extras = {n: self.device_extras(n, t) for n, t in self.inner(tree, "hardware")}
        robot = robot_of(tree, self.path, self.faults, _TOP)
        if robot is None:
            return None
        if not robot.hardware and not self.faults:
            self.faults.add(tree.line, "hardware: a rig needs at least one device")
        devices = {
            n: RigDevice(entry, *extras.get(n, ({}, {}, ()))) for n, entry in robot.hardware.items()
        }
        return RigFile(name, kind, self.path, frozenset(allow), robot, devices)

    def device_extras(
        self, name: str, item: Tree
    ) -> tuple[Mapping[str, Any], Mapping[str, float], tuple[str, ...]]:
        """Take facts, limits and hazards out of a device's tree."""
        place = f"hardware.{name}"
        facts = self.mapping(item, "facts", f"{place}.facts")
        limits = self.mapping(item, "limits", f"{place}.limits")
        hazards = self.words(item, place, "hazard", HAZARDS, "hazard")
        found: dict[str, float] = {}
        for key, inner in limits.items.items() if limits else ():
            number = as_number(inner.value)
            if isinstance(number, (int, float)) and not isinstance(number, bool):
                found[key] = float(number)
            else:
                text = f"{place}.limits.{key}: must be a number, not {shown(inner.value)}"
                self.faults.add(inner.line, text)
        for key in _DEVICE:
            item.items.pop(key, None)
        values: Any = facts.value if facts else {}
        return values, found, tuple(hazards)

    # what several places need -----------------------------------------------------------------

    def inner(self, tree: Tree, key: str) -> list[tuple[str, Tree]]:
        """Return the named mappings of a section; `robot_of` tells what else is in it."""
        section = tree.items.get(key)
        found = section.items.items() if section is not None else ()
        return [(name, item) for name, item in found if item.is_mapping]

    def mapping(self, tree: Tree, key: str, place: str, known: tuple[str, ...] = ()) -> Tree | None:
        """Return a mapping, or None; one with keys that are not known is a fault each."""
        item = tree.items.get(key)
        if item is None or item.value is None:
            return None
        if not item.is_mapping:
            self.faults.add(item.line, f"{place}: must be a mapping, not {shown(item.value)}")
            return None
        for name, line in item.key_lines.items() if known else ():
            if name not in known:
                near = did_you_mean(name, known).replace("'", "")
                text = near or f"; known: {', '.join(known)}"
                self.faults.add(line, f"{place}.{name}: unknown{text}")
        return item

    def text(self, tree: Tree, key: str, default: str) -> str:
        item = tree.items.get(key)
        if item is None:
            return default
        if not isinstance(item.value, str) or not item.value.strip() or len(item.value) > 64:
            text = f"rig.{key}: must be a short text, not {shown(item.value)}"
            self.faults.add(item.line, text)
            return default
        return item.value

    def words(self, tree: Tree, place: str, key: str, known: Iterable[str], what: str) -> list[str]:
        """Return a list of words of which each is known."""
        item = tree.items.get(key)
        if item is None or item.value is None:
            return []
        given = item.value if isinstance(item.value, list) else [item.value]
        lines = [one.line for one in item.elements] or [item.line] * len(given)
        found = [
            known_word(self.faults, line, f"{place}.{key}", one, known, what)
            for one, line in zip(given, lines, strict=True)
        ]
        return [word for word in found if word]
