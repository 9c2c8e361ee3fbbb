"""A bench on which a driver's node and its twin are stepped together, on a clock moved by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, get_args, get_origin

from horus import clock as process_clock
from horus.bus import Publisher, Subscriber
from horus.hal.config import Option, options
from horus.hal.driver import Actuator, Driver
from horus.hal.localcan import CanWire
from horus.hal.simcan import CanSimHost
from horus.hal.simi2c import SimI2cBus
from horus.hal.simmodbus import SimModbusBus
from horus.hal.simserial import LocalSerial
from horus.hardware import topics
from horus.hardware.actuator import ActuatorNode
from horus.hardware.buses import BusHandle
from horus.hardware.config import DeviceEntry
from horus.hardware.lastwords import BusAddress
from horus.hardware.node import DriverNode
from horus.hardware.worker import driver_node
from horus.msgs import JointCommand, MotorCommand, ServoCommand
from horus.plugins import drivers
from horus.scheduler import Scheduler
from horus.scheduler.clock import SimClock

#: What a clock shows (s) that is wrong.
FAR_AHEAD = 1e7


class HandClock(SimClock):
    """A `SimClock` that remembers for how long it was slept on."""

    def __init__(self) -> None:
        super().__init__(start=1000.0)
        self.sleeps: list[float] = []

    @property
    def now_ns(self) -> int:
        """Return the present."""
        return self.monotonic_ns()

    def sleep(self, seconds: float) -> None:
        """Let this much time pass."""
        self.sleeps.append(seconds)
        super().sleep(seconds)


def required_options(driver: type[Driver[Any, Any]]) -> dict[str, Any]:
    """Return values for the options that must be given: the least that is allowed."""
    found = options(driver.config_type)
    return {name: _least(about) for name, about in found.items() if about.required}


def _least(about: Option) -> Any:
    if get_origin(about.type) is tuple:
        return (_number(about, 1), _number(about, 2))
    for choice in get_args(about.type):
        return choice
    return _number(about, 1) if about.type in (int, float) else "text"


def _number(about: Option, wanted: int) -> int:
    return max(wanted, math.ceil(about.low)) if about.low is not None else wanted


def device_entry(use: str, name: str = "device", **given: Any) -> DeviceEntry:
    """Return a device as horus.yaml would describe it."""
    driver = drivers()[use].load()
    config = driver.config_type(**{**required_options(driver), **given})
    return DeviceEntry(name, use, driver, "bus0", config, None, 1)


def next_station(driver: type[Driver[Any, Any]], config: Any = None) -> dict[str, Any]:
    """Return the option that puts a second device beside one; {} if none can be there.

    The first has ``config``, or the options that it must have.
    """
    name = driver.map_type.station_option
    if not name:
        return {}
    about = options(driver.config_type)[name]
    first = required_options(driver).get(name, about.default)
    if config is not None:
        first = getattr(config, name)
    choices = get_args(about.type) if get_origin(about.type) is Literal else ()
    if choices:
        others = [choice for choice in choices if choice != first]
        return {name: others[0]} if others else {}
    if isinstance(first, tuple):
        return {name: tuple(max(first) + 1 + n for n in range(len(first)))}
    fits = about.high is None or first < about.high
    return {name: first + 1 if fits else first - 1}


def command_kind(device: DeviceEntry) -> type | None:
    """Return the type of a device's commands; None if it only measures."""
    driver = device.driver
    return topics.command_type(driver) if issubclass(driver, Actuator) else None


def order(device: DeviceEntry, kind: type | None, value: float, joints: int) -> Any:
    """Return a command of a type: a velocity (rad/s), or an angle (rad) for each joint."""
    if kind is MotorCommand:
        return MotorCommand(velocity=value)
    if kind is ServoCommand:
        return ServoCommand(angle=value)
    if kind is JointCommand:
        return JointCommand(position=[value] * joints)
    raise TypeError(f"{device.use}: the tests know no command of type {kind}")


def good(kind: type | None) -> float:
    """Return what every twin follows: 5 rad/s, or an angle of 0.5 rad."""
    return 5.0 if kind is MotorCommand else 0.5


class Bench:
    """One device of a kind, its node and its twin; with ``beside``, a second one on its bus.

    ``use`` is a driver's name, or a device as horus.yaml describes it. ``beside`` are the options
    of the second, whose node and twin are in `neighbour`.
    """

    def __init__(
        self,
        use: str | DeviceEntry,
        clock: Any,
        address: BusAddress | None = None,
        beside: dict[str, Any] | None = None,
        **given: Any,
    ) -> None:
        self.clock = clock
        self.device = device_entry(use, **given) if isinstance(use, str) else use
        self.address = address
        driver = self.device.driver
        assert driver.twin is not None
        twin: Any = driver.twin(self.device.config, self.device.sim)
        self.twin = twin
        twins = [twin]
        if beside is not None:
            second = replace(
                self.device, name="neighbour", config=replace(self.device.config, **beside)
            )
            twins.append(driver.twin(second.config))
        self.host: CanSimHost | None = None
        self._places: Any = None  # where the bus has its twins
        #: The type of its commands; None if it only measures.
        self.kind = command_kind(self.device)
        now = clock.monotonic_ns
        if driver.map_type.bus_kind == "can":
            self.wire = CanWire("bus0", now)
            self.host = CanSimHost(self.wire.open(), twins, now)
            self._places = self.host.twins
            self.bus = BusHandle("bus0", self.wire.open, now)
        elif driver.map_type.bus_kind == "serial":
            port = LocalSerial(twins, "bus0", now, clock.sleep)
            self._places = port.host.twins
            self.bus = BusHandle("bus0", lambda: port, now)
        elif driver.map_type.bus_kind == "modbus":
            line = SimModbusBus("bus0", now, clock.sleep)
            for one in twins:
                line.attach(one)
            self.bus = BusHandle("bus0", lambda: line, now)
        else:
            i2c = SimI2cBus("bus0", now, clock.sleep)
            for one in twins:
                i2c.attach(one)
            self._places = i2c.twins
            self.bus = BusHandle("bus0", lambda: i2c, now)
        self.data = Subscriber(topics.data_topic(self.device.name, driver), depth=1000)
        self.status = Subscriber(topics.status_topic(self.device.name), depth=1000)
        self.senders: dict[str, Publisher] = {}
        self.node: DriverNode = self._begin()
        #: The node and the twin of the second device.
        self.neighbour: tuple[Any, Any] | None = None
        if beside is not None:
            node = driver_node(second, self.bus, mock=True, clock=now)
            if isinstance(node, ActuatorNode):
                node._sleep = self.pause
            self.scheduler.add(node)
            self.neighbour = node, twins[1]

    def _begin(self) -> DriverNode:
        """Begin a run with a new node."""
        now = self.clock.monotonic_ns
        node = driver_node(self.device, self.bus, mock=True, clock=now, address=self.address)
        if isinstance(node, ActuatorNode):
            node._sleep = self.pause
        self.scheduler = Scheduler(clock=self.clock)
        self.scheduler.add(node)
        return node

    def close(self) -> None:
        """Stop the node, which makes the device safe, and leave the bus."""
        self.scheduler.stop()
        self.bus.close()

    def reopen(self) -> None:
        """After `close`: begin again with a new node, on the same bus and twin."""
        self.node = self._begin()

    def put(self, twin: Any) -> None:
        """Put another twin in the place of the device's own."""
        if self._places is None:
            raise TypeError(f"{self.device.use}: no other twin can stand in its place")
        self._places[self.device.station if isinstance(self._places, dict) else 0] = twin
        self.twin = twin

    def pause(self, seconds: float) -> None:
        """Let time pass for the twin alone."""
        self.clock.advance(seconds)
        if self.host is not None:
            self.host.step()
        else:
            self.twin.advance(self.clock.monotonic_ns())

    @property
    def rate(self) -> float:
        """Ticks of the node per second."""
        return float(self.node.rate)

    def run(self, seconds: float, command: Any = None) -> None:
        """Let time pass; with a command, send it before every tick."""
        end = self.clock.monotonic_ns() + round(seconds * 1e9)
        first = True
        while first or self.clock.monotonic_ns() < end - 1000:
            first = False
            self.pause(1.0 / self.rate)
            if command is not None:
                self.command(command)
            self.scheduler.tick_once()

    def command(
        self, command: Any, age: float = 0.0, sender: str = "one", to: str | None = None
    ) -> None:
        """Send a command stamped ``age`` seconds ago, from one of several publishers.

        ``to`` is the name of the device, if it is not the first.
        """
        topic = topics.command_topic(to or self.device.name)
        sender = f"{sender} to {topic}"
        if sender not in self.senders:
            self.senders[sender] = Publisher(topic)
        stamp_ns = self.clock.monotonic_ns() - int(age * 1e9)
        if age < 0 and (simulated := process_clock.in_use()) is not None:
            process_clock.use(None)
            with SimClock(start=FAR_AHEAD):  # a sender whose clock is wrong does not go by ours
                self.senders[sender].send(command, stamp_ns=stamp_ns)
            process_clock.use(simulated)
        else:
            self.senders[sender].send(command, stamp_ns=stamp_ns)

    def order(self, value: float) -> Any:
        """Return a command of the driver's type: a velocity (rad/s), or an angle (rad)."""
        return order(self.device, self.kind, value, self.joints)

    @property
    def joints(self) -> int:
        """Number of joints of a device that has several."""
        return int(getattr(self.twin, "joints", len(self.device.stations)))

    @property
    def good(self) -> Any:
        """A command that every such device follows: 5 rad/s, or an angle of 0.5 rad."""
        return self.order(good(self.kind))

    def until(self, condition: Callable[[], object], seconds: float = 10.0) -> float:
        """Let time pass until a condition holds; return how long it took."""
        began = self.clock.monotonic_ns()
        while not condition():
            self.run(1.0 / self.rate)
            passed = (self.clock.monotonic_ns() - began) / 1e9
            assert passed < seconds, f"still {self.node.state}: {self.node.text}"
        return float(self.clock.monotonic_ns() - began) / 1e9
