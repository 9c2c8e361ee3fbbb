"""Writes present values of parameters into horus.yaml: `horus param save`.

Comments, order and layout stay as they are (`horus.hardware.yamledit`). What is written is read
as a robot's description first, so that no file is left which could not be run.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from horus.errors import ConfigError, HorusError
from horus.hardware import config, yamledit
from horus.hardware.yamltree import Faults, Tree, as_number, read

__all__ = ["Change", "Setting", "read_text", "with_settings", "write"]

Value = bool | int | float | str


@dataclass(frozen=True)
class Setting:
    """The present value of a parameter of a node, or of an option of a device."""

    node: str
    name: str
    value: Value
    #: What it has when horus.yaml says nothing.
    default: Value
    #: The node file that has it, and the name of its process; "" and "" for a device.
    file: str = ""
    process: str = ""


@dataclass(frozen=True)
class Change:
    """One value that is written."""

    node: str
    name: str
    old: Value
    new: Value


def read_text(path: Path) -> str:
    """Return a file's text, line ends as they are; one that is not right is a `RobotError`."""
    config.load(path)
    return path.read_bytes().decode("utf-8")


def with_settings(
    path: Path, text: str, settings: Sequence[Setting]
) -> tuple[str, list[Change], list[str]]:
    """Return the text of a horus.yaml with settings in it, what changes, and what cannot be."""
    changes: list[Change] = []
    problems: list[str] = []
    shared = _shared(settings)
    for setting in settings:
        try:
            tree = _tree(path, text)
            place, old = _place(path.parent, tree, setting, setting in shared)
            if old is None:
                old = setting.default
            if type(old) is type(setting.value) and old == setting.value:
                continue
            text = _put(text, tree, place, _short(setting.value))
            changes.append(Change(setting.node, setting.name, old, setting.value))
        except HorusError as error:
            problems.append(f"{setting.node}.{setting.name}: {error}")
    return text, changes, problems


def _short(value: Value) -> Value:
    """Return a number as people write it: 50, and not 50.0."""
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return int(value) if whole else value


def _shared(settings: Iterable[Setting]) -> set[Setting]:
    """Return the settings whose name another node of the same process has too."""
    found: dict[tuple[str, str], list[Setting]] = {}
    for setting in settings:
        found.setdefault((setting.process, setting.name), []).append(setting)
    return {one for many in found.values() if len(many) > 1 for one in many}


def _tree(path: Path, text: str) -> Tree:
    faults = Faults(str(path))
    tree = read(path, faults, text)
    if tree is None or faults:
        raise ConfigError(faults)
    return tree


def _place(
    folder: Path, tree: Tree, setting: Setting, shared: bool
) -> tuple[list[str | int], Value | None]:
    """Return where in the file a setting belongs, and what is there."""
    if not setting.file:
        device = tree.items["hardware"].items[setting.node]
        found = device.items.get(setting.name)
        place: list[str | int] = ["hardware", setting.node, setting.name]
        return place, None if found is None else _as(setting, found.value)
    nodes = tree.items.get("nodes")
    elements = [] if nodes is None else nodes.elements
    own = f"{setting.node}.{setting.name}"
    for number, element in enumerate(elements):
        if not element.is_mapping or not _is_of(folder, element, setting):
            continue
        params = element.items.get("params")
        given = params.items if params is not None else {}
        key = own if own in given or (shared and setting.name not in given) else setting.name
        if shared and key == setting.name and _as(setting, given[key].value) != setting.value:
            key = own  # the other node keeps what is said for both
        place = ["nodes", number, "params", key]
        if key in given:
            return place, _as(setting, given[key].value)
        both = given.get(setting.name)
        return place, None if both is None else _as(setting, both.value)
    if nodes is None or not isinstance(nodes.value, (list, str)):
        raise HorusError("its file is not in horus.yaml: it was named on the command line")
    inside = os.path.relpath(setting.file, folder.resolve())
    if not _named(folder, nodes, setting):
        raise HorusError("its file is not in horus.yaml: it was named on the command line")
    key = own if shared else setting.name
    return ["nodes", len(elements), inside, key], None


def _named(folder: Path, nodes: Tree, setting: Setting) -> bool:
    """Return whether a pattern of horus.yaml stands for a node's file."""
    from horus.hardware.patterns import PatternError, matches

    patterns = [one.value for one in nodes.elements] or [nodes.value]
    for pattern in patterns:
        try:
            found = matches(folder, pattern) if isinstance(pattern, str) else []
        except PatternError:
            continue
        if Path(setting.file) in [path.resolve() for path in found]:
            return True
    return False


def _is_of(folder: Path, element: Tree, setting: Setting) -> bool:
    run, name = element.items.get("run"), element.items.get("name")
    if run is None or (name is not None and name.value != setting.process):
        return False
    return (folder / str(run.value)).resolve() == Path(setting.file)


def _as(setting: Setting, value: object) -> Any:
    """Return a value of the file in the type of the parameter."""
    value = as_number(value)
    if isinstance(setting.value, float) and isinstance(value, int) and type(value) is not bool:
        return float(value)
    return value


def _put(text: str, tree: Tree, place: list[str | int], value: Value) -> str:
    if place[0] == "hardware":
        return yamledit.changed(text, place, value)
    nodes, number, where, key = tree.items["nodes"], place[1], place[2], str(place[3])
    assert isinstance(number, int)
    if where != "params":  # a file that a pattern stands for becomes an item of its own
        item = {"run": str(where), "params": {key: value}}
        if isinstance(nodes.value, str):
            return yamledit.changed(text, ["nodes"], [nodes.value, item])
        return yamledit.changed(text, ["nodes", number], item)
    if "params" in nodes.elements[number].items:
        return yamledit.changed(text, place, value)
    return yamledit.changed(text, place[:-1], {key: value})


def write(path: Path, old: str, new: str) -> None:
    """Put a new text in the place of an old one, whole or not at all.

    A `RobotError` names the faults that it would have; a `HorusError` says that somebody else has
    changed the file meanwhile.
    """
    path = path.resolve()  # a link stays one
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with draft.open("xb") as file:
            file.write(new.encode())
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(path, draft)
        try:
            config.load(draft)
        except config.RobotError as error:
            raise ConfigError(
                fault.replace(str(draft), str(path), 1) for fault in error.faults
            ) from None
        if path.read_bytes() != old.encode():
            raise HorusError(f"{path} was changed meanwhile: nothing is written")
        draft.replace(path)
    except PermissionError as error:
        raise HorusError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
