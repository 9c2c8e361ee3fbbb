"""Choose the core that moves the messages: the C one if it was built, else its twin in Python.

``HORUS_CORE=native`` or ``pure`` forces one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from horus import clock
from horus.errors import CoreError

if TYPE_CHECKING:
    from horus.bus.pure import Reader, Writer, fence

__all__ = ["CORE_NAME", "Reader", "Writer", "fence"]

_wanted = os.environ.get("HORUS_CORE", "")
if _wanted not in ("", "native", "pure"):
    raise CoreError(f"HORUS_CORE={_wanted!r}: use 'native' or 'pure', or leave it unset")

#: ``native`` or ``pure``.
CORE_NAME = "pure"
if _wanted != "pure":
    try:
        if not TYPE_CHECKING:
            from horus.bus._core import Reader, Writer, fence, simulate
        CORE_NAME = "native"
    except ImportError as error:
        if _wanted == "native":
            raise CoreError(
                f"HORUS_CORE=native, but the C core cannot be loaded ({error}): "
                "install a C compiler and Python's headers, then reinstall horus"
            ) from None
if CORE_NAME == "native" and not TYPE_CHECKING:
    clock.follow(simulate)
if CORE_NAME == "pure" and not TYPE_CHECKING:
    from horus.bus.pure import Reader, Writer, fence
