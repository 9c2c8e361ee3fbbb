"""A bench on which a DriverNode and its twin are stepped together, on a clock moved by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from horus import Scheduler
from horus.bus import Publisher, Subscriber
from horus.hal import CanSimHost, SimI2cBus
from horus.hal.localcan import CanWire
from horus.hardware import topics
from horus.hardware.actuator import ActuatorNode
from horus.hardware.buses import BusHandle
from horus.hardware.config import DeviceEntry
from horus.hardware.lastwords import BusAddress
from horus.hardware.node import DriverNode
from horus.hardware.worker import driver_node
from horus.plugins import drivers

#: Options without a default, by driver.
OPTIONS: dict[str, dict[str, Any]] = {"odrive": {"node": 3}}


def entry(use: str, name: str = "device", **options: Any) -> DeviceEntry:
    """Return a device as horus.yaml would describe it."""
    driver = drivers()[use].load()
    config = driver.config_type(**{**OPTIONS.get(use, {}), **options})
    return DeviceEntry(name, use, driver, "bus0", config, None, 1)


class Bench:
    """One device of a kind, its node and its twin."""

    def __init__(self, use: str, clock: Any, address: BusAddress | None, **options: Any) -> None:
        self.clock = clock
        self.device = entry(use, **options)
        driver = self.device.driver
        assert driver.twin is not None
        self.twin: Any = driver.twin(self.device.config)
        self.host: CanSimHost | None = None
        now = clock.monotonic_ns
        if driver.map_type.bus_kind == "can":
            self.wire = CanWire("bus0", now)
            self.host = CanSimHost(self.wire.open(), [self.twin], now)
            bus = BusHandle("bus0", self.wire.open, now)
        else:
            i2c = SimI2cBus("bus0", now, clock.sleep)
            i2c.attach(self.twin)
            bus = BusHandle("bus0", lambda: i2c, now)
        self.bus = bus
        self.node: DriverNode = driver_node(self.device, bus, mock=True, clock=now, address=address)
        if isinstance(self.node, ActuatorNode):
            self.node._sleep = self.pause
        self.data = Subscriber(topics.data_topic("device", driver), depth=1000)
        self.status = Subscriber(topics.status_topic("device"), depth=1000)
        self.senders: dict[str, Publisher] = {}
        self.scheduler = Scheduler(clock=clock)
        self.scheduler.add(self.node)

    def pause(self, seconds: float) -> None:
        """Let time pass for the twin alone."""
        self.clock.advance(seconds)
        if self.host is not None:
            self.host.step()

    def run(self, seconds: float, command: Any = None) -> None:
        """Let time pass; with a command, send it before every tick."""
        for _ in range(max(1, round(seconds * self.device.config.rate))):
            self.pause(1.0 / self.device.config.rate)
            if command is not None:
                self.command(command)
            self.scheduler.tick_once()

    def command(self, command: Any, age: float = 0.0, sender: str = "one") -> None:
        """Send a command stamped ``age`` seconds ago, from one of several publishers."""
        if sender not in self.senders:
            self.senders[sender] = Publisher(topics.command_topic("device"))
        stamp_ns = self.clock.monotonic_ns() - int(age * 1e9)
        self.senders[sender].send(command, stamp_ns=stamp_ns)

    def until(self, condition: Callable[[], object], seconds: float = 10.0) -> float:
        """Let time pass until a condition holds; return how long it took."""
        passed = 0.0
        while not condition():
            self.run(1.0 / self.device.config.rate)
            passed += 1.0 / self.device.config.rate
            assert passed < seconds, f"still {self.node.state}: {self.node.text}"
        return passed


@pytest.fixture
def make_bench(clock: Any) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(use: str, address: BusAddress | None = None, **options: Any) -> Bench:
        made.append(Bench(use, clock, address, **options))
        return made[-1]

    yield make
    for bench in made:
        bench.scheduler.stop()
        bench.bus.close()
