"""HORUS's own modules compiled beforehand: the emulated processor would take a minute for it."""

from __future__ import annotations

import contextlib
import os
import py_compile
import shutil
import struct
import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.util import MAGIC_NUMBER, cache_from_source, find_spec, source_hash
from pathlib import Path

PACKAGES = ("horus", "horus_drivers", "horus_hil", "horus_plugins")
#: How a compiled file begins (PEP 552): version, way of checking, time and size of its source.
_HEAD = struct.Struct("<4sIII")
#: The same where it is checked by the hash of its source, as pytest has it from 9.2 on.
_BY_HASH_HEAD, _BY_HASH = struct.Struct("<4sI8s"), 1
#: Longest time (s) until pytest has read the conformance suite.
_COLLECTED = 120.0


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
    with contextlib.suppress(OSError, ImportError, subprocess.SubprocessError):
        _prepare_checks(folder)
    return folder


def _prepare_checks(folder: Path) -> None:
    """Have pytest compile the conformance suite, whose assertions it writes anew."""
    end = f".{sys.implementation.cache_tag}-pytest-{version('pytest')}.pyc"
    spec = find_spec("horus_hil.checks")
    found = (spec and spec.submodule_search_locations) or ()
    for place in (Path(one).resolve() for one in found):
        compiled = [(place / "__pycache__" / (s.stem + end), s) for s in place.glob("test_*.py")]
        made = [(folder / own.relative_to("/"), source) for own, source in compiled]
        pairs = zip(compiled, made, strict=True)
        if not all(_is_fresh(*own) or _is_fresh(*other) for own, other in pairs):
            _have_pytest_compile(folder, end)
            return


def _have_pytest_compile(folder: Path, end: str) -> None:
    with tempfile.TemporaryDirectory(prefix="horus-pyc-") as place:
        subprocess.run(
            [sys.executable, "-m", "horus.cli", "hil", "run", "mock", "--collect-only", "-q"],
            env={
                **{k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"},
                "PYTHONPYCACHEPREFIX": place,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_COLLECTED,
            check=True,
        )
        for path in Path(place).rglob(f"*{end}"):
            made = folder / path.parent.relative_to(place) / "__pycache__" / path.name
            made.parent.mkdir(parents=True, exist_ok=True)
            draft = made.with_name(f".{made.name}-{os.getpid()}")
            shutil.copyfile(path, draft)
            draft.replace(made)  # a machine may be reading the old one


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
        if head[1] & _BY_HASH:
            expected = _BY_HASH_HEAD.pack(MAGIC_NUMBER, head[1], source_hash(source.read_bytes()))
            return expected == _HEAD.pack(*head)
    except (OSError, struct.error):
        return False
    when, size = int(about.st_mtime) & 0xFFFFFFFF, about.st_size & 0xFFFFFFFF
    return head == (MAGIC_NUMBER, 0, when, size)
