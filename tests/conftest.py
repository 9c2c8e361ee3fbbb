"""What every test gets: shared memory of its own, and ways to wait and to move time by hand."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from horus.testing.fixtures import *  # noqa: F403

_SHM = Path("/dev/shm")

# A suite started in the background of a script inherits a SIGINT that is ignored, one started with
# nohup such a SIGHUP, and so would every process that a test starts and sends one to.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def shm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh folder as the root of all topics; topics are closed and it is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="horus-test-", dir=_SHM if _SHM.is_dir() else None))
    monkeypatch.setenv("HORUS_SHM_DIR", str(folder))
    monkeypatch.delenv("HORUS_SESSION_ID", raising=False)
    try:
        yield folder
    finally:
        try:
            from horus.bus.ends import close_all

            os.environ["HORUS_SHM_DIR"] = str(folder)  # whatever the test did to it
            close_all()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _fresh_loggers() -> Iterator[None]:
    """Levels set on a node's logger by one test do not reach the next one."""
    yield
    for name, logger in logging.Logger.manager.loggerDict.items():
        if name.startswith("horus") and isinstance(logger, logging.Logger):
            logger.setLevel(logging.NOTSET)


@pytest.fixture
def wait_for() -> Callable[[Callable[[], object]], None]:
    """Wait until a condition holds, at most 30 s."""

    def wait(condition: Callable[[], object], seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail("the condition did not come true in time")
            time.sleep(0.002)

    return wait
