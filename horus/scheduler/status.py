"""Tells other processes once a second how the nodes of a run are, while one of them reads it."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from horus.node import Node

if TYPE_CHECKING:
    from horus.bus import Publisher
    from horus.msgs import NodeStatus

__all__ = ["TOPIC", "StatusThread", "status_of"]

TOPIC = "horus/nodes"
EVERY = 1.0  # s


class StatusThread:
    """Sends a `horus.msgs.NodeStatus` of each node on the topic ``horus/nodes``.

    While nobody subscribes to that, a look for its file once a second is all that is done. Nodes
    none of which in their process has a topic are not told of: they have not loaded the bus.
    """

    def __init__(self, nodes: Sequence[Node], every: float = EVERY) -> None:
        self._nodes = nodes
        self._every = every
        self._publisher: Publisher | None = None
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
            self._leave()

    def _look(self) -> None:
        from horus.bus.leftovers import has_readers

        if not has_readers(TOPIC):
            self._leave()
            return
        if self._publisher is None:
            from horus.bus import Publisher
            from horus.msgs import NodeStatus

            self._publisher = Publisher(TOPIC, NodeStatus)
        for node in self._nodes:
            self._publisher.send(status_of(node))

    def _leave(self) -> None:
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.close()


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
