"""Open buses: one handle per bus and process, opened when needed and anew when it was lost."""

from __future__ import annotations

import time
from collections.abc import Callable

from horus.hal.backends import Bus
from horus.hal.can import CanBus
from horus.hal.canlink import CanHub, CanLink
from horus.hal.i2c import I2cBus, I2cLink
from horus.hal.link import Clock, Link
from horus.hal.modbus import ModbusBus, ModbusLink
from horus.hal.serial import SerialBus, SerialLink
from horus.hardware.claims import Claims, place_of
from horus.hardware.config import BusEntry


class BusHandle:
    """One bus of this process, shared by the devices on it."""

    def __init__(
        self,
        name: str,
        open: Callable[[], Bus],
        clock: Clock = time.monotonic_ns,
        claims: Claims | None = None,
    ) -> None:
        self.name = name
        #: The places that this process holds on a real bus; None for a simulated one.
        self.claims = claims
        #: Counts the openings; a link made for an earlier one is dead.
        self.generation = 0
        self._open = open
        self._clock = clock
        self._bus: Bus | None = None
        self._hub: CanHub | None = None

    def bus(self) -> Bus:
        """Return the bus itself; it is opened if it is not, or a fault says why."""
        if self._bus is None:
            self._bus = self._open()
            self.generation += 1
            self._hub = CanHub(self._bus) if isinstance(self._bus, CanBus) else None
        return self._bus

    def claim(self, device: str, *stations: str) -> None:
        """Take places on a real bus; one that another process has is a `DeviceFault` (busy)."""
        if self.claims is not None:
            self.claims.take(device, stations)

    def link(self, device: str, station: int) -> Link:
        """Return a device's end of the bus; the bus is opened if it is not, or a fault says why."""
        return make_link(self.bus(), self._hub, device, station, self._clock)

    def poll(self) -> None:
        """Hand out the frames that have arrived; nothing to do on a bus that only answers."""
        if self._hub is not None:
            self._hub.poll()

    def close(self) -> None:
        """Close the bus; `link` opens it again."""
        bus, self._bus, self._hub = self._bus, None, None
        if bus is not None:
            bus.close()
        if self.claims is not None:
            self.claims.release()


def make_link(
    bus: Bus, hub: CanHub | None, device: str, station: int, clock: Clock = time.monotonic_ns
) -> Link:
    """Return a device's end of an open bus of any kind; ``hub`` is that of a CAN bus."""
    if isinstance(bus, CanBus):
        return CanLink(hub or CanHub(bus), station, device, clock)
    if isinstance(bus, SerialBus):
        return SerialLink(bus, station, device, clock)
    if isinstance(bus, ModbusBus):
        return ModbusLink(bus, station, device, clock)
    assert isinstance(bus, I2cBus)
    return I2cLink(bus, station, device, clock)


def real_bus(entry: BusEntry) -> Bus:
    """Open a bus as horus.yaml says."""
    return entry.backend(entry.name, entry.config)


def branch_bus(entry: BusEntry, parent: BusHandle) -> Bus:
    """Open a bus that hangs from another one of this process; what it hangs from is claimed."""
    parent.claim(entry.name, *_root_of(entry))
    return entry.backend.branch(parent.bus(), entry.name, entry.config)


def claims_of(entry: BusEntry, parent: BusHandle | None = None) -> Claims:
    """Return the claims to places on a real bus, or on a branch of one."""
    place = place_of(entry.use, entry.config)
    if parent is None:
        return Claims(place, whole=entry.backend.kind == "serial")
    above = parent.claims.place if parent.claims else parent.name
    return Claims(f"{above}/{place}")


def _root_of(entry: BusEntry) -> list[str]:
    """Return the place of what makes a branch, such as a multiplexer, on the bus above it."""
    address = getattr(entry.config, "address", None)
    return [f"0x{address:02X}"] if isinstance(address, int) else []
