"""Choose the core that moves the messages: the C one if it was built, else its twin in Python.

``HORUS_CORE=native`` or ``pure`` forces one.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from horus import clock
from horus.errors import CoreError

if TYPE_CHECKING:
    from horus.bus.pure import Looks, Reader, Slots, Writer, fence

    Lender: Any

__all__ = ["CORE_NAME", "Lender", "Looks", "Reader", "Slots", "Writer", "fence"]

_wanted = os.environ.get("HORUS_CORE", "")
if _wanted not in ("", "native", "pure"):
    raise CoreError(f"HORUS_CORE={_wanted!r}: use 'native' or 'pure', or leave it unset")


def _is_main_interpreter() -> bool:
    try:
        known = import_module(
            "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
        )
    except ImportError:  # a Python without subinterpreters
        return True
    return bool(known.get_current() == known.get_main())


def _refuse_what_has_no_turns() -> None:
    """Raise a `CoreError` where the threads of this process do not take turns by one GIL.

    Both cores rely on it: the only writer of a ring, and the only reader with a serial, are in
    this process.
    """
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise CoreError(
            "free-threaded Python without its GIL is not supported by topics: "
            "start it with PYTHON_GIL=1, or use the usual build of Python"
        )
    if not _is_main_interpreter():
        raise CoreError(
            "topics work in the main interpreter only, not in a subinterpreter: "
            "use a process of its own, for example a node file of `horus run`"
        )


_refuse_what_has_no_turns()

#: ``native`` or ``pure``.
CORE_NAME = "pure"
if _wanted != "pure":
    try:
        if not TYPE_CHECKING:
            from horus.bus._core import Lender, Looks, Reader, Slots, Writer, fence, simulate
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
    from horus.bus.pure import Lender, Looks, Reader, Slots, Writer, fence
