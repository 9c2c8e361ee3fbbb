"""What can go wrong with a device: one closed set of kinds, whatever library noticed it."""

from __future__ import annotations

import re
from enum import Enum

from horus.errors import HorusError


class FaultKind(str, Enum):
    """The kind of a `DeviceFault`; a caller can decide by it alone."""

    ABSENT = "absent"  #: the bus or the device is not there
    DENIED = "denied"  #: this user may not open it
    BUSY = "busy"  #: somebody else holds it
    NO_ACK = "no acknowledge"  #: the address did not answer
    TIMEOUT = "timeout"  #: it did not finish in time
    CORRUPT = "corrupt"  #: what arrived cannot be what was sent
    STALE = "stale"  #: nothing new for too long
    REJECTED = "rejected"  #: the device refused, or is not the device that was expected
    BUS_OFF = "bus off"  #: the CAN controller has left the bus after too many errors
    OTHER = "other"  #: none of the above


#: Kinds that a second attempt may cure by itself.
TRANSIENT = frozenset({FaultKind.NO_ACK, FaultKind.TIMEOUT, FaultKind.CORRUPT})


class DeviceFault(HorusError, OSError):
    """A device or its bus failed: what happened, to which device, on which bus, and what to do.

    Example scenarios: the bus does not exist or needs another group, an address does not
    acknowledge, a checksum is wrong, a heartbeat stopped, another chip answers.
    """

    def __init__(
        self, kind: FaultKind, text: str, *, device: str = "", bus: str = "", cure: str = ""
    ) -> None:
        self.kind = kind
        self.text = text
        self.device = device
        self.bus = bus
        self.cure = cure
        super().__init__(text)

    def at(self, device: str = "", bus: str = "") -> DeviceFault:
        """Fill in the device and the bus where they are not known yet; return this fault."""
        self.device = self.device or device
        self.bus = self.bus or bus
        return self

    def __str__(self) -> str:
        place = self.device or self.bus
        if self.device and self.bus:
            place = f"{self.device} on {self.bus}"
        text = f"{place}: {self.text}" if place else self.text
        return f"{text}: {self.cure}" if self.cure else text


_NUMBER = re.compile(r"[-+]?\b(?:\d[\w.+-]*|nan|inf)\b")


class CommandRefused(HorusError, ValueError):
    """A command that must not reach the device: out of range, not finite, or of another mode."""

    @property
    def reason(self) -> str:
        """Return the text without its numbers: the same for all refusals of one kind."""
        return _NUMBER.sub("#", str(self))
