"""Where time comes from: the machine's clock, or one that a test moves by hand."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """A monotonic clock and the sleep that goes with it."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds since some fixed moment; never goes back."""

    def sleep(self, seconds: float) -> None:
        """Let this much time pass."""


class SystemClock:
    """The machine's own monotonic clock."""

    monotonic_ns = staticmethod(time.monotonic_ns)
    sleep = staticmethod(time.sleep)
