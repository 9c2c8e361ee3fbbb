"""The topic bus: named topics in shared memory; `LAYOUT.md` here shows them byte by byte."""

from horus.bus.core import CORE_NAME
from horus.bus.topic import Publisher, Subscriber, Topic, monotonic_ns, wall_time

__all__ = ["CORE_NAME", "Publisher", "Subscriber", "Topic", "monotonic_ns", "wall_time"]
