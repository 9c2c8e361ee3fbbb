"""What a driver's `safe` sends, on each kind of bus: heard, written down, read back and said.

A word is one thing that goes out on the wire: a CAN frame, some bytes on a serial line, one write
on an I2C bus.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from horus.errors import HorusError
from horus.hal.backends import Bus
from horus.hal.can import CanBus, CanFrame
from horus.hal.i2c import I2cBus
from horus.hal.serial import SerialBus

MOST_BYTES = 4096  # of a word


class UnspeakableError(HorusError, TypeError):
    """A driver's `safe` reads: nobody could answer it when its process is dead."""


@dataclass(frozen=True)
class I2cWrite:
    """One write to an address."""

    address: int
    data: bytes

    def __post_init__(self) -> None:
        if not 0 <= self.address < 0x80 or len(self.data) > MOST_BYTES:
            raise ValueError(f"no write to an I2C device: {self}")


Word = CanFrame | I2cWrite | bytes


class Ear(Protocol):
    """A bus that only remembers what was sent on it."""

    heard: list[Any]


class _CanEar(CanBus):
    def __init__(self, echoes: Collection[Any]) -> None:
        self.heard: list[Any] = []

    def send(self, frame: CanFrame) -> None:
        self.heard.append(frame)

    def receive(self, timeout: float = 0.0) -> CanFrame | None:
        return None

    def set_filters(self, frames: Iterable[tuple[int, bool]]) -> None:
        pass

    def close(self) -> None:
        pass


class _I2cEar(I2cBus):
    def __init__(self, echoes: Collection[Any]) -> None:
        self.heard: list[Any] = []
        self._echoes = echoes

    def transfer(self, address: int, write: bytes, read: int = 0) -> bytes:
        if read and (address not in self._echoes or not write):
            _refuse()
        self.heard.append(I2cWrite(address, bytes(write)))
        return bytes(write[-1:]) * read

    def close(self) -> None:
        pass


class _SerialEar(SerialBus):
    def __init__(self, echoes: Collection[Any]) -> None:
        self.heard: list[Any] = []

    def write(self, data: bytes) -> None:
        self.heard.append(bytes(data))

    def read(self, timeout: float = 0.0) -> bytes:
        if timeout > 0:
            _refuse()
        return b""

    def close(self) -> None:
        pass


def _refuse() -> NoReturn:
    raise UnspeakableError("reads from the device; it must only write")


_EARS: Mapping[str, type[Any]] = {"can": _CanEar, "i2c": _I2cEar, "serial": _SerialEar}
KINDS = tuple(_EARS)


def ear(kind: str, echoes: Collection[Any] = ()) -> Any:
    """Return a listening bus of a kind, with what it ``heard``; a `KeyError` for another kind.

    At addresses in ``echoes`` are multiplexers, which show what was written to them.
    """
    return _EARS[kind](echoes)


def station(word: Word) -> int:
    """Return the I2C address that a word is for; 0 on a bus where the word itself tells."""
    return word.address if isinstance(word, I2cWrite) else 0


def packed(word: Word) -> dict[str, Any]:
    """Return a word as it stands in a file."""
    if isinstance(word, CanFrame):
        flags = {n: True for n in ("extended", "remote", "fd") if getattr(word, n)}
        return {"id": word.id, "data": word.data.hex(), **flags}
    if isinstance(word, I2cWrite):
        return {"address": word.address, "data": word.data.hex()}
    return {"data": word.hex()}


def unpacked(kind: str, made: Any) -> Word:
    """Return a word of a kind of bus out of a file; what it cannot be is a `ValueError`."""
    data = bytes.fromhex(made["data"])
    if kind == "can":
        flags = {n: bool(made.get(n)) for n in ("extended", "remote", "fd")}
        return CanFrame(int(made["id"]), data, **flags)
    if kind == "i2c":
        return I2cWrite(int(made["address"]), data)
    if len(data) > MOST_BYTES:
        raise ValueError(f"{len(data)} bytes")
    return data


def say(bus: Bus, word: Word) -> None:
    """Put a word on an open bus of its kind."""
    if isinstance(bus, CanBus) and isinstance(word, CanFrame):
        bus.send(word)
    elif isinstance(bus, I2cBus) and isinstance(word, I2cWrite):
        bus.transfer(word.address, word.data)
    elif isinstance(bus, SerialBus) and isinstance(word, bytes):
        bus.write(word)
    else:
        raise TypeError(f"{type(word).__name__} cannot be said on {type(bus).__name__}")
