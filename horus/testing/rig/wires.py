"""`WireUnderTest`: what a test of a wire sees of it, on a bench or simulated."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from horus.hal.backends import Bus
from horus.hal.can import CanFrame
from horus.hal.i2c import I2cBus
from horus.hal.localcan import CanWire, LocalCan
from horus.hal.serial import SerialBus
from horus.hal.simi2c import no_acknowledge
from horus.hardware.buses import real_bus
from horus.testing.rig.file import RigFile, Wire


class WireUnderTest:
    """One wire of a rig; its buses are opened when asked for, and closed at the end."""

    #: By what the limits of times are to be multiplied on this rig.
    scale: float = 1.0

    def __init__(
        self, rig: RigFile, wire: Wire, open: Callable[[str, dict[str, Any]], Bus], *, mock: bool
    ) -> None:
        self.rig = rig
        self.wire = wire
        self.mock = mock
        self._open = open
        self._opened: list[Bus] = []

    @property
    def name(self) -> str:
        """Return the wire's name."""
        return self.wire.name

    @property
    def kind(self) -> str:
        """Return what it is: can-loopback, serial-loopback or i2c-known."""
        return self.wire.kind

    @property
    def ends(self) -> tuple[str, ...]:
        """Return the names of the buses at its ends."""
        return self.wire.ends

    def config(self, end: int = 0) -> Any:
        """Return the options of the bus at an end."""
        return self.rig.robot.buses[self.wire.ends[end]].config

    def bus(self, end: int = 0, **options: Any) -> Any:
        """Open the bus at an end, with options instead of those of the file, such as baudrate."""
        made = self._open(self.wire.ends[end], options)
        self._opened.append(made)
        return made

    def close(self) -> None:
        """Close all that was opened."""
        while self._opened:
            self._opened.pop().close()


def live_wire(rig: RigFile, wire: Wire) -> WireUnderTest:
    """Return a wire of a bench."""

    def open(name: str, options: dict[str, Any]) -> Bus:
        entry = rig.robot.buses[name]
        return real_bus(replace(entry, config=replace(entry.config, **options)))

    return WireUnderTest(rig, wire, open, mock=False)


def mock_wire(rig: RigFile, wire: Wire) -> WireUnderTest:
    """Return a wire that is simulated, on the wall clock."""
    pair = CanWire(wire.name, time.monotonic_ns)

    def open(name: str, _: dict[str, Any]) -> Bus:
        if wire.kind == "can-loopback":
            return PairEnd(pair)
        if wire.kind == "serial-loopback":
            return Jumper(name)
        return KnownChip(name, wire)

    return WireUnderTest(rig, wire, open, mock=True)


class PairEnd(LocalCan):
    """One end of a pair; like the kernel's, it does not hear what it sends itself."""

    def __init__(self, wire: CanWire) -> None:
        super().__init__(wire)
        wire.ends.append(self)

    def send(self, frame: CanFrame) -> None:
        """Send a frame to the other end."""
        stamped = replace(frame, stamp_ns=self._wire.clock())
        for end in self._wire.ends:
            if end is not self:
                end._frames.append(stamped)


class Jumper(SerialBus):
    """A port whose transmit pin is wired to its receive pin."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._bytes = bytearray()

    def write(self, data: bytes) -> None:
        """Send bytes; they come back at once."""
        self._bytes += data

    def read(self, timeout: float = 0.0) -> bytes:
        """Return what has come back; it never waits, for all that was sent has."""
        found, self._bytes = bytes(self._bytes), bytearray()
        return found

    def close(self) -> None:
        """Forget what is on the way."""
        self._bytes.clear()


class KnownChip(I2cBus):
    """A bus with one chip on it, of which one register is known."""

    def __init__(self, name: str, wire: Wire) -> None:
        self.name = name
        self._wire = wire

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        """Answer as the chip would; nobody else is there."""
        if address != self._wire.address:
            raise no_acknowledge(address, self.name)
        known = write[:1] == bytes([self._wire.register])
        return bytes([self._wire.value if known else 0xFF] * read)

    def close(self) -> None:
        """Leave the bus."""
