"""Check what HORUS needs on this machine, and say what to do where something lacks."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

_NEEDED = ("msgpack", "numpy", "pluggy", "posix_ipc", "pyyaml")
#: Package and what it is for.
_OPTIONAL = {"smbus2": "I2C buses", "python-can": "CAN buses", "pyserial": "serial devices"}
#: Less free shared memory (bytes) than this fills up with a few camera topics.
_LOW_SPACE = 64 << 20


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


def _core() -> Finding:
    from horus.bus import CORE_NAME

    if CORE_NAME == "native":
        return Finding("ok", "message core", "native")
    if os.environ.get("HORUS_CORE") == CORE_NAME:
        return Finding("ok", "message core", f"{CORE_NAME}, as HORUS_CORE says")
    text = f"{CORE_NAME}: slower; with a C compiler installed, reinstall horus for the native one"
    return Finding("--", "message core", text)


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
