"""Unplugging by a person at the terminal, who is asked; only with ``--hil-person``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from horus.hal.config import Config, option
from horus.testing.rig.faults import MeansError

TERMINAL = "/dev/tty"


@dataclass(frozen=True, kw_only=True)
class PersonOptions(Config):
    """What the person is told."""

    what: str = option("", doc="what is to be unplugged, where that is not the device's name")


def ask(text: str) -> None:
    """Show a text on the terminal, whatever pytest does to the output, and wait for Enter."""
    try:
        with open(TERMINAL, "r+", buffering=1) as terminal:  # noqa: PTH123
            terminal.write(f"\n{text} ")
            if terminal.readline() == "":
                raise MeansError("the terminal was closed before it was answered")
    except OSError as error:
        raise MeansError(f"nobody can be asked: {TERMINAL} {error.strerror}") from None


class Person:
    """Somebody who pulls the plug and puts it back."""

    options_type: ClassVar[type[Config]] = PersonOptions

    def __init__(
        self, place: str, options: PersonOptions, ask: Callable[[str], None] = ask
    ) -> None:
        self.place = place
        self.options = options
        self._ask = ask
        self._is_cut = False

    def cut(self) -> None:
        """Have the plug pulled."""
        self._ask(f"Unplug {self.options.what or self.place}, then press Enter:")
        self._is_cut = True

    def restore(self) -> None:
        """Have it put back, if it was pulled."""
        if self._is_cut:
            self._ask(f"Plug {self.options.what or self.place} in again, then press Enter:")
            self._is_cut = False
