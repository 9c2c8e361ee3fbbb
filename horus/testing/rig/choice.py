"""Which rig is meant: a file, one that HORUS brings, or one made of all drivers."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from horus.errors import ConfigError, did_you_mean
from horus.testing.rig import every
from horus.testing.rig.file import RigFile, load

#: How the devices of a rig are reached: stepped in simulated time, twins behind real wires in
#: processes of their own, or what is really plugged in.
STEPPED, TWINS, LIVE = "stepped", "twins", "live"
_HOW = {"mock": STEPPED, "twins": TWINS}


@dataclass(frozen=True)
class Choice:
    """A rig and how its devices are reached."""

    rig: RigFile
    how: str


def rigs_folder() -> Path:
    """Return the folder of the rig files that HORUS brings."""
    return Path(str(files("horus_hil"))) / "rigs"


def known() -> list[str]:
    """Return the names of the rigs that HORUS brings."""
    return sorted(path.stem for path in rigs_folder().glob("*.yaml"))


def find(named: str) -> Choice:
    """Return the rig that ``--rig`` names; what is wrong with it is a `ConfigError`.

    ``mock`` is one simulated device of every driver that is installed. ``mock:FILE`` are the
    devices of a rig's file, simulated in simulated time; ``twins:FILE`` likewise, but on the wall
    clock, each behind a pty, a socket or multicast. Any other is a file, or the name of one that
    HORUS brings.
    """
    if named == "mock":
        with tempfile.TemporaryDirectory() as folder:
            return Choice(replace(load(every.write(Path(folder))), path=Path("mock")), STEPPED)
    word, colon, rest = named.partition(":")
    if word in _HOW and not rest:
        raise ConfigError([f"{named}: a rig's file is missing, such as {word}:my-bench.yaml"])
    how = _HOW.get(word, "") if colon else ""
    rig = load(_path(rest if how else named))
    if not how:
        how = STEPPED if rig.kind == "mock" else LIVE
    if how != LIVE:
        rig = replace(rig, kind="mock")
        lacking = [d for d in rig.robot.hardware.values() if d.driver.twin is None]
        if lacking:
            raise ConfigError(
                f"{rig.path}:{device.line}: hardware.{device.name}: {device.use} has no simulated "
                "twin"
                for device in lacking
            )
    return Choice(rig, how)


def _path(named: str) -> Path:
    path = Path(named)
    is_folder = bool(named) and path.is_dir()
    if named in known() and (is_folder or not path.exists()):
        return rigs_folder() / f"{named}.yaml"
    if is_folder:
        raise ConfigError([f"{named}: is a folder: give the path of a rig's file"])
    if named and (path.exists() or path.suffix or "/" in named):
        return path
    near = did_you_mean(named, known()).replace("'", "") or f"; HORUS brings {', '.join(known())}"
    raise ConfigError(
        [f"{named or repr(named)}: no such rig{near}; or give the path of a rig's file"]
    )
