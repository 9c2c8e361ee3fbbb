"""Check a robot's horus.yaml and its node files without opening or starting anything.

All faults are printed, a line each as file:line: text. Whether the buses are there is another
question: horus doctor answers it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from horus.cli import tables

if TYPE_CHECKING:
    from horus.hardware.config import DeviceEntry, RobotConfig


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus check`."""
    parser.add_argument(
        "what", nargs="?", metavar="FILE", help="a horus.yaml or its folder (default: this one)"
    )
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")


def main(args: argparse.Namespace) -> int:
    """Print all faults, or the robot in short; 1 when there are faults."""
    from horus.errors import ConfigError
    from horus.hardware import config as hardware_config

    path = find(args.what)
    robot = None
    try:
        robot = hardware_config.load(path)
        faults, notes = _faults(robot)
    except ConfigError as error:
        faults, notes = list(error.faults), []
        faults += _of_files(getattr(error, "nodes", ()))
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    if args.json:
        about = _json(robot) if robot is not None and not faults else {}
        print(json.dumps({"path": str(path), "faults": faults, **about}, indent=2))
    elif faults or robot is None:
        number = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        print(*faults, f"horus check: {number}", sep="\n")
    else:
        print(_summary(robot), end="")
    return 1 if faults else 0


def find(what: str | None) -> Path:
    """Return the file that is meant."""
    from horus.errors import did_you_mean
    from horus.runtime.files import UsageError, find_config

    path = Path(what or "").expanduser()
    if path.is_dir():
        found = find_config(path)
        if found is None:
            raise UsageError(f"{what or 'this folder'}: there is no horus.yaml; name one")
        return found
    if path.exists() and not path.is_file():
        raise UsageError(f"{what}: is neither a file nor a folder; name a horus.yaml or its folder")
    if not path.is_file():
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        near = did_you_mean(path.name, [entry.name for entry in beside])
        raise UsageError(f"{what}: no such file{near}")
    return path


def _faults(robot: RobotConfig) -> tuple[list[str], list[str]]:
    """Return what is wrong beyond the file itself, and what is worth knowing."""
    from horus import plugins
    from horus.runtime.files import NOTHING, NodeFile, UsageError, name_files

    faults = _of_files(robot.nodes)
    if not robot.nodes and not robot.hardware:
        faults.append(f"{robot.path}: {NOTHING}")
    notes = [
        f"{node}: Rust is checked when it is compiled, by horus run"
        for node in robot.nodes
        if NodeFile(node, node.stem, node.name).language == "rust"
    ]
    try:
        name_files(list(robot.nodes), set(_roots(robot)))
    except UsageError as error:
        faults.append(str(error))
    faults += plugins.objections(robot)
    failed = [f"{i}: {i.problem}" for i in plugins.plugins() if "horus_check()" in i.problem]
    return list(dict.fromkeys(faults)), notes + failed


def _of_files(nodes: Sequence[Path]) -> list[str]:
    """Return what is wrong with node files, as far as it can be told without compiling."""
    from horus.runtime.build import check_all
    from horus.runtime.files import NodeFile

    return [*map(str, check_all([NodeFile(node, node.stem, node.name) for node in nodes]))]


def _roots(robot: RobotConfig) -> dict[str, list[DeviceEntry]]:
    """Return the devices of each bus that gets a process."""
    return {bus.name: robot.devices_below(bus.name) for bus in robot.roots()}


def _summary(robot: RobotConfig) -> str:
    """Return the robot in short: its buses, devices with their topics, and processes."""
    counts = (("node file", robot.nodes), ("bus", robot.buses), ("device", robot.hardware))
    numbers = ", ".join(_number(len(found), word) for word, found in counts)
    text = f"{robot.path}: {robot.name}: {numbers}; no fault found\n"
    if robot.buses:
        rows = [(b.name, b.use, _options(b.config)) for b in robot.buses.values()]
        text += "\n" + tables.plain(("BUS", "USE", "OPTIONS"), rows)
    if robot.hardware:
        devices = [
            (d.name, d.use, d.bus, d.place, f"{d.config.rate:g} Hz", ", ".join(_topics(d)))
            for d in robot.hardware.values()
        ]
        header = ("DEVICE", "USE", "BUS", "PLACE", "RATE", "TOPICS")
        text += "\n" + tables.plain(header, devices)
    processes = [*((n, ", ".join(d.name for d in ds)) for n, ds in _roots(robot).items())]
    processes += [(node.stem, str(node)) for node in robot.nodes]
    if processes:
        text += "\n" + tables.plain(("PROCESS", "WHAT"), processes)
    return text


def _number(count: int, word: str) -> str:
    plural = word if count == 1 else {"bus": "buses"}.get(word, f"{word}s")
    return f"{count} {plural}"


def _options(config: Any) -> str:
    """Return options that differ from their defaults, as horus.yaml has them."""
    from horus.hal.config import options

    given = ((about, getattr(config, name)) for name, about in options(type(config)).items())
    return ", ".join(f"{a.name}: {value}" for a, value in given if a.required or value != a.default)


def _topics(device: DeviceEntry) -> list[str]:
    from horus.cli.describe import topics_of

    return [topic for topic, _, _ in topics_of(device.name, device.driver)]


def _json(robot: RobotConfig) -> dict[str, Any]:
    return {
        "name": robot.name,
        "nodes": [str(node) for node in robot.nodes],
        "buses": {b.name: {"use": b.use, **_plain(b.config)} for b in robot.buses.values()},
        "hardware": {
            d.name: {
                "use": d.use,
                "bus": d.bus,
                **_plain(d.config),
                "topics": _topics(d),
                "twin": d.driver.twin is not None,
            }
            for d in robot.hardware.values()
        },
        "processes": {name: [d.name for d in ds] for name, ds in _roots(robot).items()},
    }


def _plain(config: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return {k: str(v) if isinstance(v, Path) else v for k, v in asdict(config).items()}
