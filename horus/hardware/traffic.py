"""Recorded bus traffic for twins, ``mock: {replay: run.mcap}``: read once, checked beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from horus.errors import HorusError
from horus.hal.replay import Replayed, replayed
from horus.hal.sim import Sim
from horus.hal.tape import Event
from horus.hardware.conflicts import KIND_WORDS
from horus.hardware.yamltree import Faults, Tree

if TYPE_CHECKING:
    from horus.hardware.config import BusEntry, DeviceEntry, RobotConfig

#: What reads recordings: a plugin, imported when a robot asks for one.
READER = "horus_plugins.recording.wire"


@lru_cache(maxsize=8)
def _read(path: str, bus: str, _changed: tuple[int, int]) -> tuple[str, Sequence[Event]]:
    return cast("tuple[str, Sequence[Event]]", import_module(READER).whole(path, bus))


def traffic(path: Path, bus: str) -> tuple[str, Sequence[Event]]:
    """Return the kind of a recorded bus and its events; a `HorusError` says what is wrong."""
    about = path.stat()
    return _read(str(path), bus, (about.st_mtime_ns, about.st_size))


def events_of(device: DeviceEntry, tree: Sequence[BusEntry]) -> Sequence[Event]:
    """Return what went over the wires that a device is on, those of a multiplexer's channel."""
    assert device.sim is not None and device.sim.replay is not None
    _, events = traffic(device.sim.replay, tree[0].name)
    entries = {entry.name: entry for entry in tree}
    branches = []
    entry = entries[device.bus]
    while entry.parent:
        branches.append(entry)
        entry = entries[entry.parent]
    return _through(branches, events) if branches else events


def _through(branches: Sequence[BusEntry], events: Sequence[Event]) -> list[Event]:
    """Return the transactions that went through channels of multiplexers."""
    wanted: dict[int, int] = {}
    for entry in branches:
        backend: Any = entry.backend
        config: Any = entry.config
        wanted[config.address] = backend.control(config.channel)
    control: dict[int, int] = {}
    found = []
    for event in events:
        address = event["address"]
        if address in wanted:
            if event["write"]:
                control[address] = event["write"][-1]
        elif control == wanted:
            found.append(event)
    return found


def replay_twin(
    device: DeviceEntry, tree: Sequence[BusEntry], *, mute: bool = False
) -> Sim[Any, Any]:
    """Return what plays a device's traffic; a ``mute`` one leaves that to another on its port."""
    assert device.sim is not None and device.sim.replay is not None
    events = () if mute else events_of(device, tree)

    def tell(text: str) -> None:
        import logging

        logging.getLogger("horus.replay").warning("%s: %s", device.name, text)

    name = device.sim.replay.name
    return replayed(device.driver, device.config, device.sim, events, name, tell)


def check(faults: Faults, tree: Tree, robot: RobotConfig) -> None:
    """Add what is wrong with the recordings that twins are to play."""
    for device in robot.hardware.values():
        sim = device.sim
        if sim is None or sim.replay is None or not sim.replay.is_file():
            continue
        item: Tree = tree.items["hardware"].items[device.name].items["mock"]
        line = item.key_lines.get("replay", item.line)
        text = _wrong(device, sim.replay, robot)
        if text:
            faults.add(line, f"hardware.{device.name}.mock.replay: {text}")


def _wrong(device: DeviceEntry, path: Path, robot: RobotConfig) -> str:
    if device.bus not in robot.buses:
        return ""  # which is a fault of its own
    buses: Mapping[str, BusEntry] = robot.buses
    root = buses[device.bus]
    while root.parent in buses:
        root = buses[root.parent]
    try:
        kind, _ = traffic(path, root.name)
    except (HorusError, OSError) as error:
        return str(error)
    wanted = device.driver.map_type.bus_kind
    if kind != wanted:
        words = KIND_WORDS[kind], KIND_WORDS[wanted]
        return f"{path}: its {root.name} is {words[0]}, not {words[1]}"
    if wanted == "serial":
        others = [d for d in robot.devices_on(device.bus) if d is not device]
        alone = [d.name for d in others if d.sim is None or d.sim.replay != path]
        if alone:
            return (
                f"a serial port is replayed as a whole: give {', '.join(alone)} on {device.bus} "
                f"mock: {{replay: {path.name}}} too"
            )
    twin = replay_twin(device, robot.tree(root.name))
    assert isinstance(twin, Replayed)
    if not twin.tape.events:
        return f"{path}: on {root.name} nothing went to {device.use} {device.place} or came from it"
    return ""
