"""Other names for topics: a program says ``image``, the run gives it ``left/image``.

`horus run` hands the names to a process in HORUS_REMAP. They hold for `Topic` and for what nodes
declare; the program itself goes on using its own names.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping

from horus.bus import files
from horus.errors import TopicNameError

__all__ = ["REMAP", "current", "parse", "using"]

REMAP = "HORUS_REMAP"

_read: tuple[str, Mapping[str, str]] = ("", {})
_chosen: Mapping[str, str] | None = None


def current() -> Mapping[str, str]:
    """Return the names in force, by the program's own; usually none."""
    global _read
    if _chosen is not None:
        return _chosen
    text = os.environ.get(REMAP, "")
    if text != _read[0]:
        _read = (text, _loads(text))
    return _read[1]


def _loads(text: str) -> Mapping[str, str]:
    if not text:
        return {}
    try:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError("it is no object")
        return {files.check_name(name): files.check_name(to) for name, to in found.items()}
    except (ValueError, RecursionError) as error:
        raise TopicNameError(
            f"{REMAP}={text!r} cannot be read ({error}): horus run sets it; unset it otherwise"
        ) from None


def parse(text: str) -> tuple[str, str]:
    """Return the two names of ``image:=left/image``; a `TopicNameError` says what is wrong."""
    name, sign, to = text.partition(":=")
    if not sign:
        raise TopicNameError(
            f"{text!r} is no remapping: write NAME:=OTHER, as in image:=left/image"
        )
    return files.check_name(name.strip()), files.check_name(to.strip())


@contextlib.contextmanager
def using(names: Mapping[str, str]) -> Iterator[None]:
    """Have these names in force, and no others, for what is made within ``with``."""
    global _chosen
    before, _chosen = _chosen, names
    try:
        yield
    finally:
        _chosen = before
