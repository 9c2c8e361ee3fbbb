"""One thing that the machine is told to do, and what it prints until it is done."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable

Write = Callable[[bytes], object]


class Output:
    """Output of one kind: the bytes up to a token are passed on."""

    def __init__(self, write: Write, token: bytes) -> None:
        self.over = False
        self._write = write
        self._token = token
        self._held = b""

    def take(self, data: bytes) -> None:
        """Pass on what came, but for what may be the beginning of the token."""
        held = self._held + data
        end = held.find(self._token)
        if end >= 0:
            self.over = True
        else:
            end = len(held) - _overlap(held, self._token)
        self._held = held[end:]
        if end:
            self._write(held[:end])


class Order:
    """A script that the machine runs: ``where`` is "machine" (its own files) or "host"."""

    def __init__(self, where: str, script: str, out: Write, err: Write) -> None:
        self.token = f"horus-{secrets.token_hex(8)}"
        #: What is sent for it.
        self.line = f"{self.token} {where} {packed(script)}\n".encode()
        self.status: int | None = None
        token = f"{self.token}\n".encode()
        self.outputs = {"out": Output(out, token), "err": Output(err, token)}

    @property
    def over(self) -> bool:
        """Return whether it is done and all that it printed has come."""
        return self.status is not None and all(output.over for output in self.outputs.values())


def packed(script: str) -> str:
    """Return a script as one word."""
    return base64.b64encode(script.encode()).decode()


def _overlap(data: bytes, token: bytes) -> int:
    """Return how many bytes at the end of data are the beginning of a token."""
    longest = min(len(token) - 1, len(data))
    return next((n for n in range(longest, 0, -1) if data.endswith(token[:n])), 0)
