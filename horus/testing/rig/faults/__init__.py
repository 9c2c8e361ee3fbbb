"""Means by which a bench breaks something on purpose, and puts it right again.

In a rig's file, of a device or of a bus::

    faults:
      servos: {unplug: {by: usb-hub, hub: 1-1, port: 3}}
      imu: {unplug: {by: gpio-relay, chip: /dev/gpiochip0, line: 17}}
      motor: {unplug: {by: network-relay, off: "http://192.168.1.50/relay/0?turn=off", on: ...}}
      gnss: {unplug: {by: person}}
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar, Protocol, cast

from horus.errors import HorusError
from horus.hal.config import Config

#: What may stand after ``by:``.
MEANS: Mapping[str, str] = {
    "gpio-relay": "horus.testing.rig.faults.gpio_relay:GpioRelay",
    "network-relay": "horus.testing.rig.faults.network_relay:NetworkRelay",
    "person": "horus.testing.rig.faults.person:Person",
    "qmp": "horus.testing.rig.faults.qmp:QmpPlug",
    "usb-hub": "horus.testing.rig.faults.usb_hub:UsbHub",
}
#: The faults for which a rig's file can give means.
KINDS = ("unplug",)


class MeansError(HorusError, RuntimeError):
    """What was to break something, or put it right, does not work."""


class Breaker(Protocol):
    """What takes something away and gives it back."""

    options_type: ClassVar[type[Config]]

    def __init__(self, place: str, options: Any) -> None:
        """Make it for a device or a bus; nothing happens yet."""

    def cut(self) -> None:
        """Take it away; what goes wrong is a `MeansError` that says what to do."""

    def restore(self) -> None:
        """Give it back, from whatever state; what goes wrong is a `MeansError`."""


def breaker_type(by: str) -> type[Breaker]:
    """Return the class for a word after ``by:``; an unknown one is a `KeyError`."""
    module, _, name = MEANS[by].partition(":")
    return cast("type[Breaker]", getattr(import_module(module), name))
