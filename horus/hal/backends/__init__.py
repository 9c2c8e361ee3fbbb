"""Real buses: the only modules that import smbus2 and python-can, and only when a bus is opened.

A back-end is a bus class with three things more: ``config_type``, a constructor that takes
``(name, config)`` and opens the bus, and ``preflight(name, config)``, which says what is missing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar, Protocol, cast

from horus.hal.can import CanBus
from horus.hal.config import BusConfig
from horus.hal.i2c import I2cBus
from horus.hal.modbus import ModbusBus
from horus.hal.serial import SerialBus

Bus = I2cBus | CanBus | SerialBus | ModbusBus

#: What may stand after ``use:`` of a bus in horus.yaml.
BACKENDS = {
    "can": "horus.hal.backends.any_can:AnyCan",
    "gs_usb": "horus.hal.backends.gs_usb:GsUsb",
    "i2c": "horus.hal.backends.i2c_dev:I2cDev",
    "modbus": "horus.hal.backends.modbus_rtu:ModbusRtu",
    "serial": "horus.hal.backends.serial_port:SerialPort",
    "slcan": "horus.hal.backends.slcan:SlCan",
    "socketcan": "horus.hal.backends.socketcan:SocketCan",
    "udp_multicast": "horus.hal.backends.udp_multicast:UdpMulticast",
}


class Backend(Protocol):
    """A class of real buses."""

    kind: ClassVar[str]
    config_type: ClassVar[type[BusConfig]]

    def __call__(self, name: str, config: Any) -> Bus:
        """Open the bus."""

    def preflight(self, name: str, config: Any) -> str:
        """Return why the bus cannot be opened now and what to do, or "" when nothing is known."""

    def branch(self, parent: Any, name: str, config: Any) -> Bus:
        """Open a bus that hangs from another; only for buses with an option ``parent``."""

    def simulate(self, parent: Any, config: Any, child: Any) -> None:
        """Hang a simulated bus into its simulated parent; only for those with ``parent``."""


def backend(use: str) -> Backend:
    """Return the back-end of that name; an unknown name is a `KeyError`."""
    module, _, attribute = BACKENDS[use].partition(":")
    return cast(Backend, getattr(import_module(module), attribute))
