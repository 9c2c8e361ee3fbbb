"""Twins alive behind a pseudo-terminal, for clients that open a serial port of their own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from horus.hal import SerialSimHost
from horus.hal.ptyserial import PtyPort


@contextlib.contextmanager
def served(*twins: Any) -> Iterator[str]:
    """Move twins on in real time while the block runs; give the path of their port."""
    port = PtyPort()
    host = SerialSimHost(port, twins)
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            host.step(0.001)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield port.path
    finally:
        over.set()
        thread.join()
        port.close()
