"""The buses and twins of a whole robot in one process, all on one clock moved by hand."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from horus.errors import ConfigError
from horus.hal.localcan import CanWire
from horus.hal.sim import Sim
from horus.hal.simcan import CanSimHost
from horus.hal.simmodbus import SimModbusBus
from horus.hal.simserial import LocalSerial
from horus.hardware import topics
from horus.hardware.buses import BusHandle, branch_bus
from horus.hardware.config import BusEntry, DeviceEntry, RobotConfig
from horus.hardware.simhosts import i2c_tree, make_twins
from horus.hardware.wire import told
from horus.node import Node
from horus.scheduler.clock import SimClock

#: Least steps a second of twins, beside those in which somebody speaks to them.
LEAST = 50.0
#: Steps of a CAN bus's twins for each sample of the fastest device on it.
CAN_STEPS = 2
TRUTH = 20.0  # Hz


class SimWorld:
    """Every twin of a robot behind its bus, and the nodes that move them on.

    With a seed every twin's noise follows from that, from its name and from its own seed option.
    """

    def __init__(self, config: RobotConfig, clock: SimClock, seed: int | None = None) -> None:
        self.config = config
        self.clock = clock
        self.twins: dict[str, Sim[Any, Any]] = {}
        self.handles: dict[str, BusHandle] = {}
        #: What moves the twins on, by bus and for each rate (Hz).
        self._steps: dict[float, list[Callable[[], object]]] = {}
        without = [d for d in config.hardware.values() if d.driver.twin is None]
        if without:
            raise ConfigError(
                f"{config.path}:{d.line}: hardware.{d.name}: the driver {d.use} has no simulated "
                "twin"
                for d in without
            )
        for root in config.roots():
            devices = [_seeded(d, seed) for d in config.devices_below(root.name)]
            tree = config.tree(root.name)
            twins = make_twins(tree, devices)
            self.twins.update(twins)
            self._add(tree, devices, twins)

    def _add(
        self,
        tree: Sequence[BusEntry],
        devices: Sequence[DeviceEntry],
        twins: Mapping[str, Sim[Any, Any]],
    ) -> None:
        """Make the buses of one root; see `horus.hardware.worker.Buses` for the real ones."""
        root, now = tree[0], self.clock.monotonic_ns
        mine: Any = list(twins.values())
        if root.backend.kind == "can":
            wire = CanWire(root.name, now)
            host = CanSimHost(wire.open(), mine, now)
            fastest = max(device.config.rate for device in devices)
            self._every(max(LEAST, CAN_STEPS * fastest), host.step)
            self._handle(root, wire.open)
        elif root.backend.kind == "serial":
            port = LocalSerial(mine, root.name, now, self.clock.sleep)
            self._every(LEAST, port.host.step)
            self._handle(root, lambda: port)
        elif root.backend.kind == "modbus":
            line = SimModbusBus(root.name, now, self.clock.sleep)
            for twin in mine:
                line.attach(twin)
            self._every(LEAST, lambda: [twin.advance(now()) for twin in mine])
            self._handle(root, lambda: line)
        elif root.backend.kind == "i2c":
            buses = i2c_tree(tree, devices, twins, clock=now, sleep=self.clock.sleep)
            self._every(LEAST, lambda: [twin.advance(now()) for twin in mine])
            self._handle(root, lambda: buses[root.name])
            for entry in tree[1:]:
                self._branch(entry)
        else:
            raise ConfigError(
                [
                    f"{self.config.path}:{root.line}: buses.{root.name}: {root.use} cannot be "
                    "simulated on a clock of its own; horus run --mock can"
                ]
            )

    def _every(self, rate: float, step: Callable[[], object]) -> None:
        self._steps.setdefault(rate, []).append(step)

    def _handle(self, entry: BusEntry, open: Callable[[], Any]) -> None:
        if not entry.parent:
            open = told(entry.name, open)
        self.handles[entry.name] = BusHandle(entry.name, open, self.clock.monotonic_ns)

    def _branch(self, entry: BusEntry) -> None:
        parent = self.handles[entry.parent]
        self._handle(entry, lambda: branch_bus(entry, parent))

    def step(self) -> None:
        """Bring every twin to the present."""
        for steps in self._steps.values():
            for step in steps:
                step()

    def nodes(self) -> list[Node]:
        """Return the nodes that move the twins on and show their true states."""
        made: list[Node] = [
            _Mover(f"sim.{rate:g}", steps, rate) for rate, steps in self._steps.items() if steps
        ]
        return [*made, _Truth(self.twins)] if self.twins else made

    def close(self) -> None:
        """Close all buses, children first."""
        for handle in reversed(self.handles.values()):
            handle.close()


class _Mover(Node):
    """Moves twins on, before anything else looks at them."""

    def __init__(self, name: str, steps: Sequence[Callable[[], object]], rate: float) -> None:
        self.steps = steps
        super().__init__(name, tick=type(self)._step, rate=rate, order=-1_000_000)

    def _step(self) -> None:
        for step in self.steps:
            step()


class _Truth(Node):
    """Sends the true states of twins."""

    def __init__(self, twins: Mapping[str, Sim[Any, Any]]) -> None:
        self.shown = {topics.truth_topic(name): twin for name, twin in twins.items()}
        super().__init__("sim", list(self.shown), tick=type(self)._show, rate=TRUTH, order=1)

    def _show(self) -> None:
        for topic, twin in self.shown.items():
            self.send(topic, {"mock": True, **twin.truth()})


def _seeded(device: DeviceEntry, seed: int | None) -> DeviceEntry:
    """Return a device whose twin's seed follows from that of the robot."""
    if seed is None or device.driver.twin is None:
        return device
    sim = device.sim or device.driver.twin.options_type()()
    own = zlib.crc32(f"{seed} {device.name} {sim.seed}".encode())
    return replace(device, sim=replace(sim, seed=own))
