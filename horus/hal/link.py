"""What every driver holds: its end of a bus, whatever the bus."""

from __future__ import annotations

import time
from collections.abc import Callable

#: A monotonic clock in nanoseconds; a simulated one takes its place in tests.
Clock = Callable[[], int]


class Link:
    """One device's end of a bus: where it is, when it last spoke, what went wrong.

    ``station`` is the device's place on the bus: an I2C address, a CAN node id.
    """

    def __init__(
        self, device: str, bus: str, station: int, clock: Clock = time.monotonic_ns
    ) -> None:
        self.device = device
        self.bus_name = bus
        self.station = station
        self.clock = clock
        #: Monotonic time (ns) at which the device took the last sample, as near as the bus knows.
        self.stamp_ns = 0
        #: Transactions or frames that failed, retried ones included.
        self.errors = 0
        #: Bytes of payload moved in both directions.
        self.bytes = 0
