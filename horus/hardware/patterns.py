"""The patterns of node files in horus.yaml, and the files that they stand for."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

from horus.hal.config import shown


class PatternError(ValueError):
    """A pattern that stands for no file, or that would search too much."""


def matches(folder: Path, pattern: str) -> list[Path]:
    """Return the files that a pattern stands for, sorted; none is a `PatternError`.

    An absolute path is the name of one file. ``..`` may not be combined with ``**``, nor with
    wildcards in more than one part, and ``**`` stands once: else it would search the whole disk.
    """
    parts = PurePath(pattern).parts
    wild = sum(any(c in part for c in "*?[") for part in parts)
    if ".." in parts and ("**" in parts or wild > 1):
        raise PatternError(
            f"{shown(pattern)} would search outside of the folder of horus.yaml: "
            "with .. only one part may hold wildcards, and it may not be **"
        )
    if parts.count("**") > 1:
        raise PatternError(f"{shown(pattern)} would search folders many times: use ** once")
    if PurePath(pattern).is_absolute():
        found = [Path(pattern)]
    else:
        try:
            found = sorted(folder.glob(pattern))
        except (ValueError, OSError, RecursionError):  # no pattern, or one too long for any file
            found = []
    files = [path for path in found if os.path.isfile(path)]  # noqa: PTH113 - never raises
    if not files:
        raise PatternError(f"no file matches {shown(pattern)} in {folder.resolve()}")
    return files
