"""A line at the foot of a terminal that says how far long work is; nothing where there is none."""

from __future__ import annotations

import os
import sys
import time

#: How often (s) the line is written anew, and how wide its bar is.
EVERY, WIDTH = 0.2, 30


class Progress:
    """Shows how far something is, on standard error, if that is a terminal that can."""

    def __init__(self, label: str = "") -> None:
        self.label = f"{label} " if label else ""
        self._live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._shown = 0.0

    @property
    def due(self) -> bool:
        """Whether anything that is shown now would be seen."""
        return self._live and time.monotonic() - self._shown >= EVERY

    def show(self, done: float, text: str = "") -> None:
        """Show a share of 1, and a text behind it."""
        if not self.due:
            return
        filled = int(WIDTH * min(1.0, max(0.0, done)))
        self.say(f"{self.label}[{'#' * filled:<{WIDTH}}] {text or f'{done:.0%}'}")

    def say(self, text: str) -> None:
        """Show a text, unless the last one is too new."""
        if self.due:
            self._shown = time.monotonic()
            print(f"\r{text}\x1b[K", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away, before something is printed."""
        if self._shown:
            self._shown = 0.0
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
