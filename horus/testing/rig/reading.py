"""Reads rig files: every fault at once, with its line and what was probably meant."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from horus.errors import ConfigError, did_you_mean
from horus.hal.config import shown
from horus.hardware.config import RobotConfig, robot_of
from horus.hardware.yamltree import Faults, Tree, as_number, read
from horus.plugins import PluginError, drivers
from horus.testing.rig import matching
from horus.testing.rig.facts import read_facts
from horus.testing.rig.file import RigDevice, RigFile
from horus.testing.rig.kinds import CHECKS, HAZARDS, RIGS
from horus.testing.rig.parts import read_means, read_wires, word

_TOP = ("rig", "buses", "hardware", "wires", "faults")
_RIG = ("name", "kind", "allow")
#: What a device has here and not in horus.yaml.
_DEVICE = ("facts", "limits", "hazard", "checks")
#: Where a bus is that has not been looked for yet.
NOT_YET = "/not/looked/for/yet/"


def read_rig(path: Path) -> RigFile:
    """Return the rig of a file; all faults are one `ConfigError`."""
    faults = Faults(str(path))
    tree = read(path, faults)
    found = _RigReader(path, faults).rig(tree) if tree is not None else None
    if faults or found is None:
        raise ConfigError(faults)
    return found


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
        if about is None and "rig" not in tree.items:
            self.faults.add(tree.line, "rig: is missing: it needs kind: real, virtual or mock")
        about = about or Tree({}, tree.line)
        about.line = tree.key_lines.get("rig", tree.line)
        kind = word(about, "rig", "kind", RIGS, self.faults) if "rig" in tree.items else ""
        allow = frozenset(self.words(about, "rig", "allow", HAZARDS, "hazard"))
        matches = {n: self.match(n, item) for n, item in self.inner(tree, "buses")}
        extras = {n: self.extras(n, item, allow) for n, item in self.inner(tree, "hardware")}
        robot = robot_of(tree, self.path, self.faults, _TOP)
        if robot is None:
            return None
        if not self.items(tree, "hardware") and not self.items(tree, "wires"):
            self.faults.add(tree.line, "a rig needs a device under hardware: or a wire")
        return RigFile(
            self.name(about),
            kind,
            self.path,
            allow,
            robot,
            {n: RigDevice(entry, *extras[n]) for n, entry in robot.hardware.items()},
            {name: match for name, match in matches.items() if match},
            read_wires(tree, robot.buses, self.items(tree, "buses"), self.faults),
            read_means(tree, self.places(tree, robot), self.faults),
        )

    def name(self, about: Tree) -> str:
        item = about.items.get("name")
        if item is None:
            return self.path.stem
        if not isinstance(item.value, str) or not item.value.strip() or len(item.value) > 64:
            text = f"rig.name: must be a short text, not {shown(item.value)}"
            self.faults.add(item.line, text)
            return ""
        return item.value

    def match(self, name: str, item: Tree) -> dict[str, str]:
        """Take the marks by which a bus is to be found out of its tree, and stand in for it."""
        place = f"buses.{name}.match"
        use = str(item.items["use"].value) if "use" in item.items else ""
        family = matching.FAMILIES.get(use)
        match = self.mapping(item, "match", place, matching.keys_of(use))
        line = item.key_lines.get("match", item.line)
        item.items.pop("match", None)
        if match is None:
            return {}
        if family is None:
            if use:  # else that is told by who reads the bus
                can = ", ".join(matching.FAMILIES)
                self.faults.add(line, f"{place}: only {can} can be matched, not {use}")
            return {}
        if not match.items:
            self.faults.add(line, f"{place}: is empty: it takes {', '.join(matching.keys_of(use))}")
        option = family[1]
        if option in item.items:
            at = item.key_lines[option]
            self.faults.add(at, f"buses.{name}: give {option} or match, not both")
        item.items[option] = Tree(NOT_YET + name, line)
        item.key_lines[option] = line
        return {key: self.mark(f"{place}.{key}", key, inner) for key, inner in match.items.items()}

    def mark(self, place: str, key: str, item: Tree) -> str:
        value = item.value
        if isinstance(value, int) and not isinstance(value, bool) and key in ("interface", "port"):
            return f"{value:x}"
        if not isinstance(value, str) or not value.strip():
            text = f"must be text in quotes: {matching.KEYS.get(key, 'a mark')}"
            self.faults.add(item.line, f"{place}: {text}, not {shown(value)}")
            return ""
        return value

    def extras(
        self, name: str, item: Tree, allow: frozenset[str]
    ) -> tuple[
        Mapping[str, Any], Mapping[str, float], frozenset[str] | None, frozenset[str] | None
    ]:
        """Take facts, limits, hazards and checks out of a device's tree."""
        place = f"hardware.{name}"
        facts = self.facts(f"{place}.facts", item)
        limits = self.mapping(item, "limits", f"{place}.limits")
        hazards = None
        if "hazard" in item.items:
            hazards = frozenset(self.words(item, place, "hazard", HAZARDS, "hazard"))
            for hazard in sorted(hazards - allow):
                text = f"{place}.hazard: {hazard} is not in rig.allow: add it there, or take it out"
                self.faults.add(item.key_lines["hazard"], text)
        checks = None
        if "checks" in item.items:
            checks = frozenset(self.words(item, place, "checks", CHECKS, "check"))
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
        return facts, found, hazards, checks

    def facts(self, place: str, item: Tree) -> Mapping[str, Any]:
        """Return what is known of a device, if its driver is: that is told by `robot_of`."""
        facts = self.mapping(item, "facts", place)
        use = str(item.items["use"].value) if "use" in item.items else ""
        if facts is None or use not in drivers():
            return {}
        try:
            driver = drivers()[use].load()
        except PluginError:
            return {}
        return read_facts(place, facts, driver, self.faults)

    # what several places need -----------------------------------------------------------------

    def items(self, tree: Tree, key: str) -> Mapping[str, Tree]:
        """Return what is in a section of the file."""
        section = tree.items.get(key)
        return section.items if section is not None else {}

    def inner(self, tree: Tree, key: str) -> list[tuple[str, Tree]]:
        """Return the named mappings of a section; `robot_of` tells what else is in it."""
        return [(name, item) for name, item in self.items(tree, key).items() if item.is_mapping]

    def places(self, tree: Tree, robot: RobotConfig) -> list[str]:
        """Return the devices and buses, those with faults of their own included."""
        found = dict.fromkeys([*self.items(tree, "hardware"), *self.items(tree, "buses")])
        return list(found | dict.fromkeys([*robot.hardware, *robot.buses]))

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

    def words(
        self, tree: Tree, place: str, key: str, known: Collection[str], what: str
    ) -> list[str]:
        """Return a list of words of which each is known."""
        item = tree.items.get(key)
        if item is None or item.value is None:
            return []
        given = item.value if isinstance(item.value, list) else [item.value]
        lines = [one.line for one in item.elements] or [item.line] * len(given)
        for one, line in zip(given, lines, strict=True):
            if not isinstance(one, str) or one not in known:
                near = did_you_mean(str(one), known).replace("'", "")
                text = near or f"; known: {', '.join(known)}"
                self.faults.add(line, f"{place}.{key}: unknown {what} {one}{text}")
        return [one for one in given if isinstance(one, str) and one in known]
