"""What the peers leave in shared memory, and taking away no more than that."""

import contextlib
import shutil
from pathlib import Path

SHM = Path("/dev/shm")


def present():
    """Return the names in shared memory now."""
    return set(_names())


def remove(token, before):
    """Remove what carries our token, and what zenoh made since ``before`` and nobody has open."""
    for name in _names():
        path = SHM / name
        theirs = name.endswith(".zenoh") and name not in before and not _in_use(path)
        if token in name or theirs:
            _remove(path)


def _names():
    return [path.name for path in SHM.iterdir()] if SHM.is_dir() else []


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _in_use(path):
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(path) in (process / "maps").read_text():
                return True
        with contextlib.suppress(OSError):
            if any(fd.readlink() == path for fd in (process / "fd").iterdir()):
                return True
    return False
