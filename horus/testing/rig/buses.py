"""The fixture ``bus``: the buses of a rig as they are, with no driver in between."""

from __future__ import annotations

import threading
from typing import Any

from horus.errors import did_you_mean
from horus.hardware.simhosts import OpenSimulation
from horus.hardware.worker import Buses
from horus.testing.rig.file import RigFile


class NoSuchBusError(LookupError):
    """The rig has no bus of that name."""


class RigBuses:
    """Opens a rig's buses by name: ``bus("i2c0").transfer(0x68, b"u", 1)``.

    What is opened is closed at the end of the test. With ``simulated`` the devices on it are twins;
    with ``own`` they are brought to life here, on the wall clock, and are in no other process.
    """

    def __init__(self, rig: RigFile, *, simulated: bool, own: bool) -> None:
        self._rig = rig
        self._simulated = simulated
        self._own = own
        self._opened: dict[str, Buses] = {}
        self._twins: list[_Twins] = []

    def __call__(self, name: str) -> Any:
        """Return a bus: an `horus.hal.I2cBus`, `CanBus`, `SerialBus` or `ModbusBus`.

        Raises:
            NoSuchBusError: the rig has none of that name.
            DeviceFault: it cannot be opened.

        """
        robot = self._rig.robot
        if name not in robot.buses:
            near = did_you_mean(name, robot.buses) or f"; it has {', '.join(robot.buses)}"
            raise NoSuchBusError(f"{self._rig.path} has no bus {name}{near}")
        root = self._rig.root_of(name)
        if root not in self._opened:
            tree = robot.tree(root)
            if self._own:
                self._twins.append(_Twins(OpenSimulation(tree, robot.devices_below(root))))
            self._opened[root] = Buses(tree, mock=self._simulated)
        return self._opened[root].handles[name].bus()

    def close(self) -> None:
        """Close all that was opened."""
        for buses in self._opened.values():
            buses.close()
        for twins in self._twins:
            twins.close()


class _Twins:
    """Twins that a thread moves on."""

    def __init__(self, simulation: OpenSimulation) -> None:
        self._simulation = simulation
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="twins", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._simulation.host.step(self._simulation.step)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._simulation.close()
