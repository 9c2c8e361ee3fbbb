"""What can go wrong with a recording."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from horus.errors import HorusError

__all__ = ["RecordingError", "Unfit", "need_mcap", "why"]


class RecordingError(HorusError):
    """A recording cannot be made, read or replayed; says which and what to do."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class Unfit(Exception):
    """A payload that a format would not give back to the last byte: it is stored as it is."""


def need_mcap() -> None:
    """Say how to get the mcap package where it is missing."""
    try:
        import mcap  # noqa: F401
    except ImportError:
        raise RecordingError(
            "recordings need the mcap package: pip install 'horus[tools]'", 2
        ) from None


def why(error: OSError, path: Path) -> str:
    """Return what went wrong with writing a file; of a full disk also which one it is."""
    text = error.strerror or str(error)
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return text
    place = Path(os.path.abspath(path)).parent  # noqa: PTH100 - it need not exist
    while not place.is_mount() and place != place.parent:
        place = place.parent
    try:
        about = os.statvfs(place)
    except OSError:
        return f"{text} (file system {place})"
    free, size = (blocks * about.f_frsize / 1e6 for blocks in (about.f_bavail, about.f_blocks))
    return f"{text} (file system {place}: {free:.1f} of {size:.1f} MB free)"
