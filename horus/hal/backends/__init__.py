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

Bus = I2cBus | CanBus

#: What may stand after ``use:`` of a bus in horus.yaml.
BACKENDS = {
    "i2c": "horus.hal.backends.i2c_dev:I2cDev",
    "socketcan": "horus.hal.backends.socketcan:SocketCan",
}


class Backend(Protocol):
    """A class of real buses."""

    kind: ClassVar[str]
    config_type: ClassVar[type[BusConfig]]

    def __call__(self, name: str, config: Any) -> Bus:
        """Open the bus."""

    def preflight(self, name: str, config: Any) -> str:
        """Return why the bus cannot be opened now and what to do, or "" when nothing is known."""


def backend(use: str) -> Backend:
    """Return the back-end of that name; an unknown name is a `KeyError`."""
    module, _, attribute = BACKENDS[use].partition(":")
    return cast(Backend, getattr(import_module(module), attribute))
