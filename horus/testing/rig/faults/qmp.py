"""Unplugging what is plugged into the virtual machine, through QEMU's own protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from horus.hal.config import Config, option
from horus.testing.rig.faults import MeansError
from horus.testing.virtual import guest, hardware
from horus.testing.virtual.errors import VirtualError


def _is_pluggable(name: str) -> None:
    if name not in hardware.PLUGGABLE:
        raise ValueError(f"must be one of {', '.join(hardware.PLUGGABLE)}, not {name!r}")


@dataclass(frozen=True, kw_only=True)
class QmpOptions(Config):
    """What is to be unplugged."""

    name: str = option(doc="its name in the virtual machine, such as can_a", also=_is_pluggable)


class QmpPlug:
    """Hardware of the virtual machine, pulled out and put in by the one who runs it."""

    options_type: ClassVar[type[Config]] = QmpOptions

    def __init__(self, place: str, options: QmpOptions) -> None:
        self.place = place
        self.options = options
        self._is_cut = False

    def cut(self) -> None:
        """Have it pulled out."""
        self._is_cut = True
        self._ask(guest.unplug)

    def restore(self) -> None:
        """Have it put in again, if it was pulled out."""
        if self._is_cut:
            self._ask(guest.plug)
            self._is_cut = False

    def _ask(self, what: object) -> None:
        assert callable(what)
        try:
            what(self.options.name)
        except (VirtualError, OSError) as error:
            raise MeansError(f"{self.place}: {error}") from None
