"""Unplugging by a USB hub that switches the power of its ports, through ``uhubctl``."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from horus.hal.config import Config, option
from horus.testing.rig.faults import MeansError

#: Longest run (s) of uhubctl; it waits itself until a port has changed.
TIMEOUT = 20.0


@dataclass(frozen=True, kw_only=True)
class UsbHubOptions(Config):
    """Which port of which hub."""

    hub: str = option(doc="the hub's location as `uhubctl` prints it, such as 1-1")
    port: int = option(low=1, high=32, doc="the port's number")


@dataclass(frozen=True)
class Done:
    """How a command ended, and all that it printed."""

    code: int
    text: str


def run(command: Sequence[str]) -> Done:
    """Run a command."""
    if shutil.which(command[0]) is None:
        raise MeansError(f"{command[0]} is not installed: `sudo apt install {command[0]}`")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise MeansError(f"`{' '.join(command)}` does not end within {TIMEOUT:g} s") from None
    return Done(done.returncode, done.stdout + done.stderr)


class UsbHub:
    """One port of a hub; many hubs that say they switch power do not: `uhubctl` lists good ones."""

    options_type: ClassVar[type[Config]] = UsbHubOptions

    def __init__(
        self, place: str, options: UsbHubOptions, run: Callable[[Sequence[str]], Done] = run
    ) -> None:
        self.place = place
        self.options = options
        self._run = run

    def cut(self) -> None:
        """Switch the port's power off."""
        self._switch("off")

    def restore(self) -> None:
        """Switch the port's power on."""
        self._switch("on")

    def _switch(self, action: str) -> None:
        hub, port = self.options.hub, str(self.options.port)
        command = ["uhubctl", "-l", hub, "-p", port, "-a", action]
        done = self._run(command)
        if done.code == 0:
            return
        lines = done.text.strip().splitlines() or [f"exit code {done.code}"]
        cure = "uhubctl's udev rule lets you use it without root"
        if "ermission" not in done.text:
            cure = f"`uhubctl` lists the hubs that can switch power: is {hub} among them?"
        raise MeansError(f"{self.place}: `{' '.join(command)}`: {lines[-1]}; {cure}")
