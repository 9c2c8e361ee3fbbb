"""CAN frames as UDP multicast (python-can): a bus of programs, on this host or its network."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from importlib.util import find_spec
from typing import ClassVar

from horus.hal.backends.access import package_missing
from horus.hal.backends.python_can import PythonCan
from horus.hal.backends.sim_can import GROUP
from horus.hal.config import BusConfig, option
from horus.hal.faults import DeviceFault, FaultKind


def _is_group(text: str) -> None:
    """Refuse what is no multicast address."""
    if not ipaddress.ip_address(text).is_multicast:
        raise ValueError(f"must be a multicast address, such as {GROUP}, not {text}")


@dataclass(frozen=True, kw_only=True)
class UdpMulticastConfig(BusConfig):
    """Options of a bus of UDP multicast."""

    group: str = option(GROUP, doc="multicast address, IPv4 or IPv6", also=_is_group)
    port: int = option(43_113, low=1024, high=65_535)
    hop_limit: int = option(
        0, low=0, high=255, doc="0 stays on this host, 1 goes to its network too"
    )


class UdpMulticast(PythonCan):
    """A bus of UDP multicast; all kinds of frames, CAN-FD included, but no arbitration."""

    config_type: ClassVar[type[BusConfig]] = UdpMulticastConfig
    cure = "multicast needs a route: `sudo ip route add 239.0.0.0/8 dev lo`"

    def __init__(self, name: str, config: UdpMulticastConfig) -> None:
        super().__init__(
            name,
            interface="udp_multicast",
            channel=config.group,
            port=config.port,
            hop_limit=config.hop_limit,
        )

    @classmethod
    def preflight(cls, name: str, config: UdpMulticastConfig) -> str:
        """Return why the bus cannot be opened now and what to do."""
        for module, package in (("can", "python-can"), ("msgpack", "msgpack")):
            if not find_spec(module):
                return str(package_missing(package, name))
        family = socket.AF_INET6 if ":" in config.group else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((config.group, config.port))  # asks for the route, sends nothing
        except OSError as error:
            text = f"no way to {config.group}: {error.strerror or error}"
            return str(DeviceFault(FaultKind.ABSENT, text, bus=name, cure=cls.cure))
        return ""
