"""Logging under ``horus``, and a handler of last resort so that a node's lines are never lost."""

from __future__ import annotations

import logging
import sys

__all__ = ["ensure_visible", "logger"]

_LOGGER = logging.getLogger("horus")
_PREFIX = "horus.node."


class _Format(logging.Formatter):
    """``12:34:56.789 INFO    controller: text``: the node's name stands alone."""

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s.%(msecs)03d %(levelname)-7s %(source)s: %(message)s", "%H:%M:%S"
        )

    def format(self, record: logging.LogRecord) -> str:
        record.__dict__["source"] = record.name.removeprefix(_PREFIX)
        return super().format(record)


class _LastResort(logging.Handler):
    """Write to the standard error of the moment, as long as the application has no handler."""

    def emit(self, record: logging.LogRecord) -> None:
        if logging.getLogger().handlers or any(h is not self for h in _LOGGER.handlers):
            return  # logging was configured after all: that handler has the line
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:
            self.handleError(record)


def ensure_visible() -> None:
    """Show INFO and above on standard error unless the application has configured logging."""
    if _LOGGER.hasHandlers():
        return
    handler = _LastResort()
    handler.setFormatter(_Format())
    _LOGGER.addHandler(handler)
    if _LOGGER.level == logging.NOTSET:
        _LOGGER.setLevel(logging.INFO)


def logger(name: str) -> logging.Logger:
    """Return the logger ``horus.<name>``; a node's is ``horus.node.<name>``."""
    ensure_visible()
    return _LOGGER.getChild(name)
