"""A serial port on which a test plays the device, with bytes."""

from __future__ import annotations

from typing import Any

from horus.hal.serial import SerialBus


class ScriptedSerial(SerialBus):
    """Keeps what a driver writes, and answers each write with the next of the given bytes.

    ``clock`` is one that is moved by hand: a wait for bytes that do not come moves it on.
    """

    name = "serial"

    def __init__(self, clock: Any, baudrate: int = 115_200) -> None:
        self.clock = clock
        self.baudrate = baudrate
        #: What the driver wrote, oldest first, and what is to be answered.
        self.written: list[bytes] = []
        self.answers: list[bytes] = []
        self._coming = bytearray()

    def give(self, *answers: str) -> None:
        """Say in hex what comes back for each write, in turn; "" is nothing."""
        self.answers += [bytes.fromhex(answer) for answer in answers]

    def send(self, data: str) -> None:
        """Let the device send bytes (in hex) by itself."""
        self._coming += bytes.fromhex(data)

    def sent(self) -> list[str]:
        """Return in hex what the driver wrote since the last call, a text for each write."""
        made, self.written = self.written, []
        return [data.hex().upper() for data in made]

    def write(self, data: bytes) -> None:
        """Keep what is written, and answer it."""
        self.written.append(data)
        if self.answers:
            self._coming += self.answers.pop(0)

    def read(self, timeout: float = 0.0) -> bytes:
        """Return the answers; without one, time passes."""
        if not self._coming and timeout > 0:
            self.clock.advance(timeout)
        data = bytes(self._coming)
        self._coming.clear()
        return data

    def close(self) -> None:
        """Do nothing."""
