"""The traffic of a robot's buses as topics, when a run is asked for it (``horus run --wire``).

``wire.<bus>`` carries a dict for each transaction, frame or piece of bytes (`horus.hal.wire`), as
it went between the driver and the wire. The ring is deep: a recorder that joins in the first
seconds still gets how the devices were set up.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from horus.bus import Publisher, Subscriber
from horus.errors import TopicError
from horus.hal.backends import Bus
from horus.hal.wire import tapped

#: Set for the processes of a run whose traffic is wanted.
ENV = "HORUS_WIRE"
#: Events that are kept for who joins later.
DEPTH = 16_384


def wire_topic(bus: str) -> str:
    """Return the topic of a bus's traffic."""
    return f"wire.{bus}"


class WireTopic:
    """Tells the traffic of one bus, however often it is opened."""

    def __init__(self, bus: str) -> None:
        # It is what makes the ring deep from the beginning; nothing is read by it.
        self._depth = Subscriber(wire_topic(bus), depth=DEPTH)
        self._end = Publisher(wire_topic(bus))

    def tell(self, event: dict[str, Any]) -> None:
        """Send an event; memory that is full must not stop a device."""
        try:
            self._end.send(event)
        except TopicError:
            return


def told(bus: str, open: Callable[[], Bus]) -> Callable[[], Bus]:
    """Return what opens a bus; where the run is asked for it, one that tells of its traffic."""
    if os.environ.get(ENV) != "1":
        return open
    made: list[WireTopic] = []  # once the run that it belongs to has begun

    def opened() -> Bus:
        bus_itself = open()
        if not made:
            made.append(WireTopic(bus))
        return tapped(bus_itself, made[0].tell)

    return opened
