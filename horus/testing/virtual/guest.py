"""For programs in the virtual machine: what they can ask of the one who runs it."""

from __future__ import annotations

import errno
import json
import os
import select
import time

from horus.testing.virtual import hardware
from horus.testing.virtual.errors import VirtualError

#: Longest wait (s) for hardware to be plugged or unplugged.
PATIENCE = 120.0


def unplug(name: str) -> None:
    """Have hardware pulled out; of one at a USB port the kernel learns a little later."""
    ask({"do": "unplug", "name": name})


def plug(name: str) -> None:
    """Have it put in again; the kernel finds it some time later."""
    ask({"do": "plug", "name": name})


def ask(wanted: dict[str, str]) -> None:
    """Ask the host for something and wait until it is done; a refusal is a `VirtualError`."""
    node = hardware.port("control")
    if node is None:
        raise VirtualError("this is no virtual machine", "run it by `horus hil virtual -- ...`")
    deadline = time.monotonic() + PATIENCE
    fd = _open(str(node), deadline)
    try:
        os.write(fd, json.dumps(wanted).encode() + b"\n")
        answer = json.loads(_line(fd, deadline))
    finally:
        os.close(fd)
    if "error" in answer:
        raise VirtualError(answer["error"])


def _open(node: str, deadline: float) -> int:
    """Open the port, which one program at a time can."""
    while True:
        try:
            return os.open(node, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _line(fd: int, deadline: float) -> bytes:
    """Return a line from the host, waiting for it at work: an idle machine's clock leaps ahead.

    It counts instructions and skips what the machine would wait, but the host takes its own time.
    """
    found = b""
    while not found.endswith(b"\n"):
        if not select.select([fd], [], [], 0.0)[0]:
            if time.monotonic() < deadline:
                continue
            raise VirtualError(f"the host has not answered within {PATIENCE:g} s")
        found += os.read(fd, 4096)
    return found
