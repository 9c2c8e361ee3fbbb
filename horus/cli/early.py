"""Ctrl-C before a command has begun: the end at once, without a traceback of half an import."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType


def status(arguments: Sequence[str]) -> int:
    """Return the exit status of an interrupted command: of a run 0, as at any time of it."""
    return 0 if "run" in arguments[:2] else 128 + signal.SIGINT


def _end(signum: int, frame: FrameType | None) -> None:
    # Not an exception, which an import would wrap or swallow; there is nothing to put away yet.
    os._exit(status(sys.argv[1:]))


def begin() -> None:
    """Let SIGINT end this process at once, unless it is handled or ignored already."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def over() -> None:
    """Let SIGINT raise KeyboardInterrupt again: from now on there is something to put away."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
