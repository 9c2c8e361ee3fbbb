"""A device of a simulated rig: its twin and its driver's node, stepped in simulated time."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from horus.bus import Subscriber
from horus.hardware import topics
from horus.hardware.node import DriverNode
from horus.hardware.steering import set_fault
from horus.plugins import drivers
from horus.testing import hil
from horus.testing.bench import Bench, HandClock, next_station
from horus.testing.rig import every, strangers
from horus.testing.rig.file import RigDevice, RigFile, load
from horus.testing.rig.onefile import write_robot
from horus.testing.rig.twin_faults import TwinFaults
from horus.testing.rig.under_test import DeviceUnderTest, Journal, Neighbour


def on_its_own(use: str, clock: HandClock, folder: Path) -> MockDevice:
    """Return the device of a driver on a rig of its own, whose file is written into the folder."""
    path = folder / "rig.yaml"
    path.write_text(every.text([drivers()[use]]))
    rig = load(path)
    return MockDevice(rig, rig.devices[use], clock, folder / "robot", Journal())


class MockDevice(DeviceUnderTest):
    """A device on a `Bench`; everything is in simulated time."""

    kind = "mock"
    stepped = True
    truth_step = 0.0
    run_args = ("--mock",)

    def __init__(
        self, rig: RigFile, device: RigDevice, clock: HandClock, folder: Path, journal: Journal
    ) -> None:
        super().__init__(device)
        self._rig = rig
        self._clock = clock
        self._folder = folder
        self._journal = journal
        self._closed = True
        self._begin(Bench(device.entry, clock))

    def _begin(self, bench: Bench) -> None:
        """Begin on a new bench, with a new twin."""
        self.bench = bench
        self.fault = self._faults(self.name, bench.twin)
        self._closed = False

    def _faults(self, name: str, twin: Any) -> TwinFaults:
        return TwinFaults(name, self._journal, partial(set_fault, twin))

    @property
    def node(self) -> Any:  # type: ignore[override]
        """Return the driver's node; after `reopen` it is a new one."""
        return self.bench.node

    @property
    def data(self) -> Any:  # type: ignore[override]
        """Return what receives the samples."""
        return self.bench.data

    @property
    def status(self) -> Any:  # type: ignore[override]
        """Return what receives the status."""
        return self.bench.status

    def order(self, value: float) -> Any:
        """Return a command of the driver's type: a velocity (rad/s), or an angle (rad)."""
        return self.bench.order(value)

    @property
    def good(self) -> Any:
        """Return a command that the twin follows."""
        return self.bench.good

    @property
    def joints(self) -> int:
        """Return the number of joints of a device that has several."""
        return self.bench.joints

    def command(self, command: Any, age: float = 0.0, sender: str = "one") -> None:
        """Send a command stamped ``age`` seconds ago, from one of several senders."""
        self.bench.command(command, age, sender)

    def clock(self) -> int:
        """Return the simulated time in ns."""
        return self._clock.monotonic_ns()

    def run(self, seconds: float, command: Any = None) -> None:
        """Let simulated time pass."""
        self.bench.run(seconds, command)

    def pause(self, seconds: float) -> None:
        """Let simulated time pass for the twin alone."""
        self.bench.pause(seconds)

    def close(self) -> None:
        """Stop the node, which makes the device safe, and leave the bus."""
        if not self._closed:
            self._closed = True
            self.bench.close()

    def reopen(self) -> None:
        """After `close`: begin again with a new node, on the same twin."""
        self.bench.reopen()
        self._closed = False

    def retune(self, **options: Any) -> None:
        """Begin again with a new twin and other options of the driver."""
        self.end()
        entry = self.bench.device
        self._begin(Bench(replace(entry, config=replace(entry.config, **options)), self._clock))

    def neighbour(self) -> Neighbour:
        """Begin again with a second device of the same kind at the next place on the bus."""
        driver, config = self.entry.driver, self.bench.device.config
        beside = next_station(driver, config)
        if not beside:
            hil.not_applicable("a second one cannot be on the same bus")
        self.end()
        self._begin(Bench(self.bench.device, self._clock, beside=beside))
        node, twin = self.bench.neighbour or (None, None)
        assert isinstance(node, DriverNode) and twin is not None
        name = node.device.name
        return Neighbour(
            name,
            node,
            Subscriber(topics.data_topic(name, driver), depth=1000),
            self._faults(name, twin),
            lambda command: self.bench.command(command, to=name),
            twin.truth,
        )

    def strangers(self) -> list[str]:
        """Return the drivers whose twins can stand in its place, and a chip unlike any."""
        return strangers.names(self.bench.device)

    def put(self, stranger: str) -> None:
        """Begin again with another device's twin in its place."""
        self.end()
        bench = Bench(self.bench.device, self._clock)
        bench.put(strangers.twin(stranger, bench.device))
        self._begin(bench)

    def end(self) -> None:
        """Leave the bench; what was published on it is old."""
        self.close()
        for topic in (self.bench.data, self.bench.status, *self.bench.senders.values()):
            topic.close()

    def truth(self) -> dict[str, Any] | None:
        """Return the twin's true state."""
        found: dict[str, Any] = self.bench.twin.truth()
        return found

    def stimulate(self, name: str, *values: object) -> None:
        """Set what the twin senses; a test of one that senses no such thing is skipped."""
        if name not in self.bench.twin.stimuli:
            pytest.skip(f"{self.name}: the twin of {self.use} has no stimulus {name}")
        self.bench.twin.stimulate(name, values)

    @property
    def config_file(self) -> Path:
        """Return a horus.yaml with this device alone."""
        return write_robot(self._rig.robot, [self.bench.device], self._folder)
