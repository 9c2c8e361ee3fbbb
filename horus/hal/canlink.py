"""Many drivers on one CAN bus: each gets the frames that are for it."""

from __future__ import annotations

import time
from collections.abc import Callable

from horus.hal.can import CanBus, CanFrame, CanState
from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.link import Clock, Link

#: Most frames taken from the bus in one go, so that a flood cannot hold up a tick.
BURST = 500


class Inbox:
    """The newest frame with an id; with ``when`` only of those whose data it accepts."""

    def __init__(
        self, id: int, extended: bool = False, when: Callable[[bytes], bool] | None = None
    ) -> None:
        self.id = id
        self.extended = extended
        self.when = when
        #: The newest frame; None when none came since the link was opened.
        self.frame: CanFrame | None = None


class CanLink(Link):
    """A device on a CAN bus: it sends frames, and receives into inboxes."""

    def __init__(
        self, hub: CanHub, node: int, device: str = "", clock: Clock = time.monotonic_ns
    ) -> None:
        super().__init__(device, hub.bus.name, node, clock)
        self.hub = hub

    def listen(self, *inboxes: Inbox) -> None:
        """Receive data frames into these from now on."""
        self.hub.subscribe(self, *inboxes)

    def send(self, frame: CanFrame) -> None:
        """Put one frame on the bus."""
        try:
            self.hub.send(frame)
        except DeviceFault as fault:
            self.errors += 1
            raise fault.at(self.device, self.bus_name) from None
        self.bytes += len(frame.data)


class CanHub:
    """Hands the frames of one bus out to its links; poll it before the links are read.

    Remote frames and ids nobody listens to are dropped, and with them whatever was sent on a bus
    that delivers its own frames: drivers listen to reports and send commands.
    """

    def __init__(self, bus: CanBus) -> None:
        self.bus = bus
        #: Error frames that came; what they told last of the controller.
        self.error_frames = 0
        self.state = CanState.ACTIVE
        self._inboxes: dict[tuple[int, bool], list[tuple[CanLink, Inbox]]] = {}

    def subscribe(self, link: CanLink, *inboxes: Inbox) -> None:
        """Fill a link's inboxes; a link that the same device had before gets nothing any more.

        An id may be shared by devices that are told apart by content; an id that one of two
        devices wants for itself is refused.
        """
        for found in self._inboxes.values():
            found[:] = [one for one in found if one[0] is link or one[0].device != link.device]
        for inbox in inboxes:
            found = self._inboxes.setdefault((inbox.id, inbox.extended), [])
            for other, box in found:
                if other is not link and (box.when is None or inbox.when is None):
                    raise DeviceFault(
                        FaultKind.BUSY,
                        f"frames 0x{inbox.id:X} are already those of {other.device}: "
                        "two devices cannot share a node id",
                    ).at(link.device, self.bus.name)
            found.append((link, inbox))
        self.bus.set_filters([key for key, found in self._inboxes.items() if found])

    def poll(self) -> None:
        """Take what has arrived; a bus that fails is a `DeviceFault` to whoever polls."""
        for _ in range(BURST):
            frame = self.bus.receive()
            if frame is None:
                return
            if frame.error:
                self.error_frames += 1
                for link in self._links():
                    link.errors += 1  # nobody can tell whose frame it was
                self.state = frame.state or self.state
            elif not frame.remote:
                for link, inbox in self._inboxes.get((frame.id, frame.extended), ()):
                    if inbox.when is None or inbox.when(frame.data):
                        inbox.frame = frame
                        link.bytes += len(frame.data)

    def _links(self) -> set[CanLink]:
        """Return the links that listen."""
        return {link for found in self._inboxes.values() for link, _ in found}

    @property
    def bus_off(self) -> bool:
        """Return whether the controller has left the bus."""
        return self.state is CanState.BUS_OFF

    def send(self, frame: CanFrame) -> None:
        """Put one frame on the bus; in bus-off a send would vanish silently, so it is refused."""
        if self.bus_off:
            raise bus_off(self.bus.name)
        self.bus.send(frame)


def bus_off(bus: str) -> DeviceFault:
    """Return the fault of a controller that has left the bus."""
    return DeviceFault(
        FaultKind.BUS_OFF,
        "the CAN controller is bus-off",
        bus=bus,
        cure="check bit rate, wiring and the two 120 Ω terminators; "
        "`ip link set <interface> type can restart-ms 100` lets it recover",
    )
