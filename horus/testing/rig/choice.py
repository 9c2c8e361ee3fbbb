"""Which rig is meant: a file, one that HORUS brings, or one made of all drivers."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from horus.errors import ConfigError, did_you_mean
from horus.testing.rig import every
from horus.testing.rig.file import RigFile, load


def rigs_folder() -> Path:
    """Return the folder of the rig files that HORUS brings."""
    return Path(str(files("horus_hil"))) / "rigs"


def known() -> list[str]:
    """Return the names of the rigs that HORUS brings."""
    return sorted(path.stem for path in rigs_folder().glob("*.yaml"))


def find(choice: str) -> RigFile:
    """Return the rig that ``--rig`` names; what is wrong with it is a `ConfigError`.

    ``mock`` is one simulated device of every driver that is installed, ``mock:FILE`` the devices of
    a rig's file, simulated; any other is a file, or the name of one that HORUS brings.
    """
    if choice == "mock":
        with tempfile.TemporaryDirectory() as folder:
            return replace(load(every.write(Path(folder))), path=Path("mock"))
    simulated = choice.startswith("mock:")
    rig = load(_path(choice.removeprefix("mock:")))
    return replace(rig, kind="mock") if simulated else rig


def _path(choice: str) -> Path:
    path = Path(choice)
    if path.exists() or path.suffix or "/" in choice:
        return path
    if choice in known():
        return rigs_folder() / f"{choice}.yaml"
    near = did_you_mean(choice, known()).replace("'", "") or f"; HORUS brings {', '.join(known())}"
    raise ConfigError([f"{choice}: no such rig{near}; or give the path of a rig's file"])
