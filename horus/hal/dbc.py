"""Frames described by a DBC file, read with the cantools package when they are first used."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from horus.errors import did_you_mean
from horus.hal.faults import DeviceFault, FaultKind

INSTALL = 'pip install "horus[dbc]"'


class DbcLayout:
    """One message of a DBC file: ``Report(0x01, DbcLayout(FILE, "Heartbeat", "Error", "State"))``.

    After the message, the names of the signals in the order of the values; none are all signals in
    the order of their bits. Values are in the units of the file. What is not named is sent as 0.
    """

    def __init__(self, path: str | Path, message: str, *signals: str) -> None:
        self.path = Path(path)
        self.message = message
        self._signals = signals

    @cached_property
    def _found(self) -> Any:
        if not find_spec("cantools"):
            text = f"{self.path.name} needs the Python package cantools, which is not installed"
            raise DeviceFault(FaultKind.ABSENT, text, cure=INSTALL)
        from cantools.database import load_file
        from cantools.database.errors import Error

        try:
            database: Any = load_file(self.path)
        except (OSError, Error) as error:
            raise ValueError(f"{self.path} cannot be used: {error}") from None
        messages = {message.name: message for message in database.messages}
        if self.message not in messages:
            raise ValueError(self._unknown("message", self.message, list(messages)))
        found = messages[self.message]
        names = [signal.name for signal in found.signals]
        for name in self._signals:
            if name not in names:
                raise ValueError(self._unknown(f"signal of {self.message}", name, names))
        return found

    def _unknown(self, what: str, name: str, known: Sequence[str]) -> str:
        near = did_you_mean(name, known) or f"; known: {', '.join(known)}"
        return f"{self.path}: no {what} {name}{near}"

    @property
    def id(self) -> int:
        """Id of the message in the file."""
        return int(self._found.frame_id)

    @property
    def size(self) -> int:
        """Bytes of the message."""
        return int(self._found.length)

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the signals in the order of the values."""
        return self._signals or tuple(signal.name for signal in self._found.signals)

    def pack(self, *values: float) -> bytes:
        """Return the bytes; a value out of the signal's range is a `ValueError`."""
        found = self._found
        if len(values) != len(self.signals):
            raise ValueError(f"takes {len(self.signals)} values, not {len(values)}")
        given: dict[str, float] = {signal.name: 0 for signal in found.signals}
        given.update(zip(self.signals, values, strict=True))
        from cantools.database.errors import Error

        try:
            return bytes(found.encode(given, scaling=True, padding=False))
        except Error as error:
            raise ValueError(str(error)) from None

    def unpack_from(self, buffer: bytes) -> tuple[Any, ...]:
        """Return the values; what the file does not allow is a `DeviceFault` (corrupt)."""
        found = self._found
        from cantools.database.errors import Error

        try:
            values = found.decode(buffer[: self.size], decode_choices=False)
            return tuple(values[name] for name in self.signals)
        except (Error, KeyError, ValueError) as error:
            text = f"{self.message} cannot be read: {error}"
            raise DeviceFault(FaultKind.CORRUPT, text) from None
