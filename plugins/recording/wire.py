"""Bus traffic of a recording, played to a driver: the device as it was, in the place of a twin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from horus_plugins.recording.bag import Bag
from horus_plugins.recording.errors import RecordingError

from horus.bus import codec
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
    summary = bag.summary()
    topics = sorted(summary.topics)
    known = [topic.removeprefix(PREFIX) for topic in topics if topic.startswith(PREFIX)]
    if not known:
        cure = "let the robot show it with horus run --wire, and record it with horus record --bus"
        raise RecordingError(f"{bag.path} has no bus traffic: {cure}", 2)
    if bus not in known:
        near = did_you_mean(bus, known) or f"; it has that of {', '.join(known)}"
        raise RecordingError(f"{bag.path} has no traffic of {bus}{near}", 2)
    found = []
    offset_ns = int(bag.metadata.get("horus.recording", {}).get("offset_ns", 0))
    decoders = {n: s.decoder() for n, s in bag.channels.items() if s.topic == PREFIX + bus}
    for message in bag.read([PREFIX + bus], ordered=False):
        stored = bag.channels[message.channel]
        payload = bytearray(decoders[message.channel](message.data))
        event = codec.decode(stored.kind, stored.type_hash, payload)
        stamp_ns = event.get("stamp_ns", 0)  # of a frame: when it came, which was told later
        at_ns = stamp_ns + offset_ns if stamp_ns and offset_ns else message.publish_ns
        event["at_ns"] = at_ns - summary.start_ns
        found.append(event)
    return found


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
