"""CAN through a gs_usb adapter (candleLight, CANable) without a driver in the kernel.

With one, which is usual, the adapter is a network interface: ``{use: socketcan, channel: can0}``.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from horus.hal.backends.access import denied, package_missing
from horus.hal.backends.python_can import PythonCan
from horus.hal.can import CanFrame
from horus.hal.config import BusConfig, option
from horus.hal.faults import DeviceFault, FaultKind

USB = Path("/sys/bus/usb/devices")
NODES = Path("/dev/bus/usb")
#: USB vendor and product of adapters with this protocol (linux drivers/net/can/usb/gs_usb.c).
PRODUCTS = frozenset({"1d50:606f", "1209:2323", "1cd2:606f", "16d0:10b8"})
CURE = "plug it in, or correct index: in horus.yaml"
#: How often (s) a silent adapter is looked for: the library takes a lost one for a silent bus.
LOOK_EVERY = 0.2


@dataclass(frozen=True, kw_only=True)
class GsUsbConfig(BusConfig):
    """Options of a gs_usb adapter."""

    index: int = option(0, low=0, high=15, doc="which adapter, where there are several")
    bitrate: int = option(500_000, unit="bit/s", low=10_000, high=1_000_000)


class GsUsb(PythonCan):
    """An adapter on USB; it does classic CAN only."""

    config_type: ClassVar[type[BusConfig]] = GsUsbConfig
    cure = CURE

    def __init__(self, name: str, config: GsUsbConfig) -> None:
        why = _missing(name, config)
        if why is not None:
            raise why
        self._config = config
        self._node = _node(adapters()[config.index])
        self._looked = 0.0
        super().__init__(name, interface="gs_usb", channel=config.index, bitrate=config.bitrate)

    @classmethod
    def preflight(cls, name: str, config: GsUsbConfig) -> str:
        """Return why the adapter cannot be opened now and what to do."""
        return str(_missing(name, config) or "")

    def receive(self, timeout: float = 0.0) -> CanFrame | None:
        """Return the next frame; an adapter that was pulled out is a `DeviceFault` (absent)."""
        frame = super().receive(timeout)
        now = time.monotonic()
        if frame is None and now - self._looked > LOOK_EVERY:
            self._looked = now
            if not self._node.exists():
                text = "the gs_usb adapter was pulled out"
                raise DeviceFault(FaultKind.ABSENT, text, bus=self.name, cure=self.cure)
        return frame


def adapters() -> list[Path]:
    """Return the adapters that are plugged in, as folders of the kernel."""
    return [
        path
        for path in sorted(USB.glob("*"))
        if f"{_text(path / 'idVendor')}:{_text(path / 'idProduct')}" in PRODUCTS
    ]


def _missing(name: str, config: GsUsbConfig) -> DeviceFault | None:
    for module, package in (("can", "python-can"), ("usb", "pyusb"), ("gs_usb", "gs-usb")):
        if not find_spec(module):
            fault = package_missing(package, name)
            fault.cure = 'pip install "horus[gs-usb]"'
            return fault
    found = adapters()
    if config.index >= len(found):
        text = f"no gs_usb adapter {config.index} (adapters here: {len(found) or 'none'})"
        return DeviceFault(FaultKind.ABSENT, text, bus=name, cure=CURE)
    place = found[config.index]
    interfaces = ", ".join(path.name for path in sorted(place.glob("*/net/*")))
    if interfaces:
        text = f"gs_usb adapter {config.index} is driven by the kernel, as {interfaces}"
        cure = f"use: socketcan with channel: {interfaces.partition(',')[0]}"
        return DeviceFault(FaultKind.BUSY, text, bus=name, cure=cure)
    node = _node(place)
    return None if os.access(node, os.R_OK | os.W_OK) else denied(node, name)


def _node(place: Path) -> Path:
    numbers = (int(_text(place / file) or 0) for file in ("busnum", "devnum"))
    return NODES.joinpath(*(f"{number:03d}" for number in numbers))


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
