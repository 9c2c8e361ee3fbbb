"""HORUS: drivers, a shared-memory topic bus and a scheduler for robots."""

# ruff: noqa: E402 - from the next two lines on Ctrl-C is answered
from horus import early

early.begin_if_command()

from typing import TYPE_CHECKING, Any

from horus.errors import (
    ComputeError,
    ConfigError,
    CorruptTopicError,
    DeadlineError,
    HorusError,
    MessageTooLargeError,
    MessageTypeError,
    SharedMemoryError,
    TopicError,
    TopicNameError,
    TypeMismatchError,
    UndeclaredTopicError,
)
from horus.message import message
from horus.node import Node
from horus.node.info import NodeInfo, NodeState
from horus.node.params import Param
from horus.node.pubsub import Pub, Sub
from horus.scheduler import Scheduler, run
from horus.scheduler.clock import SimClock
from horus.scheduler.rate import Rate

if TYPE_CHECKING:
    from horus import msgs
    from horus.bus import Topic
    from horus.scheduler.realtime import RealTime

__version__ = "0.1.0"

__all__ = [
    "ComputeError",
    "ConfigError",
    "CorruptTopicError",
    "DeadlineError",
    "HorusError",
    "MessageTooLargeError",
    "MessageTypeError",
    "Node",
    "NodeInfo",
    "NodeState",
    "Param",
    "Pub",
    "Rate",
    "RealTime",
    "Scheduler",
    "SharedMemoryError",
    "SimClock",
    "Sub",
    "Topic",
    "TopicError",
    "TopicNameError",
    "TypeMismatchError",
    "UndeclaredTopicError",
    "__version__",
    "message",
    "msgs",
    "run",
]


def _load(name: str) -> Any:
    """Import at its first use what not every program uses: the bus, 28 message types, real time."""
    import importlib

    if name == "msgs":
        return importlib.import_module("horus.msgs")
    if name == "Topic":
        topic = globals()["Topic"] = importlib.import_module("horus.bus").Topic
        return topic
    if name == "RealTime":
        kind = globals()["RealTime"] = importlib.import_module("horus.scheduler.realtime").RealTime
        return kind
    raise AttributeError(f"module 'horus' has no attribute {name!r}")


if not TYPE_CHECKING:  # a type checker would take every name for one of ours
    __getattr__ = _load
