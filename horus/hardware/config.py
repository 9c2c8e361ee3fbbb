"""horus.yaml: a robot's nodes, buses and devices, with every fault reported at once by line.

The schema::

    name: rover                 # a word
    nodes: ["nodes/*.py"]       # patterns, relative to this file; `nodefiles` has more
    buses:
      can0: {use: socketcan, channel: can0, bitrate: 500000}      # use: and that bus's options
    hardware:
      left_wheel:               # the device's name, and that of its topics
        use: odrive             # which driver
        bus: can0               # which of the buses
        node: 3                 # the driver's options
        mock: {seed: 7}         # the twin's options; used only with --mock
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, get_args

from horus.errors import ConfigError, did_you_mean
from horus.hal import config as hal_config
from horus.hal.backends import Backend
from horus.hal.config import ActuatorConfig, BusConfig, Config, DriverConfig, SimConfig, shown
from horus.hal.driver import Driver
from horus.hal.playback import play_faults
from horus.hardware import conflicts, traffic
from horus.hardware.mount import mountable
from horus.hardware.nodefiles import RESTART_KEYS, check_order, node_entries, restart_of
from horus.hardware.slew import ramp_of, rampable
from horus.hardware.topics import ESTOP, lacking
from horus.hardware.yamltree import Faults, Tree, as_number, read
from horus.launch import AS_IT_IS, Launch, NodeEntry
from horus.plugins import PluginError, buses, drivers, troubles

FILE_NAME = "horus.yaml"
_KEYS = ("name", "nodes", "buses", "hardware")
_DEVICE_KEYS = ("use", "bus", "mock")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
_ROBOT_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
ConfigT = TypeVar("ConfigT", bound=Config)


class RobotError(ConfigError):
    """All faults of a robot's file, with the node files that it names all the same."""

    def __init__(self, faults: Iterable[str], nodes: tuple[Path, ...] = ()) -> None:
        self.nodes = nodes
        super().__init__(faults)


@dataclass(frozen=True)
class BusEntry:
    """One bus: its name, its back-end and that one's options."""

    name: str
    use: str
    backend: Backend
    config: BusConfig
    line: int
    #: Whether the process that looks after it is started again.
    launch: Launch = AS_IT_IS

    @property
    def resource(self) -> str:
        """Return the device node or interface that the bus is; "" if it is none of its own."""
        for option in ("device", "channel"):
            found = getattr(self.config, option, "")
            if found and not self.parent:
                return str(found)
        return ""

    @property
    def parent(self) -> str:
        """Return the bus that this one hangs from, such as that of a multiplexer; "" for none."""
        return getattr(self.config, "parent", "")


@dataclass(frozen=True)
class DeviceEntry:
    """One device: its driver, the bus it is on, and the options of both driver and twin."""

    name: str
    use: str
    driver: type[Driver[Any, Any]]
    bus: str
    config: DriverConfig
    sim: SimConfig | None
    line: int

    @property
    def stations(self) -> tuple[int, ...]:
        """Return the places the device takes on its bus; none if it has the bus to itself."""
        return self.driver.map_type.stations(self.config)

    @property
    def station(self) -> int:
        """Return the first or only of the device's places on its bus; 0 if it has none."""
        return (*self.stations, 0)[0]

    @property
    def place(self) -> str:
        """Return the device's place on its bus for people: an address, node id or ids, or ""."""
        return self.driver.map_type.place(self.config)


@dataclass(frozen=True)
class RobotConfig:
    """A robot as horus.yaml describes it; node files are found, options are checked."""

    name: str
    path: Path
    entries: tuple[NodeEntry, ...]
    buses: Mapping[str, BusEntry]
    hardware: Mapping[str, DeviceEntry]

    @property
    def nodes(self) -> tuple[Path, ...]:
        """Return the node files, each once."""
        return tuple(dict.fromkeys(entry.path for entry in self.entries))

    def devices_on(self, bus: str) -> list[DeviceEntry]:
        """Return the devices of one bus, in the order of the file."""
        return [device for device in self.hardware.values() if device.bus == bus]

    def tree(self, root: str) -> list[BusEntry]:
        """Return a bus and all that hang from it, parents first."""
        found = [self.buses[root]]
        for parent in found:  # which grows meanwhile
            found += [bus for bus in self.buses.values() if bus.parent == parent.name]
        return found

    def devices_below(self, root: str) -> list[DeviceEntry]:
        """Return the devices of a bus and of all that hang from it, in the order of the file."""
        names = {bus.name for bus in self.tree(root)}
        return [device for device in self.hardware.values() if device.bus in names]

    def root_of(self, bus: str) -> str:
        """Return the bus from which one hangs, at the top: its process looks after both."""
        while parent := self.buses[bus].parent:
            bus = parent
        return bus

    def roots(self) -> list[BusEntry]:
        """Return the buses that hang from no other and carry devices: one process each."""
        tops = [bus for bus in self.buses.values() if not bus.parent]
        return [bus for bus in tops if self.devices_below(bus.name)]


def load(path: str | Path) -> RobotConfig:
    """Read a robot from its file, or from horus.yaml in its folder; open nothing.

    All faults are one `RobotError`, a line each: ``file:line: what is wrong``.
    """
    file = Path(path)
    if file.is_dir():
        file = file / FILE_NAME
    faults = Faults(str(file))
    tree = read(file, faults)
    robot = robot_of(tree, file, faults) if tree is not None else None
    if faults or robot is None:
        raise RobotError(faults, robot.nodes if robot is not None else ())
    return robot


def robot_of(
    tree: Tree, path: Path, faults: Faults, keys: tuple[str, ...] = _KEYS
) -> RobotConfig | None:
    """Return the robot that a tree describes; what is wrong goes to the faults.

    ``keys`` are all that the file may have at its top; others than a robot's own are not looked at.
    """
    return _Reader(path, faults, keys).robot(tree)


class _Reader:
    """Turns trees into entries and collects what is wrong."""

    def __init__(self, path: Path, faults: Faults, keys: tuple[str, ...]) -> None:
        self.path = path
        self.faults = faults
        self.keys = keys
        #: Of what kind each bus is, those with faults in their options included.
        self.kinds: dict[str, str] = {}

    def robot(self, tree: Tree) -> RobotConfig | None:
        if not tree.is_mapping:
            what = "empty" if tree.value is None else "not a mapping"
            self.faults.add(tree.line, f"the file is {what}: it needs {', '.join(self.keys)}")
            return None
        for key, line in tree.key_lines.items():
            if key not in self.keys:
                near = did_you_mean(key, self.keys).replace("'", "")
                text = near or f"; known: {', '.join(self.keys)}"
                self.faults.add(line, f"{key}: unknown{text}")
        name = self.name_of(tree)
        nodes = node_entries(self.path.parent, tree.items.get("nodes"), self.faults)
        buses = {n: self.bus(n, item) for n, item in self.section(tree, "buses")}
        devices = [self.device(n, item, buses) for n, item in self.section(tree, "hardware")]
        hardware = {device.name: device for device in devices if device is not None}
        known = {n: entry for n, entry in buses.items() if entry is not None}
        conflicts.find(self.faults, tree, known, hardware)
        robot = RobotConfig(name, self.path, nodes, known, hardware)
        traffic.check(self.faults, tree, robot)
        processes = {bus.name: bus.line for bus in robot.roots()}
        processes |= {entry.name or entry.path.stem: entry.line for entry in nodes}
        check_order(nodes, processes, self.faults)
        return robot

    def name_of(self, tree: Tree) -> str:
        item = tree.items.get("name")
        if item is None:
            return self.path.resolve().parent.name
        name = item.value
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            self.faults.add(item.line, f"name: must be text, not {shown(name)}")
            return ""
        if not _ROBOT_NAME.fullmatch(name):
            text = "name: must be one word of letters, digits, _ and -, at most 64, not "
            self.faults.add(item.line, text + shown(name))
        return name

    def section(self, tree: Tree, key: str) -> list[tuple[str, Tree]]:
        """Return the named mappings of ``buses`` or ``hardware``; others are faults."""
        item = tree.items.get(key)
        if item is None or item.value is None:
            return []
        if not item.is_mapping:
            self.faults.add(
                item.line, f"{key}: must be a mapping of names, not {shown(item.value)}"
            )
            return []
        good = []
        for name, inner in item.items.items():
            at = item.key_lines[name]
            if not _NAME.fullmatch(name):
                self.faults.add(
                    at, f"{key}.{name}: a name is a letter, then letters, digits or _; at most 32"
                )
            elif inner.value is None:
                self.faults.add(at, f"{key}.{name}: is empty: it needs use:")
            elif not inner.is_mapping:
                text = f"must be a mapping with use:, not {shown(inner.value)}"
                self.faults.add(at, f"{key}.{name}: {text}")
            else:
                inner.line = at
                good.append((name, inner))
        return good

    def word(self, place: str, item: Tree, key: str, why: str) -> str:
        """Return a text that must be there, or "" and a fault."""
        found = item.items.get(key)
        if found is None or found.value is None:
            self.faults.add(item.line, f"{place}: {key} is missing: {why}")
        elif not isinstance(found.value, str):
            self.faults.add(found.line, f"{place}.{key}: must be a word, not {shown(found.value)}")
        else:
            return found.value
        return ""

    def bus(self, name: str, item: Tree) -> BusEntry | None:
        place = f"buses.{name}"
        known = buses()
        use = self.word(place, item, "use", f"one of {', '.join(known)}")
        if not use:
            return None
        line = item.items["use"].line
        if use not in known:
            near = did_you_mean(use, known).replace("'", "") or f"; known: {', '.join(known)}"
            near = "; ".join([near, *troubles()])
            self.faults.add(line, f"{place}.use: unknown kind of bus {use}{near}")
            return None
        try:
            kind = known[use].load()
        except PluginError as error:
            self.faults.add(line, f"{place}.use: {error}")
            return None
        self.kinds[name] = kind.kind
        config = self.options(place, item, kind.config_type, skip=("use", *RESTART_KEYS))
        launch = restart_of(place, item, self.faults)
        return BusEntry(name, use, kind, config, item.line, launch) if config is not None else None

    def device(
        self, name: str, item: Tree, buses: Mapping[str, BusEntry | None]
    ) -> DeviceEntry | None:
        place = f"hardware.{name}"
        if name == ESTOP:
            text = f"{place}: the topic {name} is that of the emergency stop: choose another name"
            self.faults.add(item.line, text)
        use = self.word(place, item, "use", "the driver, such as mpu6050")
        driver = self.driver(place, item, use) if use else None
        bus = self.word(place, item, "bus", f"one of {', '.join(buses) or 'the buses:'}")
        if bus and bus not in buses:
            known = (
                f"; known: {', '.join(buses)}" if buses else "; there are none: add it under buses:"
            )
            near = did_you_mean(bus, buses).replace("'", "") or known
            self.faults.add(item.items["bus"].line, f"{place}.bus: unknown bus {bus}{near}")
        if driver is None:
            return None
        wanted = driver.map_type.bus_kind
        kind = self.kinds.get(bus, wanted)
        if kind != wanted:
            self.faults.add(
                item.items["bus"].line,
                f"{place}.bus: {bus} is {conflicts.KIND_WORDS[kind]}, "
                f"but {use} is on {conflicts.KIND_WORDS[wanted]}",
            )
        config = self.options(place, item, driver.config_type, skip=_DEVICE_KEYS)
        sim = self.mock(place, item.items.get("mock"), driver, config)
        if config is None:
            return None
        if config.mount and not mountable(driver):
            line = item.key_lines.get("mount", item.line)
            self.faults.add(line, f"{place}.mount: {use} measures nothing that has a direction")
        ramp = isinstance(config, ActuatorConfig) and ramp_of(config) is not None
        if ramp and not rampable(driver):
            line = item.key_lines.get("max_acceleration", item.line)
            text = f"{use} is not commanded by velocities, so nothing would be ramped"
            self.faults.add(line, f"{place}.max_acceleration: {text}")
        return DeviceEntry(name, use, driver, bus, config, sim, item.line)

    def driver(self, place: str, item: Tree, use: str) -> type[Driver[Any, Any]] | None:
        line = item.items["use"].line
        known = drivers()
        if use not in known:
            near = did_you_mean(use, known).replace("'", "")
            install = ["if a package brings it, install that (pip install <package>)"]
            self.faults.add(
                line,
                f"{place}.use: unknown driver {use}{near}; `horus drivers` lists those that are "
                f"installed; {'; '.join(troubles() or install)}",
            )
            return None
        try:
            driver = known[use].load()
        except PluginError as error:
            self.faults.add(line, f"{place}.use: {error}")
            return None
        lacks = lacking(driver)
        if lacks:
            text = f"{place}.use: {known[use]} is not complete: {'; '.join(lacks)}"
            self.faults.add(line, text)
            return None
        return driver

    def mock(
        self,
        place: str,
        item: Tree | None,
        driver: type[Driver[Any, Any]],
        config: DriverConfig | None,
    ) -> SimConfig | None:
        if item is None or item.value is None or driver.twin is None:
            return None
        if not item.is_mapping:
            self.faults.add(item.line, f"{place}.mock: must be a mapping, not {shown(item.value)}")
            return None
        options = self.options(f"{place}.mock", item, driver.twin.options_type())
        if options is not None and options.play is not None and os.path.isfile(options.play):  # noqa: PTH113
            line = item.key_lines.get("play", item.line)
            for text in play_faults(driver, config, options):
                self.faults.add(line, f"{place}.mock.play: {text}")
        return options

    def options(
        self, place: str, item: Tree, kind: type[ConfigT], skip: tuple[str, ...] = ()
    ) -> ConfigT | None:
        known = hal_config.options(kind)
        given = {key: tree.value for key, tree in item.items.items() if key not in skip}
        for key, value in given.items():
            if key in known and float in (known[key].type, *get_args(known[key].type)):
                items = [as_number(one) for one in value] if isinstance(value, list) else None
                given[key] = as_number(value) if items is None else items
        wrong = hal_config.faults(kind, given)
        for option, text in wrong:
            line = item.key_lines.get(option, item.line)
            self.faults.add(line, f"{place}.{option}: {text}" if option else f"{place}: {text}")
        if wrong:
            return None
        return self.with_paths(place, item, kind(**given))

    def with_paths(self, place: str, item: Tree, config: ConfigT) -> ConfigT:
        """Take files named in options from the folder of horus.yaml."""
        assert is_dataclass(config)
        for field in fields(config):
            value = getattr(config, field.name)
            if isinstance(value, Path):
                path = self.path.parent / value
                if not os.path.isfile(path):  # noqa: PTH113 - pathlib's raises for a name too long
                    line = item.key_lines.get(field.name, item.line)
                    self.faults.add(line, f"{place}.{field.name}: no such file: {path}")
                config = replace(config, **{field.name: path})
        return config
