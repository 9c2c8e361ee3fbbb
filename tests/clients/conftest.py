"""Other people's drivers against the twins: a constant that is wrong in both of ours shows up here.

The packages are named in the extra ``clients``. The ``adafruit-circuitpython-*`` ones run without
the boards' own packages that they ask for: ``pip install --no-deps`` spares those.
"""

from __future__ import annotations

import importlib.util
import sys
import time
import types
from collections.abc import Callable
from typing import Any

import pytest

from horus.hal import SimI2cBus


class BusIo:
    """A simulated bus as Adafruit's drivers know one: the ``busio.I2C`` of CircuitPython."""

    def __init__(self, bus: SimI2cBus) -> None:
        self.bus = bus
        self.locked = False

    def try_lock(self) -> bool:
        was, self.locked = self.locked, True
        return not was

    def unlock(self) -> None:
        self.locked = False

    def writeto(self, address: int, buffer: Any, *, start: int = 0, end: int | None = None) -> None:
        assert self.locked
        self.bus.transfer(address, bytes(buffer[start:end]))

    def readfrom_into(
        self, address: int, buffer: Any, *, start: int = 0, end: int | None = None
    ) -> None:
        assert self.locked
        count = len(buffer[start:end])
        buffer[start : start + count] = self.bus.transfer(address, b"", count)

    def writeto_then_readfrom(
        self,
        address: int,
        out_buffer: Any,
        in_buffer: Any,
        *,
        out_start: int = 0,
        out_end: int | None = None,
        in_start: int = 0,
        in_end: int | None = None,
    ) -> None:
        assert self.locked
        count = len(in_buffer[in_start:in_end])
        found = self.bus.transfer(address, bytes(out_buffer[out_start:out_end]), count)
        in_buffer[in_start : in_start + count] = found


#: What only a board, or a package that imitates one, has.
BOARD_MODULES = (
    "circuitpython_typing.device_drivers",
    "circuitpython_typing",
    "micropython",
    "busio",
    "digitalio",
)


class Anything(types.ModuleType):
    """A module in place of one of a board's: types by any name, and ``const``."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return (lambda value: value) if name == "const" else object


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, clock: Any) -> Callable[[str], Any]:
    """Import a module of another project, or skip; where it sleeps, the twins' clock moves."""
    for name in BOARD_MODULES:
        if importlib.util.find_spec(name.split(".", maxsplit=1)[0]) is None:
            monkeypatch.setitem(sys.modules, name, Anything(name))
    monkeypatch.setattr(time, "sleep", clock.sleep)
    monkeypatch.setattr(time, "monotonic", lambda: clock.monotonic_ns() / 1e9)

    def load(name: str) -> Any:
        module = pytest.importorskip(name, reason=f"{name} is not installed (extra: clients)")
        for part in [name, *(m for m in sys.modules if m.startswith(f"{name}."))]:
            if hasattr(sys.modules[part], "sleep"):  # from time import sleep
                monkeypatch.setattr(sys.modules[part], "sleep", clock.sleep)
        return module

    return load


@pytest.fixture
def put_on_bus(clock: Any) -> Callable[..., BusIo]:
    """Return a bus for CircuitPython drivers with these twins on it."""

    def make(*twins: Any) -> BusIo:
        bus = SimI2cBus("i2c1", clock.monotonic_ns, clock.sleep)
        for twin in twins:
            bus.attach(twin)
        return BusIo(bus)

    return make
