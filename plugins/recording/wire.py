"""Bus traffic of a recording, played to a driver: the device as it was, in the place of a twin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from horus_plugins.recording.bag import Bag
from horus_plugins.recording.errors import RecordingError

from horus.bus import codec
from horus.hal.wire import played

__all__ = ["events", "played_bus"]

PREFIX = "wire."


def events(path: str | Path, bus: str) -> list[dict[str, Any]]:
    """Return what went over a bus, in order; a bus that was not recorded is a `RecordingError`."""
    bag = Bag(path)
    known = sorted(topic for topic in bag.summary().topics if topic.startswith(PREFIX))
    if not known:
        raise RecordingError(f"{path} has no bus traffic: horus run --wire, horus record --bus", 2)
    bag.choose([PREFIX + bus], known)
    found = []
    decoders = {n: s.decoder() for n, s in bag.channels.items() if s.topic == PREFIX + bus}
    for message in bag.read([PREFIX + bus], ordered=False):
        stored = bag.channels[message.channel]
        payload = bytearray(decoders[message.channel](message.data))
        found.append(codec.decode(stored.kind, stored.type_hash, payload))
    return found


def played_bus(path: str | Path, bus: str) -> Any:
    """Return a bus on which the devices of a recording answer as they did.

    Give it to a driver's link in the place of the real one. What the driver says must be what was
    said then; else it gets a `DeviceFault` that names both.
    """
    found = events(path, bus)
    if not found:
        raise RecordingError(f"{path}: bus {bus!r} was silent", 2)
    kind = "i2c" if "address" in found[0] else "can" if "id" in found[0] else "serial"
    return played(kind, found, bus)
