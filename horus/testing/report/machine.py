"""What a report says about the machine, the rig on it, and the software that ran."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from horus.hardware.config import BusEntry, DeviceEntry
from horus.testing.report.results import Device, Versions

#: Packages beside those that HORUS names itself whose version may matter.
_MORE = ("pytest",)
#: Requirements of extras that no device needs.
_OTHERS = re.compile(r"""extra == ['"](dev|clients|tools)['"]""")
#: Where a board, or else a PC, says what it is.
_MODELS = ("sys/firmware/devicetree/base/model", "sys/class/dmi/id/product_name")


def versions() -> Versions:
    """Return the versions of HORUS, Python, the kernel, and all packages that talk to devices."""
    from horus import __version__
    from horus.bus import CORE_NAME

    return Versions(
        horus=__version__,
        python=f"{platform.python_version()} ({sys.implementation.name})",
        kernel=f"{platform.system()} {platform.release()} {platform.machine()}",
        core=CORE_NAME,
        packages=_packages(),
    )


def facts(buses: Iterable[BusEntry], *, mock: bool, root: Path = Path("/")) -> dict[str, str]:
    """Return the host, the board that it is, and what each bus is on it."""
    found = {"Host": platform.node(), "Board": _model(root)}
    if not mock:
        found |= {f"Bus {bus.name}": f"{bus.use} {bus.resource}".rstrip() for bus in buses}
    return {name: text for name, text in found.items() if text}


def devices(entries: Iterable[DeviceEntry], *, mock: bool) -> list[Device]:
    """Return the devices of a rig; who they say they are is found out when they are opened."""
    return [Device(entry.name, entry.use, entry.bus, entry.place, mock=mock) for entry in entries]


def _model(root: Path) -> str:
    for path in _MODELS:
        try:
            return (root / path).read_text(encoding="utf-8", errors="replace").strip("\0\n ")
        except OSError:
            continue
    return ""


def _packages() -> dict[str, str]:
    """Return the installed ones among those that HORUS may need."""
    try:
        lines = importlib.metadata.requires("horus") or []
    except importlib.metadata.PackageNotFoundError:  # run from a folder that is not installed
        lines = []
    lines = [line for line in lines if not _OTHERS.search(line)]
    names = {re.split(r"[^\w.-]", line, maxsplit=1)[0].lower() for line in lines}
    names = (names | set(_MORE)) - {"horus"}
    found = {}
    for name in sorted(names):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
