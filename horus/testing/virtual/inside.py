"""A run of the checks on the virtual rig: the same command, in a virtual machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from horus.testing.virtual import hardware
from horus.testing.virtual.fetch import Cache
from horus.testing.virtual.machine import Machine

#: Options of pytest that name something that it writes: a folder, or files in one.
_FOLDERS = ("--hil-report",)
_FILES = ("--junitxml", "--junit-xml")


def is_inside() -> bool:
    """Return whether this is the virtual machine."""
    return hardware.port("control") is not None


def run(rig: str, arguments: Sequence[str]) -> int:
    """Run `horus hil run RIG` in a virtual machine; return its exit status.

    What the arguments say is to be written is found here afterwards.
    """
    folders = written(arguments)
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    with Machine(Cache(), folders) as machine:
        return machine.run(command(rig, arguments))


def command(rig: str, arguments: Sequence[str]) -> list[str]:
    """Return the words of `horus hil run RIG` as the machine runs them."""
    return [sys.executable, "-m", "horus.cli", "hil", "run", rig, *arguments]


def written(arguments: Sequence[str]) -> list[Path]:
    """Return the folders that a run with these arguments writes into."""
    found: dict[Path, None] = {}
    for word, following in zip(arguments, [*arguments[1:], ""], strict=False):
        option, equals, value = word.partition("=")
        path = Path(value if equals else following).resolve()
        if option in _FOLDERS:
            found[path] = None
        elif option in _FILES:
            found[path.parent] = None
    return list(found)
