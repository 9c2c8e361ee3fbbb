"""How a piece of code is timed, and what an adapter offers to be timed."""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

ARRAY_BYTES = 1_000_000

Result = dict[str, Any]


class NotOffered(Exception):
    """The project under test has no such thing: its place in the table stays empty."""


@dataclass
class Loop:
    """One statement to repeat, as source text, so that no call of ours is timed with it.

    The statement must leave what it received in ``got``; ``check(got)`` tells whether that was
    the whole message.
    """

    statement: str
    names: dict[str, Any]
    setup: str = "pass"
    check: Callable[[Any], bool] = field(default=lambda got: got is not None)


class Adapter:
    """What one project offers. A subclass overrides what its project has."""

    name = ""
    module = ""  #: what is imported to use it
    blocks = False  #: receives by blocking, since threads of its own bring the messages
    bare_node = ""  #: source that makes and runs one node that does nothing

    def __init__(self, token: str, folder: str) -> None:
        """Take a word that is unique to this run, and a folder for files such as sockets."""
        self.token = token
        self.folder = folder

    def close(self) -> None:
        """Release what the adapter opened."""

    def typed(self) -> Loop:
        """Send and receive a ready message of six doubles."""
        raise NotOffered

    def typed_fields(self) -> Loop:
        """Build a message of six doubles, send it, receive it, add up the six."""
        raise NotOffered

    def mapping(self) -> Loop:
        """Send and receive a dict of three floats."""
        raise NotOffered

    def array_copied(self) -> Loop:
        """Copy 1 MB into a message, send it, receive it as something numpy can read."""
        raise NotOffered

    def array_viewed(self) -> Loop:
        """Send 1 MB that lies in shared memory already, receive a view of it."""
        raise NotOffered

    def in_node(self, kind: str, run: Callable[[Loop], None]) -> None:
        """Call ``run`` from the tick of a node, with a loop that sends and gets through it."""
        raise NotOffered

    def sender(self, kind: str) -> Callable[[int], object]:
        """Return what sends one message that carries the given stamp (ns)."""
        raise NotOffered

    def receiver(self, kind: str) -> Callable[[], int | None]:
        """Return what receives one message and returns its stamp, or None when there is none."""
        raise NotOffered

    def flood(self, kind: str) -> Callable[[], object]:
        """Return what sends a burst of messages as fast as it goes."""
        raise NotOffered

    def drain(self, kind: str) -> Callable[[], int]:
        """Return what takes the messages that are there and returns how many they were."""
        raise NotOffered

    def run_nodes(
        self, count: int, rate: float, seconds: float, tick: Callable[[Any], None], work: str
    ) -> None:
        """Run nodes with this tick function for some seconds; ``work`` names the row."""
        raise NotOffered


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which this share (0..1) of the ordered values lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def summary(values: Sequence[float]) -> Result:
    """Return median, p99 and number of the values."""
    ordered = sorted(values)
    return {
        "median": percentile(ordered, 0.5),
        "p99": percentile(ordered, 0.99),
        "count": len(ordered),
    }


def verify(loop: Loop) -> None:
    """Run the statement once and raise AssertionError when the message did not come through."""
    space = dict(loop.names)
    exec(f"{loop.setup}\n{loop.statement}", space)  # our own text, as timeit would run it
    if not loop.check(space.get("got")):
        raise AssertionError(f"{loop.statement!r} gave {space.get('got')!r}")


def time_loop(loop: Loop, seconds: float) -> Result:
    """Return ns for one piece of work: median and p99 over batches of about 2 ms each."""
    verify(loop)
    timer = timeit.Timer(loop.statement, loop.setup, globals=loop.names)
    number = 1
    while number < 1 << 20 and timer.timeit(number) < 0.001:
        number *= 2
    timer.timeit(number)  # once more, warm
    batches: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(batches) < 3:
        batches.append(timer.timeit(number) / number * 1e9)
    return summary(batches)
