"""A CAN twin on a multicast bus, alive in real time, for other people's CAN programs."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from horus.hal import CanSimHost, DeviceFault
from horus.hal.backends.sim_can import GROUP, SimCan, SimCanConfig


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def alive(twin: Any) -> Iterator[dict[str, Any]]:
    """Keep a twin alive on a bus; yield python-can's options of that bus."""
    port = free_port()
    try:
        bus = SimCan("can0", SimCanConfig(port=port))
    except DeviceFault as fault:
        pytest.skip(str(fault))
    host, stop = CanSimHost(bus, [twin]), threading.Event()

    def run() -> None:
        while not stop.is_set():
            host.step(0.002)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield {
            "interface": "udp_multicast",
            "channel": GROUP,
            "port": port,
            "hop_limit": 0,
            "receive_own_messages": False,  # canopen takes its own PDOs for a node's
        }
    finally:
        stop.set()
        thread.join()
        bus.close()
