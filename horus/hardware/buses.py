"""Open buses: one handle per bus and process, opened when needed and anew when it was lost."""

from __future__ import annotations

import time
from collections.abc import Callable

from horus.hal.backends import Bus
from horus.hal.can import CanBus
from horus.hal.canlink import CanHub, CanLink
from horus.hal.i2c import I2cLink
from horus.hal.link import Clock, Link
from horus.hardware.config import BusEntry


class BusHandle:
    """One bus of this process, shared by the devices on it."""

    def __init__(
        self, name: str, open: Callable[[], Bus], clock: Clock = time.monotonic_ns
    ) -> None:
        self.name = name
        #: Counts the openings; a link made for an earlier one is dead.
        self.generation = 0
        self._open = open
        self._clock = clock
        self._bus: Bus | None = None
        self._hub: CanHub | None = None

    def link(self, device: str, station: int) -> Link:
        """Return a device's end of the bus; the bus is opened if it is not, or a fault says why."""
        if self._bus is None:
            self._bus = self._open()
            self.generation += 1
            self._hub = CanHub(self._bus) if isinstance(self._bus, CanBus) else None
        if self._hub is not None:
            return CanLink(self._hub, station, device, self._clock)
        assert not isinstance(self._bus, CanBus)
        return I2cLink(self._bus, station, device, self._clock)

    def poll(self) -> None:
        """Hand out the frames that have arrived; nothing to do on a bus that only answers."""
        if self._hub is not None:
            self._hub.poll()

    def close(self) -> None:
        """Close the bus; `link` opens it again."""
        bus, self._bus, self._hub = self._bus, None, None
        if bus is not None:
            bus.close()


def real_bus(entry: BusEntry) -> Bus:
    """Open a bus as horus.yaml says."""
    return entry.backend(entry.name, entry.config)
