"""Bus traffic of a recording, played to a driver: the device as it was, in the place of a twin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from horus_plugins.recording import plain
from horus_plugins.recording.bag import Bag
from horus_plugins.recording.errors import RecordingError
from horus_plugins.recording.formats import Stored

from horus.errors import did_you_mean
from horus.hal.wire import played

__all__ = ["events", "played_bus", "whole"]

PREFIX = "wire."


def events(path: str | Path, bus: str) -> list[dict[str, Any]]:
    """Return what went over a bus, in order; a bus that was not recorded is a `RecordingError`.

    ``at_ns`` of each event is when it was, from the first message of the recording.
    """
    return _events(Bag(path), bus)


def _events(bag: Bag, bus: str) -> list[dict[str, Any]]:
    found = []
    start_ns: int | None = None
    for message in bag.read(ordered=False):
        start_ns = message.log_ns if start_ns is None else min(start_ns, message.log_ns)
        stored = bag.channels[message.channel]
        if stored.topic == PREFIX + bus:
            found.append((_event(stored, message.data), message.publish_ns))
    if not found:
        raise RecordingError(_without(bag, bus), 2)
    offset_ns = int(bag.metadata.get("horus.recording", {}).get("offset_ns", 0))
    for event, publish_ns in found:
        stamp_ns = event.get("stamp_ns", 0)  # of a frame: when it came, which was told later
        at_ns = stamp_ns + offset_ns if stamp_ns and offset_ns else publish_ns
        event["at_ns"] = at_ns - (start_ns or 0)
    return [event for event, _ in found]


def _event(stored: Stored, data: bytes) -> dict[str, Any]:
    """Return an event; a message that is none is a `RecordingError`."""
    try:
        value = plain.value(data, wrapped=False) if stored.form == "json" else None
    except (ValueError, KeyError, IndexError, TypeError):
        value = None
    if not isinstance(value, dict):
        raise RecordingError(f"topic {stored.topic!r}: a message is no bus traffic")
    return value


def _without(bag: Bag, bus: str) -> str:
    """Return what to say of a recording that has no traffic of a bus."""
    topics = sorted({stored.topic for stored in bag.channels.values()})
    known = [topic.removeprefix(PREFIX) for topic in topics if topic.startswith(PREFIX)]
    if not known:
        cure = "let the robot show it with horus run --wire, and record it with horus record --bus"
        return f"{bag.path} has no bus traffic: {cure}"
    near = did_you_mean(bus, known) or f"; it has that of {', '.join(known)}"
    return f"{bag.path} has no traffic of {bus}{near}"


def whole(path: str | Path, bus: str) -> tuple[str, list[dict[str, Any]]]:
    """Return the kind of a bus and what went over it; a damaged recording is a `RecordingError`."""
    bag = Bag(path)
    found = _events(bag, bus)
    if bag.damage:
        cure = f"horus bag cut {path} -o whole.mcap keeps what is whole"
        raise RecordingError(f"{path}: {bag.damage}; {cure}")
    return kind_of(found[0]), found


def kind_of(event: dict[str, Any]) -> str:
    """Return on which kind of bus an event was."""
    if "unit" in event:
        return "modbus"
    return "i2c" if "address" in event else "can" if "id" in event else "serial"


def played_bus(path: str | Path, bus: str) -> Any:
    """Return a bus on which the devices of a recording answer as they did.

    Give it to a driver's link in the place of the real one. What the driver says must be what was
    said then; else it gets a `DeviceFault` that names both.
    """
    found = events(path, bus)
    return played(kind_of(found[0]), found, bus)
