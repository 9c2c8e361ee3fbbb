"""A CAN twin on a bus of this process, alive in real time, for other people's CAN programs."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from horus.hal import CanSimHost
from horus.hal.backends.any_can import AnyCan, AnyCanConfig

_numbers = itertools.count()


@contextmanager
def alive(twin: Any) -> Iterator[dict[str, Any]]:
    """Keep a twin alive on a bus; yield python-can's options of that bus.

    The bus is python-can's own: it does not deliver a program's frames to itself, unlike multicast,
    where the canopen package takes its own PDOs for those of a node.
    """
    channel = f"clients-{next(_numbers)}"
    bus = AnyCan("can0", AnyCanConfig(interface="virtual", channel=channel))
    host, stop = CanSimHost(bus, [twin]), threading.Event()

    def run() -> None:
        while not stop.is_set():
            host.step(0.002)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield {"interface": "virtual", "channel": channel}
    finally:
        stop.set()
        thread.join()
        bus.close()
