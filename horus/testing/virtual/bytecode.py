"""HORUS's own modules compiled beforehand: the emulated processor would take a minute for it."""

from __future__ import annotations

import contextlib
import py_compile
import struct
from importlib.util import MAGIC_NUMBER, cache_from_source, find_spec
from pathlib import Path

PACKAGES = ("horus", "horus_drivers", "horus_hil", "horus_plugins")
#: How a compiled file begins (PEP 552): version, way of checking, time and size of its source.
_HEAD = struct.Struct("<4sIII")


def prepare(folder: Path) -> Path:
    """Bring the compiled modules in a folder up to date; return the folder.

    It is laid out as the file system is, to be laid over it. What Python has written beside a
    module already is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for source in _sources():
        own = Path(cache_from_source(str(source)))
        made = folder / own.relative_to("/")
        if not _is_fresh(own, source) and not _is_fresh(made, source):
            with contextlib.suppress(OSError, py_compile.PyCompileError):
                py_compile.compile(str(source), str(made), doraise=True)
    return folder


def _sources() -> list[Path]:
    found = []
    for package in PACKAGES:
        spec = find_spec(package)
        for place in (spec and spec.submodule_search_locations) or ():
            found += sorted(Path(place).resolve().rglob("*.py"))
    return found


def _is_fresh(made: Path, source: Path) -> bool:
    try:
        with made.open("rb") as file:
            head = _HEAD.unpack(file.read(_HEAD.size))
        about = source.stat()
    except (OSError, struct.error):
        return False
    when, size = int(about.st_mtime) & 0xFFFFFFFF, about.st_size & 0xFFFFFFFF
    return head == (MAGIC_NUMBER, 0, when, size)
