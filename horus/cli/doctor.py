"""Check what HORUS needs on this machine, and say what to do where something lacks."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_NEEDED = ("msgpack", "numpy", "pluggy", "posix_ipc", "pyyaml")
#: Package and what it is for.
_OPTIONAL = {"smbus2": "I2C buses", "python-can": "CAN buses", "pyserial": "serial devices"}
#: Less free shared memory (bytes) than this fills up with a few camera topics.
_LOW_SPACE = 64 << 20

_DEV, _NET = Path("/dev"), Path("/sys/class/net")
_ARPHRD_CAN = "280"
_IFF_UP = 1


class Finding(NamedTuple):
    """What one check found: ``ok``, ``--`` (lacks, but can be done without) or ``FAIL``."""

    mark: str
    subject: str
    text: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus doctor`: none."""


def main(args: argparse.Namespace) -> int:
    """Print all findings; 1 when something that is needed lacks."""
    failed = False
    for finding in findings():
        failed = failed or finding.mark == "FAIL"
        print(f"{finding.mark:<4}  {finding.subject:<14}  {finding.text}")
    return 1 if failed else 0


def findings() -> Iterator[Finding]:
    """Yield the result of every check."""
    from horus import __version__

    yield Finding("ok", "horus", __version__)
    yield Finding("ok", "python", f"{platform.python_version()} ({sys.executable})")
    yield Finding("ok", "system", f"{platform.system()} {platform.release()} {platform.machine()}")
    yield _core()
    yield _shared_memory()
    for name in _NEEDED:
        yield _package(name, "FAIL", "needed")
    for name, purpose in _OPTIONAL.items():
        yield _package(name, "--", f"for {purpose}")
    rustc = shutil.which("rustc")
    absent = "not found; only needed to run .rs nodes: https://rustup.rs"
    yield Finding("ok" if rustc else "--", "rustc", rustc or absent)
    yield _i2c()
    yield _can()
    yield from _robot()


def _core() -> Finding:
    try:
        from horus.bus import CORE_NAME
    except ImportError as error:
        _load_any_core()
        return Finding("FAIL", "message core", str(error))
    if CORE_NAME == "native":
        return Finding("ok", "message core", "native")
    if os.environ.get("HORUS_CORE") == CORE_NAME:
        return Finding("ok", "message core", f"{CORE_NAME}, as HORUS_CORE says")
    text = f"{CORE_NAME}: slower; with a C compiler installed, reinstall horus for the native one"
    return Finding("--", "message core", text)


def _load_any_core() -> None:
    """Load the core that works, whatever HORUS_CORE says, so that the other checks can go on."""
    wanted = os.environ.pop("HORUS_CORE", None)
    try:
        importlib.import_module("horus.bus")
    finally:
        if wanted is not None:
            os.environ["HORUS_CORE"] = wanted


def _shared_memory() -> Finding:
    from horus.bus import session
    from horus.errors import SharedMemoryError

    root = session.root()
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        explained = error if isinstance(error, SharedMemoryError) else session.explain(error, there)
        return Finding("FAIL", "shared memory", str(explained.strerror or explained))
    text = f"{root}: {free >> 20} MiB free"
    if free < _LOW_SPACE:
        return Finding("FAIL", "shared memory", f"{text}, which is little: run horus clean")
    return Finding("ok", "shared memory", text)


def _package(name: str, mark: str, purpose: str) -> Finding:
    try:
        return Finding("ok", name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(mark, name, f"not installed, {purpose}: pip install {name}")


def _i2c() -> Finding:
    adapters = sorted(_DEV.glob("i2c-*"), key=lambda path: (len(path.name), path.name))
    if adapters:
        return Finding("ok", "I2C adapters", ", ".join(map(str, adapters)))
    text = "none found: devices on i2c can only be simulated here; "
    return Finding("--", "I2C adapters", text + "if there is one, enable it: modprobe i2c-dev")


def _can() -> Finding:
    found = []
    for interface in sorted(_NET.glob("*")):
        with contextlib.suppress(OSError, ValueError):
            if (interface / "type").read_text().strip() == _ARPHRD_CAN:
                up = int((interface / "flags").read_text(), 16) & _IFF_UP
                found.append(f"{interface.name} ({'up' if up else 'down'})")
    if found:
        return Finding("ok", "CAN interfaces", ", ".join(found))
    text = "none found: devices on socketcan can only be simulated here; "
    return Finding("--", "CAN interfaces", text + "if there is one, load its driver")


def _robot() -> Iterator[Finding]:
    """Yield what is wrong with the horus.yaml in this folder, if there is one."""
    from horus.errors import ConfigError, HorusError
    from horus.runtime.files import find_config

    path = find_config(Path())
    if path is None:
        return
    try:
        from horus.hardware import config, plan

        faults = plan.preflight(config.load(path))
    except ConfigError as error:
        faults = list(error.faults)
    except HorusError as error:
        faults = [str(error)]
    for fault in faults:
        yield Finding("FAIL", path.name, fault)
    if not faults:
        yield Finding("ok", path.name, "no fault found")
