"""A simulated CAN bus that crosses processes: python-can's UDP multicast, kept on this host."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

from horus.hal.backends.python_can import PythonCan
from horus.hal.can import CanFrame
from horus.hal.config import BusConfig, option
from horus.hal.faults import DeviceFault, FaultKind

#: An administratively scoped group (RFC 2365); with hop limit 0 nothing leaves the host anyway.
GROUP = "239.74.163.2"
PROBE = CanFrame(0x1FFFFFFF, b"probe", extended=True)


@dataclass(frozen=True, kw_only=True)
class SimCanConfig(BusConfig):
    """Where the simulated bus is; every run and every bus has a port of its own."""

    port: int = option(low=1024, high=65535)
    group: str = option(GROUP)


class SimCan(PythonCan):
    """A simulated bus; it delivers what is sent on it to the sender too."""

    config_type: ClassVar[type[BusConfig]] = SimCanConfig
    cure = "multicast needs a route: `sudo ip route add 239.0.0.0/8 dev lo`"

    def __init__(self, name: str, config: SimCanConfig, *, probe: bool = True) -> None:
        super().__init__(
            name,
            interface="udp_multicast",
            channel=config.group,
            port=config.port,
            hop_limit=0,
        )
        if probe:
            self._probe()

    def _probe(self) -> None:
        """Check that what is sent comes back."""
        try:
            self.send(PROBE)
            deadline = time.monotonic() + 1.0
            while time.monotonic() < deadline:
                if self.receive(0.1) == PROBE:
                    return
        except DeviceFault:
            pass
        self.close()
        raise DeviceFault(
            FaultKind.ABSENT,
            "this machine does not carry multicast, which the simulated CAN bus needs",
            bus=self.name,
            cure=self.cure,
        )
