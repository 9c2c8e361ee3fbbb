"""Tracebacks as the author of a node wants them: of the node's code alone."""

from __future__ import annotations

from types import TracebackType

__all__ = ["strip_traceback"]


def strip_traceback(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback from the first frame on that is the user's, if there is one."""
    user = trace
    while user is not None:
        module = user.tb_frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in ("horus", "asyncio"):
            return user
        user = user.tb_next
    return trace
