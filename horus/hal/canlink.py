"""Many drivers on one CAN bus: each gets the frames that are for it."""

from __future__ import annotations

import time
from collections.abc import Iterable

from horus.hal.can import ERROR_BUS_OFF, CanBus, CanFrame
from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.link import Clock, Link

#: Most frames taken from the bus in one go, so that a flood cannot hold up a tick.
BURST = 500


class CanLink(Link):
    """A device on a CAN bus: the newest frame of every id it listens to."""

    def __init__(
        self, hub: CanHub, node: int, device: str = "", clock: Clock = time.monotonic_ns
    ) -> None:
        super().__init__(device, hub.bus.name, node, clock)
        self.hub = hub
        self._newest: dict[int, CanFrame] = {}

    def listen(self, ids: Iterable[int], extended: bool) -> None:
        """Receive data frames with these ids from now on."""
        self.hub.subscribe(self, ids, extended)

    def send(self, frame: CanFrame) -> None:
        """Put one frame on the bus."""
        try:
            self.hub.send(frame)
        except DeviceFault as fault:
            self.errors += 1
            raise fault.at(self.device, self.bus_name) from None
        self.bytes += len(frame.data)

    def take(self, frame: CanFrame) -> None:
        """Keep a frame that is for this device."""
        self._newest[frame.id] = frame
        self.bytes += len(frame.data)

    def newest(self, id: int) -> CanFrame | None:
        """Return the newest frame with an id, or None when none came since the link was opened."""
        return self._newest.get(id)


class CanHub:
    """Hands the frames of one bus out to its links; poll it before the links are read.

    Remote frames and ids nobody listens to are dropped, and with them whatever was sent on a bus
    that delivers its own frames: drivers listen to reports and send commands.
    """

    def __init__(self, bus: CanBus) -> None:
        self.bus = bus
        self.error_frames = 0
        self.bus_off = False
        self._links: dict[tuple[int, bool], CanLink] = {}

    def subscribe(self, link: CanLink, ids: Iterable[int], extended: bool) -> None:
        """Send data frames with these ids to a link; an id that another link has is refused."""
        for id in ids:
            other = self._links.setdefault((id, extended), link)
            if other.device != link.device:
                raise DeviceFault(
                    FaultKind.BUSY,
                    f"frames 0x{id:X} are already those of {other.device}: "
                    "two devices cannot share a node id",
                ).at(link.device, self.bus.name)
            self._links[id, extended] = link
        self.bus.set_filters(self._links)

    def poll(self) -> None:
        """Take what has arrived; a bus that fails is a `DeviceFault` to whoever polls."""
        for _ in range(BURST):
            frame = self.bus.receive()
            if frame is None:
                return
            if frame.error:
                self.error_frames += 1
                self.bus_off = self.bus_off or bool(frame.id & ERROR_BUS_OFF)
            elif not frame.remote:
                link = self._links.get((frame.id, frame.extended))
                if link is not None:
                    link.take(frame)

    def send(self, frame: CanFrame) -> None:
        """Put one frame on the bus; in bus-off a send would vanish silently, so it is refused."""
        if self.bus_off:
            raise DeviceFault(
                FaultKind.BUS_OFF,
                "the CAN controller is bus-off",
                bus=self.bus.name,
                cure="check bit rate, wiring and the two 120 Ω terminators; "
                "`ip link set <interface> type can restart-ms 100` lets it recover",
            )
        self.bus.send(frame)
