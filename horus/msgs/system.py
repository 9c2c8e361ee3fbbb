"""Emergency stop, diagnostics and signs of life."""

from enum import IntEnum
from math import nan
from typing import Annotated

from horus.message import Str, UInt8, UInt64, clip_text, message
from horus.msgs._base import Stamped

__all__ = [
    "DeviceStatus",
    "DiagnosticLevel",
    "DiagnosticStatus",
    "EmergencyStop",
    "Heartbeat",
    "NodeStatus",
    "ReaderStatus",
]


@message
class EmergencyStop(Stamped):
    """Whether everything that moves must stand still.

    Engaged unless said otherwise. Words that are too long are cut, so that a stop always goes out.
    """

    engaged: bool = True
    """No unit: True when everything must stop and stay stopped."""

    reason: Annotated[str, Str(128)] = ""
    """No unit: why, for people."""

    source: Annotated[str, Str(64)] = ""
    """No unit: the node, button or device that says so."""

    def __post_init__(self) -> None:
        self.reason = clip_text(self.reason, 128)
        self.source = clip_text(self.source, 64)


class DiagnosticLevel(IntEnum):
    """How serious a diagnosis is."""

    OK = 0
    WARNING = 1
    ERROR = 2
    STALE = 3
    """Nothing has been heard for too long."""


@message
class DiagnosticStatus(Stamped):
    """How a part of the robot is. A message text that is too long is cut."""

    level: UInt8 = DiagnosticLevel.OK
    """No unit: a `DiagnosticLevel`."""

    name: Annotated[str, Str(64)] = ""
    """No unit: the part, such as ``imu`` or ``left_wheel``."""

    message: Annotated[str, Str(256)] = ""
    """No unit: what is the matter, for people."""

    hardware_id: Annotated[str, Str(64)] = ""
    """No unit: the device itself, such as its serial number or its place on the bus."""

    def __post_init__(self) -> None:
        self.message = clip_text(self.message, 256)


@message
class DeviceStatus(DiagnosticStatus):
    """How a device is: a `DiagnosticStatus` with what `horus devices` shows.

    All counts are since the start of the device's process.
    """

    state: Annotated[str, Str(16)] = ""
    """No unit: ``absent``, ``ready``, ``active`` or ``fault``."""

    driver: Annotated[str, Str(32)] = ""
    """No unit: the driver's name in horus.yaml."""

    bus: Annotated[str, Str(32)] = ""
    """No unit: the bus's name in horus.yaml."""

    place: Annotated[str, Str(32)] = ""
    """No unit: the place on the bus, such as ``0x68`` or ``1,2,3``; empty if it has none."""

    identity: Annotated[str, Str(64)] = ""
    """No unit: what tells it from others of its kind, such as a serial number."""

    rate: float = 0.0
    """Hz: samples sent lately."""

    asked_rate: float = 0.0
    """Hz: samples asked for."""

    samples: UInt64 = 0
    """Count: samples sent."""

    faults: UInt64 = 0
    """Count: faults of the device."""

    errors: UInt64 = 0
    """Count: transactions or frames that failed, retried ones included."""

    bytes: UInt64 = 0
    """Count: bytes of payload in both directions."""

    refused: UInt64 = 0
    """Count: commands that were refused."""

    late: UInt64 = 0
    """Count: commands that came too late to be followed."""


@message
class Heartbeat(Stamped):
    """A sign of life."""

    node: Annotated[str, Str(64)] = ""
    """No unit: the name of the node that is alive."""

    sequence: UInt64 = 0
    """No unit: counts up by one with every heartbeat."""

    uptime: float = 0.0
    """s: since the node started."""

    state: Annotated[str, Str(16)] = ""
    """No unit: the value of the node's `NodeState`, such as ``running``."""


@message
class NodeStatus(Stamped):
    """How a node is and how it keeps time, on the topic ``horus/nodes``.

    Every process sends one for each of its nodes once a second while somebody reads the topic.
    Counts and quantiles are since the node's start. Words that are too long are cut.
    """

    node: Annotated[str, Str(64)] = ""
    """No unit: the node's name."""

    process: UInt64 = 0
    """No unit: the id of its process."""

    state: Annotated[str, Str(16)] = ""
    """No unit: the value of its `NodeState`, such as ``running``."""

    last_error: Annotated[str, Str(128)] = ""
    """No unit: type and text of its last exception."""

    asked_rate: float = 0.0
    """Hz: ticks a second asked for; 0 where only messages call it."""

    rate: float = 0.0
    """Hz: ticks a second held."""

    ticks: UInt64 = 0
    """Count: ticks, failed ones included."""

    failed: UInt64 = 0
    """Count: ticks that raised."""

    overruns: UInt64 = 0
    """Count: ticks left out because their time had passed."""

    over_budget: UInt64 = 0
    """Count: ticks that took longer than the node's budget."""

    deadline_misses: UInt64 = 0
    """Count: ticks that ended after the node's deadline."""

    dropped: UInt64 = 0
    """Count: messages dropped unread, of all its topics."""

    budget: float = 0.0
    """s: what a tick may take: the node's budget, else its period; 0 if it has neither."""

    tick_p50: float = 0.0
    """s: how long half of the ticks took at most."""

    tick_p99: float = 0.0
    """s: how long 99 of 100 ticks took at most."""

    tick_max: float = 0.0
    """s: how long the longest tick took."""

    lateness_p50: float = 0.0
    """s: how long after they were due half of the ticks began at most."""

    lateness_p99: float = 0.0
    """s: how long after they were due 99 of 100 ticks began at most."""

    lateness_max: float = 0.0
    """s: how late the latest tick began."""

    jitter_p50: float = 0.0
    """s: by how much the time between two ticks was off the grid, for half of them at most."""

    jitter_p99: float = 0.0
    """s: by how much the time between two ticks was off the grid, for 99 of 100 at most."""

    jitter_max: float = 0.0
    """s: by how much the time between two ticks was off the grid at most."""

    def __post_init__(self) -> None:
        self.last_error = clip_text(self.last_error, 128)


@message
class ReaderStatus(Stamped):
    """How a node keeps up with a topic that it reads, on the topic ``horus/readers``.

    Every process sends one for each topic that each of its nodes reads, once a second while
    somebody reads ``horus/readers``.
    """

    node: Annotated[str, Str(64)] = ""
    """No unit: the node's name."""

    process: UInt64 = 0
    """No unit: the id of its process."""

    topic: Annotated[str, Str(128)] = ""
    """No unit: the topic that it reads."""

    dropped: UInt64 = 0
    """Count: messages dropped unread since the node's start."""

    age: float = nan
    """s: since the stamp of the newest message that it has taken; NaN before the first one."""

    def __post_init__(self) -> None:
        self.topic = clip_text(self.topic, 128)
