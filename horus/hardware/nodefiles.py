"""The node files of horus.yaml: patterns, and files with what they are started with.

::

    nodes:
      - "nodes/*.py"                       # every file that matches, nothing said
      - run: nodes/camera.py               # one file, with any of these
        name: left_camera
        args: [--device, "0"]
        env: {EXPOSURE: "20"}
        remap: {image: left/image}         # its topic `image` is `left/image` in this run
        restart: on-failure                # or always; never, if not said
        max_restarts: 5
        restart_delay: 0.5                 # s
        after: [estimator]                 # processes that are to be ready first
        params: {gain: 2.5}                # what parameters of its nodes start with
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from horus.errors import TopicNameError, did_you_mean
from horus.hal.config import shown
from horus.hardware.patterns import PatternError, matches
from horus.hardware.yamltree import Faults, Tree, as_number
from horus.launch import RESTARTS, Launch, NodeEntry

#: What a node's entry, and that of a bus, may say of its process.
RESTART_KEYS = ("restart", "max_restarts", "restart_delay")
_KEYS = ("run", "name", "args", "env", "remap", *RESTART_KEYS, "after", "params")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,63}")
_PARAM = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.\-/]{0,63}\.)?[A-Za-z_][A-Za-z0-9_]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: Variables by which a run and its processes find each other.
_OURS = "HORUS_"
_MOST_RESTARTS = 1_000_000
_LONGEST_DELAY = 3600.0


def node_entries(folder: Path, item: Tree | None, faults: Faults) -> tuple[NodeEntry, ...]:
    """Return the node files that ``nodes:`` names; what is wrong goes to the faults.

    A file that is named with options is not taken once more by a pattern.
    """
    if item is None or item.value is None:
        return ()
    if not isinstance(item.value, (list, str)):
        text = 'nodes: must be patterns of files, such as ["nodes/*.py"], or a list with run:'
        faults.add(item.line, text)
        return ()
    items = item.elements if isinstance(item.value, list) else [item]
    plain: list[NodeEntry] = []
    special: list[NodeEntry] = []
    for number, one in enumerate(items, 1):
        place = f"nodes: item {number}"
        if one.is_mapping:
            special += _Reader(folder, faults, place, one).entry()
        elif not isinstance(one.value, str):
            text = f'{place} must be a pattern, such as "nodes/*.py", not {shown(one.value)}'
            faults.add(one.line, text)
        else:
            try:
                plain += [NodeEntry(path, one.line) for path in matches(folder, one.value)]
            except PatternError as error:
                faults.add(one.line, f"nodes: {error}")
    _check_names(special, faults)
    named = {entry.path.resolve() for entry in special}
    by_path = {entry.path: entry for entry in plain if entry.path.resolve() not in named}
    return (*by_path.values(), *special)


def _check_names(entries: Iterable[NodeEntry], faults: Faults) -> None:
    seen: dict[str, int] = {}
    for entry in entries:
        if not entry.name:
            continue
        if entry.name in seen:
            text = f"nodes: the name {entry.name} is that of the node in line {seen[entry.name]}"
            faults.add(entry.line, text)
        seen.setdefault(entry.name, entry.line)


def check_order(entries: Iterable[NodeEntry], processes: Mapping[str, int], faults: Faults) -> None:
    """Find in ``after`` what there is none of, and what waits for itself.

    ``processes`` holds the line of every process of the run by its name.
    """
    waits: dict[str, NodeEntry] = {}
    for entry in entries:
        waits.setdefault(entry.name or entry.path.stem, entry)
    for name, entry in waits.items():
        for other in entry.launch.after:
            if other not in processes:
                known = f"; processes: {', '.join(processes)}"
                near = did_you_mean(other, processes).replace("'", "") or known
                faults.add(entry.line, f"nodes.{name}.after: no process {other}{near}")
    for name, entry in waits.items():
        ahead, seen = list(entry.launch.after), set[str]()
        while ahead:
            other = ahead.pop()
            if other == name:
                faults.add(entry.line, f"nodes.{name}.after: it would wait for itself")
                break
            if other not in seen and other in waits:
                ahead += waits[other].launch.after
            seen.add(other)


def restart_of(place: str, item: Tree, faults: Faults) -> Launch:
    """Return what an entry says about restarts."""
    return _Reader(Path(), faults, place, item).restart()


class _Reader:
    """Turns one entry's mapping into what it means."""

    def __init__(self, folder: Path, faults: Faults, place: str, item: Tree) -> None:
        self.folder = folder
        self.faults = faults
        self.place = place
        self.item = item

    def wrong(self, key: str, text: str) -> None:
        line = self.item.key_lines.get(key, self.item.line)
        self.faults.add(line, f"{self.place}.{key}: {text}" if key else f"{self.place}: {text}")

    def value(self, key: str) -> object:
        found = self.item.items.get(key)
        return None if found is None else found.value

    def entry(self) -> list[NodeEntry]:
        for key in self.item.items:
            if key not in _KEYS:
                near = did_you_mean(key, _KEYS).replace("'", "")
                self.wrong(key, f"unknown{near or '; known: ' + ', '.join(_KEYS)}")
        path = self.file()
        restart = self.restart()
        launch = Launch(
            args=self.texts("args"),
            env=self.env(),
            remap=self.remap(),
            restart=restart.restart,
            max_restarts=restart.max_restarts,
            restart_delay=restart.restart_delay,
            after=self.texts("after"),
            params=self.params(path),
        )
        return [NodeEntry(path, self.item.line, self.name(), launch)] if path else []

    def file(self) -> Path | None:
        run = self.value("run")
        if not isinstance(run, str) or not run:
            self.wrong("run" if "run" in self.item.items else "", "run: must name a node file")
            return None
        try:
            found = matches(self.folder, run)
        except PatternError as error:
            self.wrong("run", str(error))
            return None
        if len(found) > 1:
            self.wrong("run", f"{shown(run)} stands for {len(found)} files: name one")
        return found[0]

    def name(self) -> str:
        name = self.value("name")
        if name is None:
            return ""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            text = f"must be 1 to 64 letters, digits, _, - or ., not {shown(name)}"
            self.wrong("name", text)
            return ""
        return name

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts; numbers are taken as they are written in Python."""
        value = self.value(key)
        if value is None:
            return ()
        items = value if isinstance(value, list) else [value]
        good = [x for x in items if isinstance(x, (str, int, float)) and not isinstance(x, bool)]
        if len(good) != len(items) or any("\0" in str(x) for x in good):
            self.wrong(key, f"must be a list of texts, not {shown(value)}")
            return ()
        return tuple(str(x) for x in good)

    def env(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value in self.mapping("env").items():
            if not _VARIABLE.fullmatch(name):
                self.wrong("env", f"{shown(name)} cannot be the name of a variable")
            elif name.startswith(_OURS) and name != "HORUS_CORE":
                self.wrong("env", f"{name}: names with {_OURS} are set by horus run itself")
            elif isinstance(value, bool) or not isinstance(value, (str, int, float)):
                self.wrong("env", f'{name}: must be a text (in quotes: "1"), not {shown(value)}')
            elif "\0" in str(value):
                self.wrong("env", f"{name}: a variable cannot hold a NUL")
            else:
                found[name] = str(value)
        return found

    def remap(self) -> dict[str, str]:
        found: dict[str, str] = {}
        given = self.mapping("remap")
        if not given:
            return found
        from horus.bus.files import check_name

        for name, to in given.items():
            try:
                found[check_name(name)] = check_name(to)
            except TopicNameError as error:
                self.wrong("remap", str(error))
        return found

    def params(self, path: Path | None) -> dict[str, tuple[object, str]]:
        """Return what parameters start with; the nodes check them, which are not known here."""
        found: dict[str, tuple[object, str]] = {}
        given = self.mapping("params")
        if given and path is not None and path.suffix != ".py":
            self.wrong("params", "only nodes in Python have parameters")
        lines = self.item.items["params"].key_lines if given else {}
        for name, value in given.items():
            value = as_number(value)
            if not _PARAM.fullmatch(name):
                self.wrong("params", f"{shown(name)} is no PARAMETER or NODE.PARAMETER")
            elif not isinstance(value, (bool, int, float, str)):
                text = f"{name}: must be a number, a text, true or false, not {shown(value)}"
                self.faults.add(lines[name], f"{self.place}.params.{text}")
            elif isinstance(value, float) and not math.isfinite(value):
                self.faults.add(lines[name], f"{self.place}.params.{name}: must be finite")
            else:
                found[name] = (value, f"{self.faults.path}:{lines[name]}")
        return found

    def mapping(self, key: str) -> Mapping[str, object]:
        value = self.value(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.wrong(key, f"must be a mapping, not {shown(value)}")
            return {}
        return value

    def restart(self) -> Launch:
        base = Launch()
        restart = self.value("restart")
        if restart is None:
            restart = base.restart
        if restart not in RESTARTS:
            near = did_you_mean(str(restart), RESTARTS).replace("'", "")
            text = f"must be one of {', '.join(RESTARTS)}, not {shown(restart)}{near}"
            self.wrong("restart", text)
            restart = base.restart
        most = self.number("max_restarts", base.max_restarts, 0, _MOST_RESTARTS)
        if most != int(most):
            self.wrong("max_restarts", f"must be a whole number, not {most:g}")
        delay = self.number("restart_delay", base.restart_delay, 0.0, _LONGEST_DELAY)
        return Launch(restart=restart, max_restarts=int(most), restart_delay=float(delay))

    def number(self, key: str, default: float, low: float, high: float) -> float:
        value = as_number(self.value(key))
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.wrong(key, f"must be a number, not {shown(value)}")
        elif not low <= value <= high:
            self.wrong(key, f"must be from {low:g} to {high:,g}, not {value:g}")
        else:
            return value
        return default
