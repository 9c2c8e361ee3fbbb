"""`DeviceUnderTest`: what a check sees of a device, the same on every kind of rig."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from horus.bus import Subscriber
from horus.hardware.config import DeviceEntry
from horus.hardware.node import DriverNode
from horus.testing.report.results import Fault

if TYPE_CHECKING:
    from horus.testing.rig.file import RigDevice


@dataclass
class Journal:
    """The faults that were injected in a run, for its report."""

    faults: list[Fault] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def did(self, device: str, kind: str, how: str, value: float | None = None) -> None:
        """Note a fault."""
        words = kind if value is None else f"{kind} {value:g}"
        at = round(time.monotonic() - self.began, 3)
        self.faults.append(Fault(device, words, how, at, undone=False))

    def undone(self, device: str, kind: str = "") -> None:
        """Note that a device's faults of a kind, by default all, are no more."""
        for fault in self.faults:
            if fault.device == device and kind in ("", fault.kind.partition(" ")[0]):
                fault.undone = True


@dataclass
class Faults:
    """What can be done to a device on purpose; all of it is undone at the end of a test.

    What this rig cannot do skips the test, with the reason and what it takes.
    """

    device: str
    journal: Journal

    def cannot(self, what: str, cure: str) -> NoReturn:
        """Skip the test: the rig has no means for this fault."""
        pytest.skip(f"{self.device}: this rig cannot {what}: {cure}")

    def unplug(self) -> None:
        """Take the device away from its bus, power and all."""
        cure = "give the means under faults: in its file (of a person: with --hil-person)"
        self.cannot("unplug it", cure)

    def plug(self) -> None:
        """Put it back."""

    def silence(self, on: bool = True) -> None:
        """Let the device stop answering, powered as before."""
        self.cannot("silence it", "only a simulated device can be silenced")

    def nak(self, share: float) -> None:
        """Let the device miss this share (0 to 1) of what is sent to it."""
        self.cannot("lose what is sent to it", "only a simulated device does")

    def corrupt(self, share: float) -> None:
        """Damage this share (0 to 1) of what the device sends."""
        self.cannot("damage what it sends", "only a simulated device's can be damaged")

    def drop(self, share: float) -> None:
        """Lose this share (0 to 1) of what the device sends."""
        self.cannot("lose what it sends", "only a simulated device's can be lost")

    def slow(self, seconds: float) -> None:
        """Let the device answer this much later."""
        self.cannot("slow it down", "only a simulated device can be slowed down")

    def clear(self) -> None:
        """Undo all faults."""


@dataclass
class Neighbour:
    """A second device on the bus of the one under test, whose node runs together with its own."""

    name: str
    node: DriverNode
    #: What it sends.
    data: Subscriber
    fault: Faults
    #: Sends it a command.
    command: Callable[[Any], None]
    #: The true state of its twin; None on a bench.
    truth: Callable[[], dict[str, Any] | None]


class DeviceUnderTest(ABC):
    """One device of a rig with its driver's node at work."""

    #: ``mock``, ``virtual`` or ``real``.
    kind: str
    #: By how much (s) the moment of what `truth` returns may be off: twins move on in steps.
    truth_step: float = 0.02
    #: By what the limits of times are to be multiplied on this rig (``--hil-scale``).
    scale: float = 1.0
    #: Whether its time stands still between two looks: a sample and the truth are of one moment.
    stepped = False
    node: DriverNode
    #: What the device sends, and how it says that it is.
    data: Subscriber
    status: Subscriber
    fault: Faults
    #: Options of `horus run` that are needed with `config_file`.
    run_args: Sequence[str] = ()

    def __init__(self, device: RigDevice) -> None:
        self.device = device

    @property
    def entry(self) -> DeviceEntry:
        """Return the device as the rig's file describes it."""
        return self.device.entry

    @property
    def name(self) -> str:
        """Return the device's name."""
        return self.entry.name

    @property
    def use(self) -> str:
        """Return the name of its driver."""
        return self.entry.use

    @property
    def facts(self) -> Mapping[str, Any]:
        """Return what the rig's file knows about the device's surroundings, such as ``still``."""
        return self.device.facts

    @property
    def limits(self) -> Mapping[str, float]:
        """Return the limits of figures that the rig's file sets for this device."""
        return self.device.limits

    @property
    def rate(self) -> float:
        """Return the ticks of the node per second."""
        return float(self.node.rate)

    @property
    def moves(self) -> bool:
        """Return whether the device is an actuator."""
        return self.node.is_actuator

    @property
    def driver(self) -> Any:
        """Return the driver at work, or None while there is none."""
        return self.node._driver

    @property
    def joints(self) -> int:
        """Return the number of joints of a device that has several."""
        return max(1, len(self.entry.stations))

    @abstractmethod
    def order(self, value: float) -> Any:
        """Return a command of the driver's type: a velocity (rad/s), or an angle (rad)."""

    @property
    @abstractmethod
    def good(self) -> Any:
        """Return a command that the device follows without harm to anything."""

    @abstractmethod
    def command(self, command: Any, age: float = 0.0, sender: str = "one") -> None:
        """Send a command stamped ``age`` seconds ago, from one of several senders."""

    @abstractmethod
    def clock(self) -> int:
        """Return the present in ns, on the clock of the stamps."""

    @abstractmethod
    def run(self, seconds: float, command: Any = None) -> None:
        """Let time pass with the node at work; with a command, send it before every tick."""

    def pause(self, seconds: float) -> None:
        """Let time pass while the node stands still."""
        time.sleep(seconds)

    def until(self, condition: Callable[[], object], seconds: float = 10.0) -> float:
        """Let time pass until a condition holds; return how long (s) it took.

        After ``seconds`` times `scale` it fails, with the state of the node.
        """
        began = self.clock()
        while not condition():
            self.run(1.0 / self.rate)
            passed = (self.clock() - began) / 1e9
            if passed > seconds * self.scale and not condition():
                pytest.fail(
                    f"{self.name} ({self.use}): after {passed:.2f} s it is still "
                    f"{self.node.state.value}: {self.node.text}"
                )
        return (self.clock() - began) / 1e9

    @abstractmethod
    def close(self) -> None:
        """Stop the node, which makes the device safe, and leave the bus."""

    @abstractmethod
    def reopen(self) -> None:
        """After `close`: begin again with a new node."""

    @abstractmethod
    def retune(self, **options: Any) -> None:
        """Close it and begin again with other options of the driver."""

    def neighbour(self) -> Neighbour:
        """Begin again with a second device on the bus, which is returned."""
        pytest.skip(f"{self.name}: the rig has no second device on {self.entry.bus}: add one")

    def strangers(self) -> list[str]:
        """Return which other devices can be put in its place, by `put`."""
        return []

    def put(self, stranger: str) -> None:
        """Begin again with another device in its place, one of `strangers`."""
        pytest.skip(f"{self.name}: nobody is there to put another device in its place")

    @abstractmethod
    def truth(self) -> dict[str, Any] | None:
        """Return the true state of the device's twin; None where there is no twin."""

    @abstractmethod
    def stimulate(self, name: str, *values: object) -> None:
        """Set what the twin senses; a test on a bench without means for that is skipped."""

    @property
    @abstractmethod
    def config_file(self) -> Path:
        """Return a horus.yaml with this one device on this rig's bus."""
