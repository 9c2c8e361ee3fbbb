"""What stands between a user and a device node, in words that help."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

from horus.hal.faults import DeviceFault, FaultKind

INSTALL = 'pip install "horus[drivers]"'


def denied(path: Path, bus: str) -> DeviceFault:
    """Return the fault of a device node that this user may not open, with its real owning group."""
    try:
        group = grp.getgrgid(path.stat().st_gid).gr_name
    except (OSError, KeyError):
        group = "root"
    user = _user()
    if group == "root":
        cure = f"only root may open it: add a udev rule that gives {path} to a group of yours"
    else:
        cure = f"`sudo usermod -aG {group} {user}`, then log in again"
    return DeviceFault(FaultKind.DENIED, f"{path} may not be opened by {user}", bus=bus, cure=cure)


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def package_missing(package: str, bus: str) -> DeviceFault:
    """Return the fault of a library that is not installed."""
    text = f"the Python package {package} is not installed"
    return DeviceFault(FaultKind.ABSENT, text, bus=bus, cure=INSTALL)
