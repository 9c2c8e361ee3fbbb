"""The CAN contract: a frame, and a bus that carries frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

#: Error class bit of an error frame that says the controller went bus-off (linux/can/error.h).
ERROR_BUS_OFF = 0x40
#: The same for a controller that was restarted after bus-off.
ERROR_RESTARTED = 0x100
#: The same for one whose counters of errors passed a limit; its second byte of data says which.
ERROR_CONTROLLER = 0x04
#: How many bytes of data an FD frame may have.
FD_LENGTHS = (*range(9), 12, 16, 20, 24, 32, 48, 64)


class CanState(Enum):
    """How a controller stands to its bus, by its counters of errors (ISO 11898-1)."""

    ACTIVE = "active"
    #: More than 96 errors: it works, but something is wrong with bus or bit rate.
    WARNING = "warning"
    #: More than 127: it no longer tells others of errors, and waits longer before it sends again.
    PASSIVE = "passive"
    #: More than 255 of its own frames: it has left the bus, and what is sent vanishes.
    BUS_OFF = "bus-off"


#: Which bits of an `ERROR_CONTROLLER` frame's second byte tell which state, the worst first.
_STATES = {0x30: CanState.PASSIVE, 0x0C: CanState.WARNING, 0x40: CanState.ACTIVE}


@dataclass(frozen=True)
class CanFrame:
    """One frame; ``stamp_ns`` (monotonic, of its reception) does not count in equality."""

    id: int
    data: bytes = b""
    extended: bool = False
    remote: bool = False
    fd: bool = False
    error: bool = False
    stamp_ns: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        limit = 1 << 29 if self.extended or self.error else 1 << 11
        if not 0 <= self.id < limit:
            width = 29 if self.extended else 11
            raise ValueError(f"CAN id 0x{self.id:X} does not fit in {width} bits")
        if len(self.data) > (64 if self.fd else 8):
            raise ValueError(f"{len(self.data)} bytes do not fit in a CAN frame")
        if self.fd and len(self.data) not in FD_LENGTHS:
            raise ValueError(f"an FD frame cannot have {len(self.data)} bytes of data: pad it")
        if self.remote and (self.data or self.fd):
            raise ValueError("a remote frame carries no data and is never FD")

    @property
    def state(self) -> CanState | None:
        """Return the state of the controller that an error frame tells; None if it tells none."""
        if not self.error:
            return None
        if self.id & ERROR_RESTARTED:
            return CanState.ACTIVE
        if self.id & ERROR_BUS_OFF:
            return CanState.BUS_OFF
        if not self.id & ERROR_CONTROLLER or len(self.data) < 2:
            return None
        return next((state for bits, state in _STATES.items() if self.data[1] & bits), None)

    def __str__(self) -> str:
        width = 8 if self.extended else 3
        kind = " remote" * self.remote + " FD" * self.fd + " error" * self.error
        return f"0x{self.id:0{width}X}{kind} {self.data.hex(' ')}".rstrip()


class CanBus(ABC):
    """One CAN bus, open.

    For bus authors: map every error of the library to a `DeviceFault`; deliver error frames as
    frames with ``error`` set. A bus may deliver what was sent on it: users must not mind.
    """

    kind = "can"
    name = "can"

    @abstractmethod
    def send(self, frame: CanFrame) -> None:
        """Put one frame on the bus; it never blocks for longer than a few frames take."""

    @abstractmethod
    def receive(self, timeout: float = 0.0) -> CanFrame | None:
        """Return the next frame, or None when none came within ``timeout`` seconds."""

    @abstractmethod
    def set_filters(self, frames: Iterable[tuple[int, bool]]) -> None:
        """Let only these (id, extended) through, where the bus can; error frames always pass."""

    @abstractmethod
    def close(self) -> None:
        """Release the bus; closing twice is harmless."""
