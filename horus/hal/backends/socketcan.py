"""CAN through the kernel's SocketCAN."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from horus.hal.backends.access import package_missing
from horus.hal.backends.python_can import PythonCan
from horus.hal.can import CanFrame
from horus.hal.canlink import bus_off
from horus.hal.config import BusConfig, option
from horus.hal.faults import DeviceFault, FaultKind

INTERFACES = Path("/sys/class/net")
#: Type of a CAN interface (ARPHRD_CAN) and the flag of one that is up (linux/if_arp.h, linux/if.h).
ARPHRD_CAN = 280
IFF_UP = 1
#: Largest transfer unit of an interface that does CAN-FD (linux/can.h, CANFD_MTU).
FD_MTU = 72
#: How often (s) the kernel is asked whether the interface still works: a send into an interface
#: without carrier succeeds, and one that is down lets its readers wait.
LOOK_EVERY = 0.1


@dataclass(frozen=True, kw_only=True)
class SocketCanConfig(BusConfig):
    """Options of a SocketCAN bus; the kernel's own settings decide the bit rate."""

    channel: str = option(doc="network interface, such as can0")
    bitrate: int = option(500_000, unit="bit/s", low=10_000, high=1_000_000)
    fd: bool = option(False, doc="send and receive CAN-FD frames too")
    data_bitrate: int = option(
        2_000_000, unit="bit/s", low=100_000, high=8_000_000, doc="of the data of FD frames"
    )


class SocketCan(PythonCan):
    """A CAN interface of the kernel."""

    config_type: ClassVar[type[BusConfig]] = SocketCanConfig

    def __init__(self, name: str, config: SocketCanConfig) -> None:
        self.cure = _cure(config)
        self._config = config
        self._look_at = 0.0
        if _is_off(config):
            raise _vanishing(name, config)
        super().__init__(name, interface="socketcan", channel=config.channel, fd=config.fd)

    def send(self, frame: CanFrame) -> None:
        """Put one frame on the bus; where it would vanish silently, it is a fault."""
        self._look()
        super().send(frame)

    def receive(self, timeout: float = 0.0) -> CanFrame | None:
        """Return the next frame; silence of an interface that is down is a fault."""
        frame = super().receive(timeout)
        if frame is None:
            self._look()
        return frame

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._look_at:
            return
        text = _missing(self._config)
        if text:
            raise DeviceFault(FaultKind.ABSENT, text, bus=self.name, cure=self.cure)
        if _is_off(self._config):
            raise _vanishing(self.name, self._config)
        self._look_at = now + LOOK_EVERY  # what is wrong is told as long as it is

    def set_filters(self, frames: Iterable[tuple[int, bool]]) -> None:
        """Let only these ids through, and error frames; the kernel does it."""
        mask = {False: 0x7FF, True: 0x1FFFFFFF}
        self._open().set_filters(
            [{"can_id": id, "can_mask": mask[ext], "extended": ext} for id, ext in frames] or None
        )

    @classmethod
    def preflight(cls, name: str, config: SocketCanConfig) -> str:
        """Return why the bus cannot be opened now and what to do."""
        text = _missing(config)
        if text:
            return str(DeviceFault(FaultKind.ABSENT, text, bus=name, cure=_cure(config)))
        if _is_off(config):
            return str(_vanishing(name, config))
        return "" if find_spec("can") else str(package_missing("python-can", name))


def _missing(config: SocketCanConfig) -> str:
    place = INTERFACES / config.channel
    if "/" in config.channel or not place.exists():
        found = [path.name for path in INTERFACES.glob("*") if _number(path / "type") == ARPHRD_CAN]
        here = ", ".join(sorted(found)) or "none"
        return f"the CAN interface {config.channel} does not exist (CAN interfaces here: {here})"
    if _number(place / "type") != ARPHRD_CAN:
        return f"{config.channel} is not a CAN interface"
    if not _number(place / "flags") & IFF_UP:
        return f"the CAN interface {config.channel} is down"
    if config.fd and _number(place / "mtu") < FD_MTU:
        return f"the CAN interface {config.channel} is not set up for CAN-FD"
    try:
        socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW).close()
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            return "this kernel does not speak CAN"
    return ""


def _vanishing(name: str, config: SocketCanConfig) -> DeviceFault:
    """Return the fault of an interface without carrier."""
    if _is_paired(config.channel):
        return DeviceFault(
            FaultKind.ABSENT,
            f"the other end of {config.channel} is down",
            bus=name,
            cure="set it up: sudo ip link set <the other end> up",
        )
    return bus_off(name)


def _is_paired(channel: str) -> bool:
    """Return whether it is one end of a pair of virtual interfaces (vxcan)."""
    place = INTERFACES / channel
    return _number(place / "iflink") != _number(place / "ifindex")


def _is_off(config: SocketCanConfig) -> bool:
    """Return whether the controller is bus-off: the kernel takes its carrier away."""
    place = INTERFACES / config.channel
    try:
        up = _number(place / "flags") & IFF_UP and _number(place / "type") == ARPHRD_CAN
        return bool(up) and (place / "carrier").read_text().strip() == "0"
    except OSError:
        return False


def _number(path: Path) -> int:
    try:
        return int(path.read_text(), 0)
    except (OSError, ValueError):
        return 0


def _cure(config: SocketCanConfig) -> str:
    fd = f" dbitrate {config.data_bitrate} fd on" if config.fd else ""
    return (
        "plug the adapter in, then "
        f"`sudo ip link set {config.channel} up type can bitrate {config.bitrate}{fd}`, "
        "or correct channel: in horus.yaml"
    )
