"""Tells other processes once a second how the nodes of a run are, while one of them reads it."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from horus.node import Node

if TYPE_CHECKING:
    from horus.bus import Publisher
    from horus.msgs import NodeStatus, ReaderStatus

__all__ = ["READERS", "TOPIC", "StatusThread", "heard", "readings_of", "status_of"]

TOPIC = "horus/nodes"
READERS = "horus/readers"
EVERY = 1.0  # s


class StatusThread:
    """Sends a `horus.msgs.NodeStatus` of each node on the topic ``horus/nodes``.

    And a `horus.msgs.ReaderStatus` of each topic that each node reads on ``horus/readers``. While
    nobody subscribes to them, a look for their files once a second is all that is done. Nodes none
    of which in their process has a topic are not told of: they have not loaded the bus.
    """

    def __init__(self, nodes: Sequence[Node], every: float = EVERY) -> None:
        self._nodes = nodes
        self._every = every
        self._publishers: dict[str, Publisher] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="horus-status", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no more threads: the nodes run without
            self._closed.set()

    def close(self) -> None:
        """End the thread and let go of the topic."""
        if not self._closed.is_set():
            self._closed.set()
            self._thread.join(1.0)

    def _work(self) -> None:
        try:
            while not self._closed.wait(self._every):
                if "horus.bus" in sys.modules:
                    self._look()
        except Exception as error:
            from horus.logs import logger

            logger("scheduler").warning("the nodes' status is told no more: %s", error)
        finally:
            for topic in _TOLD:
                self._leave(topic)

    def _look(self) -> None:
        from horus.bus.leftovers import has_readers

        for topic, (kind, tell) in _TOLD.items():
            if not has_readers(topic):
                self._leave(topic)
                continue
            if topic not in self._publishers:
                from horus import msgs
                from horus.bus import Publisher

                self._publishers[topic] = Publisher(topic, getattr(msgs, kind))
            for node in self._nodes:
                for message in tell(node):
                    self._publishers[topic].send(message)

    def _leave(self, topic: str) -> None:
        publisher = self._publishers.pop(topic, None)
        if publisher is not None:
            publisher.close()


def heard(seconds: float = 2 * EVERY, process: int | None = None) -> list[NodeStatus]:
    """Return how the nodes of this session are, or those of one process; waits for it.

    Each process tells of its nodes once a second while somebody reads; it ends ``seconds`` after
    the call, or as soon as that one process has told.
    """
    from horus.bus import Subscriber
    from horus.errors import TopicError
    from horus.msgs import NodeStatus

    subscriber = Subscriber(TOPIC, NodeStatus, depth=1024)
    found: dict[tuple[int, str], NodeStatus] = {}
    deadline = time.monotonic() + seconds
    try:
        while (left := deadline - time.monotonic()) > 0:
            if not subscriber.wait(left):
                continue
            try:
                status = subscriber.recv()
            except TopicError:
                continue
            if status is not None and process in (None, status.process):
                found[status.process, status.node] = status
                if process is not None:  # all of its nodes come at once
                    deadline = min(deadline, time.monotonic() + 0.1)
    finally:
        subscriber.close()
    return list(found.values())


def status_of(node: Node) -> NodeStatus:
    """Return how a node is; durations are seconds."""
    from horus.msgs import NodeStatus

    info, timing = node.info, node.info.timing()
    spreads = {
        f"{name}_{quantile}": value * 1e-3
        for name in ("tick", "lateness", "jitter")
        for quantile, value in getattr(timing, name)._asdict().items()
    }
    return NodeStatus(
        stamp=time.time(),
        node=node.name,
        process=os.getpid(),
        state=str(info.state),
        last_error=info.last_error(),
        asked_rate=node.rate,
        rate=timing.rate,
        ticks=timing.ticks,
        failed=info.failed_ticks(),
        overruns=timing.overruns,
        over_budget=info.over_budget(),
        deadline_misses=info.deadline_misses(),
        dropped=sum(node.dropped(topic) for topic in node.get_subscribers()),
        budget=timing.budget * 1e-3,
        **spreads,
    )


def readings_of(node: Node) -> list[ReaderStatus]:
    """Return how a node keeps up with each topic that it has opened for reading."""
    from horus.msgs import ReaderStatus

    found = []
    for topic, subscriber in list(node._node_subscribers.items()):
        last = subscriber.last_stamp
        found.append(
            ReaderStatus(
                stamp=time.time(),
                node=node.name,
                process=os.getpid(),
                topic=subscriber.name,
                dropped=node.dropped(topic),
                age=(time.monotonic_ns() - last) * 1e-9 if last else math.nan,
            )
        )
    return found


#: The messages of each topic: their class in `horus.msgs`, and what returns those of a node.
_TOLD: dict[str, tuple[str, Callable[[Node], list[Any]]]] = {
    TOPIC: ("NodeStatus", lambda node: [status_of(node)]),
    READERS: ("ReaderStatus", readings_of),
}
