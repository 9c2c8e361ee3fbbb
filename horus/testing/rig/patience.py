"""The end of a check that hangs, such as in a driver that never returns: it fails, and says where.

After that nothing more is tried on the rig: what hung once would hang in every other check too.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from horus.testing.rig.session import RigSession

#: So long (s) each phase of a test may take, unless ``--hil-hang`` says.
LONGEST = 600.0
#: So long (s) each step may take with which a check that hung is torn down.
STEP = 10.0


class Patience:
    """A pytest plugin with a limit for each phase of a test."""

    def __init__(self, rig: RigSession, seconds: float) -> None:
        self._rig = rig
        self.seconds = seconds

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        """Limit it."""
        with self._limit(item):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Limit it."""
        with self._limit(item):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        """Limit it."""
        with self._limit(item):
            return (yield)

    @contextmanager
    def _limit(self, item: pytest.Item) -> Iterator[None]:
        main = threading.current_thread() is threading.main_thread()
        if not main or signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL:
            yield  # another plugin has limits of its own
            return

        step = STEP * self._rig.scale
        first = step if item.session.shouldfail else self.seconds

        def ring(signum: int, frame: FrameType | None) -> NoReturn:
            at = f" at {Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else ""
            text = f"it hangs: after {first:g} s it is still{at}"
            item.session.shouldfail = f"{item.name}: {text}; nothing more is tried on this rig"
            if self._rig.collector is not None:
                self._rig.collector.reason = str(item.session.shouldfail)
            pytest.fail(text)  # no Exception, which a node would take for a fault of its driver

        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, first, step)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
