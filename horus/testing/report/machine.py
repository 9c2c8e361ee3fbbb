"""What a report says about the machine and the software that ran."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import sys

from horus.testing.report.results import Versions

#: Packages beside those that HORUS names itself whose version may matter.
_MORE = ("pytest",)


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


def _packages() -> dict[str, str]:
    """Return the installed ones among those that HORUS may need."""
    try:
        lines = importlib.metadata.requires("horus") or []
    except importlib.metadata.PackageNotFoundError:  # run from a folder that is not installed
        lines = []
    names = {re.split(r"[^\w.-]", line, maxsplit=1)[0].lower() for line in lines}
    names = (names | set(_MORE)) - {"horus"}
    found = {}
    for name in sorted(names):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
