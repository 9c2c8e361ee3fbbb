"""A device on real buses, or on wires that cross processes: everything is on the wall clock."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from horus.bus import Publisher, Subscriber
from horus.hal.faults import DeviceFault
from horus.hardware import lastwords, topics, words
from horus.hardware.actuator import ActuatorNode
from horus.hardware.claims import Claims
from horus.hardware.config import DeviceEntry
from horus.hardware.node import DriverNode
from horus.hardware.worker import Buses, driver_node
from horus.node.caller import CallAbsentError, Caller, CallRefusedError, CallTimeoutError
from horus.scheduler import Scheduler
from horus.testing.bench import command_kind, good, order
from horus.testing.rig import strangers
from horus.testing.rig.faults import Breaker
from horus.testing.rig.file import RigDevice, RigFile
from horus.testing.rig.keeper import Keeper
from horus.testing.rig.live_faults import BenchFaults, WiredFaults
from horus.testing.rig.onefile import with_other, write_robot
from horus.testing.rig.twin_faults import TwinFaults
from horus.testing.rig.twin_processes import START_WAIT, TwinProcesses, TwinsDiedError
from horus.testing.rig.under_test import DeviceUnderTest, Faults, Journal, Neighbour

#: Longest time (s) for the answer of a twin.
ANSWER = 5.0
#: What a device of a bench is commanded, unless its ``facts:`` say ``good``: little.
LITTLE = 0.2


class LiveDevice(DeviceUnderTest):
    """A device with its node in this process; ``twins`` are the processes that simulate devices."""

    def __init__(
        self,
        rig: RigFile,
        device: RigDevice,
        journal: Journal,
        folder: Path,
        breakers: Mapping[str, Breaker],
        twins: TwinProcesses | None = None,
    ) -> None:
        super().__init__(device)
        self.kind = rig.kind
        #: Whether the twins are behind simulated buses, and not behind those of a real kernel.
        self._mock = twins is not None and rig.kind != "virtual"
        self.run_args = ("--mock",) if self._mock else ()
        self._rig = rig
        self._folder = folder
        self._twins = twins
        self._journal = journal
        #: A second device on the bus that is at work too, and topics to close for it.
        self._beside: DeviceEntry | None = None
        self._more: list[Publisher | Subscriber] = []
        self.fault: Faults = BenchFaults(self.name, journal, breakers)
        if twins is not None:
            self.fault = self._twin_faults(self.name, {} if self._mock else breakers)
        driver = self.entry.driver
        self.data = Subscriber(topics.data_topic(self.name, driver), depth=1000)
        self.status = Subscriber(topics.status_topic(self.name), depth=1000)
        self._senders: dict[str, Publisher] = {}
        self._callers: dict[str, Caller] = {}
        #: What was set of the twin's world, as it was before.
        self._world: dict[str, list[object]] = {}
        self._entry = device.entry
        self._command_kind = command_kind(device.entry)
        self._keeper: Keeper | None = None
        #: Puts its own twin in its place again, after `put`.
        self._put_back: Callable[[], None] = _nothing
        self.reopen()

    def reopen(self) -> None:
        """Begin with a new node."""
        root = self._rig.root_of(self.entry.bus)
        self._buses = Buses(self._rig.robot.tree(root), mock=self._mock)
        if self._mock:  # claimed as real ones are
            for name, handle in self._buses.handles.items():
                whole = self._rig.robot.buses[name].backend.kind == "serial"
                handle.claims = Claims(f"{os.environ['HORUS_SESSION_ID']} {name}", whole=whole)
        self._nodes = [
            driver_node(
                entry,
                self._buses.handles[entry.bus],
                mock=self._mock,
                address=self._buses.addresses[entry.bus],
            )
            for entry in (self._entry, self._beside)
            if entry is not None
        ]
        self.node = self._nodes[0]
        self._schedulers = []
        for node in self._nodes:
            self._schedulers.append(Scheduler())
            self._schedulers[-1].add([node])
        #: When each node is to be ticked next (monotonic s).
        self._due = [0.0] * len(self._nodes)
        self._tick: Callable[[], None] = self._tick_due
        if any(node.is_actuator for node in self._nodes):
            self._keeper = Keeper(self._tick_due, 1.0 / self._fastest)
            self._tick = self._keeper.tick
            self._keeper.start()

    @property
    def _fastest(self) -> float:
        return max(float(node.rate) for node in self._nodes)

    def _tick_due(self) -> None:
        """Tick each node whose time has come; one that is alone sets the time itself."""
        now = time.monotonic()
        for place, (node, scheduler) in enumerate(zip(self._nodes, self._schedulers, strict=True)):
            period = 1.0 / float(node.rate)
            if len(self._nodes) == 1 or now >= self._due[place] - 0.5 / self._fastest:
                self._due[place] = max(self._due[place], now - period) + period
                scheduler.tick_once()

    def retune(self, **options: Any) -> None:
        """Close it and begin again with other options of the driver."""
        self.close()
        config = replace(self._entry.config, **options)
        self._entry = replace(self._entry, config=config)
        self.reopen()

    def close(self) -> None:
        """Stop the node, which makes the device safe, and leave the bus."""
        try:
            keeper, self._keeper = self._keeper, None
            if keeper is not None:
                keeper.stop()
            several = self._nodes if len(self._nodes) > 1 else []
            for node in several:  # all, before anything waits until one is at rest
                with contextlib.suppress(Exception):  # its stop tells it
                    node.safe()
                if node.name in lastwords.pending():
                    _speak_for(node)
            with contextlib.ExitStack() as stops:
                for scheduler in self._schedulers:
                    stops.callback(scheduler.stop)
        finally:
            self._buses.close()
            for node in self._nodes:
                node.close_topics()
        for node in self._nodes:
            if node.name in lastwords.pending():
                raise NotSafeError(f"{node.name} could not be told to stop: {node.text}")

    def end(self) -> None:
        """Close all that the device holds."""
        try:
            with contextlib.suppress(TwinsDiedError):  # which the run tells and ends with
                self.fault.clear()
                for name, values in self._world.items():
                    self._ask(self.name, "set", name, values)
        finally:
            try:
                self.close()
            finally:
                try:
                    self._put_back()
                finally:
                    for end in self._ends():
                        end.close()

    def _ends(self) -> list[Publisher | Subscriber | Caller]:
        senders, callers = self._senders.values(), self._callers.values()
        return [self.data, self.status, *senders, *callers, *self._more]

    def _ask(self, name: str, method: str, *arguments: object) -> Any:
        """Let the twin of a device do something."""
        assert self._twins is not None
        if name not in self._callers:
            self._callers[name] = Caller(topics.truth_topic(name))
        try:
            return self._callers[name].call(method, *arguments, timeout=ANSWER * self.scale)
        except (CallAbsentError, CallTimeoutError):
            self._twins.check()
            raise

    def neighbour(self) -> Neighbour:
        """Begin again with another device of the rig that is on the same bus."""
        root = self._rig.root_of(self.entry.bus)
        others = [d for d in self._rig.robot.devices_below(root) if d.name != self.name]
        if not others:
            return super().neighbour()
        entry = min(others, key=lambda other: other.use != self.use)
        self.close()
        self._beside = entry
        self.reopen()
        node = self._nodes[1]
        data = Subscriber(topics.data_topic(entry.name, entry.driver), depth=1000)
        sender = Publisher(topics.command_topic(entry.name)) if node.is_actuator else None
        self._more += [data, *filter(None, [sender])]
        fault: Faults = BenchFaults(entry.name, self._journal, {})
        if self._twins is not None:
            fault = self._twin_faults(entry.name)
        return Neighbour(
            entry.name,
            node,
            data,
            fault,
            lambda command: _send(sender, command),
            lambda: self._truth(entry.name),
        )

    def strangers(self) -> list[str]:
        """Return one: the rig of simulated time tries all of them."""
        if self._twins is None:
            return []
        return [use for use in strangers.names(self.entry) if use != strangers.BLANK][:1]

    def put(self, stranger: str) -> None:
        """Begin again with another device's twin in its place, until the end."""
        assert self._twins is not None
        self.close()
        self._put_back()
        self._put_back = _nothing
        entry = strangers.stand_in(stranger, self.entry)
        self._put_back = self._twins.swap(
            self.name,
            lambda path: with_other(path, entry, self._folder / stranger),
            START_WAIT * self.scale,
        )
        self._world.clear()  # it was that of its own twin
        while self.data.recv() is not None:
            pass
        self.reopen()

    @property
    def joints(self) -> int:
        """Return the number of joints of a device that has several; its twin knows it."""
        driver = self.entry.driver
        twin = None if driver.twin is None else driver.twin(self.entry.config)
        return int(getattr(twin, "joints", 0)) or super().joints

    def order(self, value: float) -> Any:
        """Return a command of the driver's type: a velocity (rad/s), or an angle (rad)."""
        return order(self.entry, self._command_kind, value, self.joints)

    @property
    def good(self) -> Any:
        """Return a command that the device follows: ``facts: {good: 0.5}``, else a small one."""
        usual = LITTLE if self._twins is None else good(self._command_kind)
        return self.order(float(self.facts.get("good", usual)))

    def command(self, command: Any, age: float = 0.0, sender: str = "one") -> None:
        """Send a command stamped ``age`` seconds ago, from one of several senders."""
        if sender not in self._senders:
            self._senders[sender] = Publisher(topics.command_topic(self.name))
        self._senders[sender].send(command, stamp_ns=self.clock() - int(age * 1e9))

    def clock(self) -> int:
        """Return the monotonic time in ns."""
        return time.monotonic_ns()

    def run(self, seconds: float, command: Any = None) -> None:
        """Let time pass, ticking the node at its rate."""
        period = 1.0 / self._fastest
        at = time.monotonic()
        end = at + seconds
        while True:
            if command is not None:
                self.command(command)
            self._tick()
            now = time.monotonic()
            at = max(at + period, now - period)  # late by more is not made up for
            if at >= end - 1e-6:
                time.sleep(max(0.0, end - now))
                return
            time.sleep(max(0.0, at - now))

    def truth(self) -> dict[str, Any] | None:
        """Return the true state of the twin; None on a bench."""
        return self._truth(self.name)

    def _truth(self, name: str) -> dict[str, Any] | None:
        if self._twins is None:
            return None
        found: dict[str, Any] = self._ask(name, "truth")
        return found

    def stimulate(self, name: str, *values: object) -> None:
        """Set what the twin senses; a test on a bench is skipped."""
        if self._twins is None:
            pytest.skip(f"{self.name}: this rig has no means to set {name}")
        try:
            if name not in self._world:
                value = self._ask(self.name, "state")["stimuli"].get(name, {}).get("value")
                self._world[name] = list(value) if isinstance(value, (list, tuple)) else [value]
            self._ask(self.name, "set", name, list(values))
        except CallRefusedError as error:
            self._world.pop(name, None)
            pytest.skip(f"{self.name}: {error}")

    def _twin_faults(
        self, name: str, breakers: Mapping[str, Breaker] = MappingProxyType({})
    ) -> TwinFaults:
        def send(kind: str, value: float | None) -> None:
            arguments = () if value is None else (value,)
            self._ask(name, "fault", kind, *arguments)

        return WiredFaults(name, self._journal, send, breakers)

    @property
    def config_file(self) -> Path:
        """Return a horus.yaml with this device alone, on this rig's bus."""
        return write_robot(self._rig.robot, [self._entry], self._folder)


def _speak_for(node: DriverNode) -> None:
    """Say the last words of a device whose driver could not make it safe."""
    with contextlib.suppress(DeviceFault, OSError):
        for word in lastwords.words_of(node.device):
            words.say(node.bus.bus(), word)
        if isinstance(node, ActuatorNode):
            node.spoken_for()


def _nothing() -> None:
    pass


def _send(sender: Publisher | None, command: Any) -> None:
    if sender is not None:
        sender.send(command)


class NotSafeError(RuntimeError):
    """A device could not be told to stop."""
