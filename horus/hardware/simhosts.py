"""The simulated devices of a bus, all of them behind one host that moves them on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from horus.hal.can import CanBus
from horus.hal.ptyserial import PtyPort
from horus.hal.sim import Sim
from horus.hal.simcan import CanSim, CanSimHost
from horus.hal.simi2c import RegisterSim, SimI2cBus
from horus.hal.simmodbus import ModbusSim, ModbusSimHost
from horus.hal.simserial import SerialSim, SerialSimHost
from horus.hal.unixi2c import I2cSimHost
from horus.hardware import simbuses
from horus.hardware.config import BusEntry, DeviceEntry
from horus.hardware.traffic import replay_twin

Twins = Mapping[str, Sim[Any, Any]]


class SimHost(Protocol):
    """Moves the twins of one bus on."""

    @property
    def commanded_ns(self) -> int:
        """Return the monotonic time of the last thing that was said to one of them."""

    def step(self, timeout: float = 0.0) -> None:
        """Wait up to ``timeout`` seconds for something to do, and do it."""


class Simulation(Protocol):
    """Twins at work on one bus."""

    host: SimHost
    #: Longest wait (s) between two steps.
    step: float

    @property
    def twins(self) -> Twins:
        """Return the twins by name."""


def make_twins(
    tree: Sequence[BusEntry], devices: Sequence[DeviceEntry]
) -> dict[str, Sim[Any, Any]]:
    """Make the simulated twins of devices on a bus, or what replays them, by name."""
    twins: dict[str, Sim[Any, Any]] = {}
    ports: set[str] = set()  # a port's traffic is played by the first device on it
    for device in devices:
        if device.driver.twin is None:
            raise TypeError(f"{device.name}: the driver {device.use} has no simulated twin")
        if device.sim is not None and device.sim.replay is not None:
            twins[device.name] = replay_twin(device, tree, mute=device.bus in ports)
            if device.driver.map_type.bus_kind == "serial":
                ports.add(device.bus)
        else:
            twins[device.name] = device.driver.twin(device.config, device.sim)
    return twins


def i2c_tree(
    tree: Sequence[BusEntry], devices: Sequence[DeviceEntry], twins: Twins, **clock: Any
) -> dict[str, SimI2cBus]:
    """Make simulated I2C buses, those behind multiplexers hung into their parents, by name."""
    buses: dict[str, SimI2cBus] = {}
    for entry in tree:
        made = buses[entry.name] = SimI2cBus(entry.name, **clock)
        if entry.parent:
            entry.backend.simulate(buses[entry.parent], entry.config, made)
        for device in devices:
            if device.bus == entry.name:
                twin = twins[device.name]
                assert isinstance(twin, RegisterSim)
                made.attach(twin)
    return buses


class OpenSimulation:
    """Twins at work on a bus that other processes can open."""

    def __init__(self, tree: Sequence[BusEntry], devices: Sequence[DeviceEntry]) -> None:
        root = tree[0]
        self.twins = make_twins(tree, devices)
        self._close: list[Any] = []
        #: Longest wait (s) between two steps: what answers only needs no more, what sends by
        #: itself does so on time.
        self.step = 0.002
        kind = root.backend.kind
        if kind == "can":
            config = simbuses.can_config(root.name)
            bus = simbuses.open_bus(root.name, config)
            assert isinstance(bus, CanBus)
            self._close.append(bus.close)
            self.host: SimHost = CanSimHost(bus, all_of(self.twins, CanSim))
        elif kind == "serial":
            port = PtyPort()
            self._close.append(port.close)
            simbuses.offer_pty(root.name, port.path)
            self.host = SerialSimHost(port, all_of(self.twins, SerialSim))
        elif kind == "modbus":
            port = PtyPort()
            self._close.append(port.close)
            simbuses.offer_pty(root.name, port.path)
            self.host = ModbusSimHost(port, all_of(self.twins, ModbusSim))
        else:
            self.step = 0.02
            buses = i2c_tree(tree, devices, self.twins)
            host = I2cSimHost(buses[root.name], simbuses.folder_of(root.name))
            self._close.append(host.close)
            self.host = host

    def close(self) -> None:
        """Take the simulated bus away."""
        for close in self._close:
            close()


def all_of(twins: Twins, kind: Any) -> list[Any]:
    """Return twins, all of them of one kind."""
    for name, twin in twins.items():
        if not isinstance(twin, kind):
            raise TypeError(f"{name}: its twin is no {kind.__name__}")
    return list(twins.values())
