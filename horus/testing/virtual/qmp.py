"""QEMU's own protocol (QMP), as far as hardware is plugged and unplugged with it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from typing import Any

from horus.testing.virtual.errors import VirtualError

#: Longest time (s) for an answer, and for a guest to let a device go.
PATIENCE, LETTING_GO = 30.0, 60.0
#: How long (s) a guest that has not heard the button is left before it is pressed again.
AGAIN = 5.0


class Qmp:
    """One end of a connection to a machine's monitor."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._pending = b""
        #: Events that have come and were not asked for yet, oldest first.
        self.events: list[dict[str, Any]] = []
        self._number = 0

    def begin(self) -> None:
        """Take the greeting and leave the mode of negotiation."""
        self._receive(time.monotonic() + PATIENCE)
        self.do("qmp_capabilities")

    def do(self, command: str, **arguments: Any) -> Any:
        """Have a command done; return its result. A refusal is a `VirtualError`."""
        self._number += 1
        order = {"execute": command, "arguments": arguments, "id": self._number}
        self._socket.sendall(json.dumps(order).encode() + b"\n")
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self._receive(deadline)
            if answer.get("id") != self._number:
                continue
            if "error" in answer:
                raise VirtualError(
                    f"the virtual machine refuses {command}: {answer['error']['desc']}"
                )
            return answer["return"]

    def unplug(self, device: str) -> None:
        """Take a device away, and wait until the guest's kernel has let it go."""
        self.events.clear()
        deadline = time.monotonic() + LETTING_GO
        while not self._is_gone(device):
            if time.monotonic() > deadline:
                raise VirtualError(f"the virtual machine does not let {device} go")
            try:
                self.do("device_del", id=device)
            except VirtualError as error:
                if "in the process of unplug" not in str(error) and "not found" not in str(error):
                    raise
            self._wait_until_gone(device, min(deadline, time.monotonic() + AGAIN))

    def plug(self, properties: Mapping[str, Any]) -> None:
        """Put a device in: its driver, id and what else it has."""
        self.do("device_add", **properties)

    def _is_gone(self, device: str) -> bool:
        return any(
            event["event"] == "DEVICE_DELETED" and event["data"].get("device") == device
            for event in self.events
        )

    def _wait_until_gone(self, device: str, deadline: float) -> None:
        try:
            while not self._is_gone(device):
                self._receive(deadline)
        except TimeoutError:
            pass

    def _receive(self, deadline: float) -> dict[str, Any]:
        """Return the next message; one that is an event is kept in `events`, too."""
        while b"\n" not in self._pending:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            data = self._socket.recv(65536)
            if not data:
                raise VirtualError("the virtual machine has ended")
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        if "event" in message:
            self.events.append(message)
        return message
