"""What in a robot's description contradicts itself: places taken twice, buses that cannot be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any

from horus.errors import did_you_mean
from horus.hal.frames import CanMap, Command, Report
from horus.hardware.yamltree import Faults, Tree

if TYPE_CHECKING:
    from horus.hardware.config import BusEntry, DeviceEntry

Buses = Mapping[str, "BusEntry"]
Hardware = Mapping[str, "DeviceEntry"]

KIND_WORDS = {
    "i2c": "an I2C bus",
    "can": "a CAN bus",
    "serial": "a serial port",
    "modbus": "a Modbus line",
}


def find(faults: Faults, tree: Tree, buses: Buses, hardware: Hardware) -> None:
    """Add all contradictions of a description to its faults."""
    sound = _parents(faults, tree, buses)
    _resources(faults, buses)
    _baudrates(faults, buses, hardware)
    # When parents are wrong, who shares wires with whom can be told of each bus alone.
    told = _places(faults, buses if sound else {}, hardware)
    _frames(faults, {name: device for name, device in hardware.items() if name not in told})


def _parents(faults: Faults, tree: Tree, buses: Buses) -> bool:
    """Find buses that hang from none, from themselves, or from one of another kind."""
    sound = True
    for bus in buses.values():
        if not bus.parent:
            continue
        text = _wrong_parent(bus, tree.items["buses"].items, buses)
        if text is None:
            sound = False  # its parent has faults of its own
        elif text:
            sound = False
            line = tree.items["buses"].items[bus.name].key_lines.get("parent", bus.line)
            faults.add(line, f"buses.{bus.name}.parent: {text}")
    return sound


def _wrong_parent(bus: BusEntry, written: Mapping[str, Tree], buses: Buses) -> str | None:
    parent = buses.get(bus.parent)
    if parent is None:
        if bus.parent in written:
            return None
        near = did_you_mean(bus.parent, written).replace("'", "")
        return f"unknown bus {bus.parent}{near or '; known: ' + ', '.join(written)}"
    if parent.backend.kind != bus.backend.kind:
        kinds = KIND_WORDS[parent.backend.kind], KIND_WORDS[bus.backend.kind]
        return f"{bus.parent} is {kinds[0]}, {bus.name} {kinds[1]}"
    seen = {bus.name}
    while parent is not None and parent.name not in seen:
        seen.add(parent.name)
        parent = buses.get(parent.parent)
    return "" if parent is None else f"{bus.name} hangs from itself"


def _resources(faults: Faults, buses: Buses) -> None:
    """Find buses that are one and the same: their options could contradict each other."""
    taken: dict[tuple[str, str], BusEntry] = {}
    for bus in buses.values():
        resource = bus.resource
        first = taken.setdefault((bus.backend.kind, resource), bus) if resource else bus
        if first is not bus:
            faults.add(
                bus.line,
                f"buses.{bus.name}: {resource} is already the bus {first.name} (line "
                f"{first.line}): put the devices of both on one of them",
            )


def _baudrates(faults: Faults, buses: Buses, hardware: Hardware) -> None:
    """Find devices that cannot speak at the speed of their port."""
    for device in hardware.values():
        wanted = getattr(device.driver.map_type, "baudrate", 0)
        bus = buses.get(device.bus)
        given = getattr(bus.config, "baudrate", 0) if bus else 0
        if bus and wanted and given and wanted != given:
            faults.add(
                device.line,
                f"hardware.{device.name}: {device.use} speaks {wanted} bit/s, but {bus.name} "
                f"(line {bus.line}) is set to {given}: write baudrate: {wanted} there",
            )


def _above(bus: str, buses: Buses) -> Iterator[str]:
    """Yield a bus and all that it hangs from."""
    while bus:
        yield bus
        bus = buses[bus].parent if bus in buses else ""


def _places(faults: Faults, buses: Buses, hardware: Hardware) -> set[str]:
    """Find places that are taken twice; return the devices of which that was told.

    What is behind a multiplexer must differ from all that is before it, the multiplexer included:
    both hear what is said. A device without a place has its bus to itself.
    """
    taken: dict[tuple[str, int], tuple[str, int]] = {}  # bus, place -> who, since which line
    channels: dict[tuple[str, int, int], BusEntry] = {}
    for bus in buses.values():
        address, channel = getattr(bus.config, "address", 0), getattr(bus.config, "channel", 0)
        if not bus.parent or not address:
            continue
        taken.setdefault((bus.parent, address), (f"the {bus.use} of {bus.name}", bus.line))
        first = channels.setdefault((bus.parent, address, channel), bus)
        if first is not bus:
            faults.add(
                bus.line,
                f"buses.{bus.name}: channel {channel} of the {bus.use} 0x{address:02X} on "
                f"{bus.parent} is already the bus {first.name} (line {first.line})",
            )
    for device in hardware.values():
        for station in device.stations:
            taken.setdefault((device.bus, station), (device.name, device.line))
    lonely = _lonely(faults, hardware)
    for device in hardware.values():
        if device.name in lonely:
            continue
        for station in device.stations:
            found = [taken.get((bus, station)) for bus in _above(device.bus, buses)]
            other = next((who for who in found if who and who[0] != device.name), None)
            if other is not None:
                option = device.driver.map_type.station_option
                shown = device.place if len(device.stations) == 1 else station
                what = f"{option} {shown}".strip()
                faults.add(
                    device.line,
                    f"hardware.{device.name}: {what} on {device.bus} is already that of "
                    f"{other[0]} (line {other[1]})",
                )
                lonely.add(device.name)
                break
    return lonely


def _frames(faults: Faults, hardware: Hardware) -> None:
    """Find devices of different kinds whose frames have the same id on one CAN bus.

    What one sends would be a command to the other, or be taken for what the other sends. Devices of
    one kind may share a frame that says in its data whom it is about.
    """
    known: dict[tuple[str, int, bool], list[tuple[DeviceEntry, Command | Report[Any]]]] = {}
    for device in hardware.values():
        map_type = device.driver.map_type
        if not issubclass(map_type, CanMap):
            continue
        frames: list[Command | Report[Any]] = [*map_type.commands.values()]
        frames += map_type.reports.values()
        for declared in frames:
            id = map_type.frame_id(declared, device.station, device.config)
            known.setdefault((device.bus, id, map_type.extended), []).append((device, declared))
    told: set[tuple[str, str]] = set()
    for (bus, id, _), users in known.items():
        for (first, ours), (second, theirs) in combinations(users, 2):
            pair = (first.name, second.name)
            if first.driver is second.driver or ours is theirs or pair in told:
                continue
            both_reports = isinstance(ours, Report) and isinstance(theirs, Report)
            if both_reports and ours.when and theirs.when:
                continue
            told.add(pair)
            faults.add(
                second.line,
                f"hardware.{second.name}: frame 0x{id:03X} on {bus} is {theirs.name} of "
                f"{second.use} and {ours.name} of {first.name} ({first.use}, line {first.line}): "
                "change the node (or master) id of one of them, or give it a bus of its own",
            )


def _lonely(faults: Faults, hardware: Hardware) -> set[str]:
    """Find devices that share a bus with one that needs it to itself; return their names."""
    alone: dict[str, DeviceEntry] = {}
    first: dict[str, DeviceEntry] = {}
    wrong = set()
    for device in hardware.values():
        if not device.stations:
            alone.setdefault(device.bus, device)
        other = first.setdefault(device.bus, device)
        only = alone.get(device.bus)
        if only is not None and other is not device:
            wrong.add(device.name)
            other = other if only is device else only
            faults.add(
                device.line,
                f"hardware.{device.name}: {device.bus} already carries {other.name} (line "
                f"{other.line}), and {only.use} needs a port of its own",
            )
    return wrong
