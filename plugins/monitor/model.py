"""`Model`: looks at a session a few times a second, and disturbs it as little as that takes."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import replace

from horus_plugins.monitor.devices import Devices
from horus_plugins.monitor.nodes import Nodes
from horus_plugins.monitor.rows import (
    GRAVITY,
    Device,
    LogLine,
    Node,
    Snapshot,
    Stop,
    Topic,
    Trouble,
)
from horus_plugins.monitor.topics import Topics

from horus.bus.session import session_dir
from horus.cli import live
from horus.errors import SharedMemoryError
from horus.hardware import estop
from horus.runtime.runlog import LogReader
from horus.runtime.sessions import running_sessions

__all__ = ["LINES", "Model"]

#: Lines of the log that are kept.
LINES = 500
#: How often (s) it is looked whether the run goes on.
ALIVE = 0.5


class Model:
    """What is known of one session: the one that this process has joined.

    It reads what is in shared memory anyway. Its only subscriptions are ``horus/nodes`` and
    ``horus/readers``, by which nodes tell once a second how they are; at no topic of the robot's
    own is it a reader, and nothing of it stays there when it is closed. It is for one thread.
    """

    def __init__(self, session_id: str) -> None:
        now = time.monotonic()
        self.session = session_id
        self._made = next((r.made for r in running_sessions() if r.id == session_id), math.nan)
        self._devices = Devices(now)
        self._nodes = Nodes(session_id)
        self._topics = Topics()
        self._reader = LogReader(session_dir(session_id)) if session_id else None
        self._log: deque[LogLine] = deque(maxlen=LINES)
        self._lines = 0
        self._looked = -math.inf
        #: What was found last.
        self.last = Snapshot(time.time(), session_id, math.nan, False, None)

    @property
    def everything(self) -> bool:
        """Whether topics of HORUS itself, of twins and of calls are shown, too."""
        return self._topics.everything

    @everything.setter
    def everything(self, shown: bool) -> None:
        self._topics.everything = shown

    def sample(self) -> Snapshot:
        """Look; once the run is over, what was known last comes again, and says so."""
        if self.last.ended:
            return self.last
        now, now_ns = time.monotonic(), time.monotonic_ns()
        over = False
        if now - self._looked >= ALIVE:
            self._looked, over = now, live.ended()
        self._read_log()
        if over:
            self.last = replace(self.last, ended=True, log=tuple(self._log))
            return self.last
        try:
            self.last = self._found(now, now_ns)
        except SharedMemoryError:
            if not live.ended():  # else its folder goes away just now: the next look says so
                raise
        return self.last

    def _found(self, now: float, now_ns: int) -> Snapshot:
        nodes = self._nodes.look(now)
        names = {process.pid: process.name for process in self._nodes.processes}
        devices, topics = self._devices.look(now), self._topics.look(now, now_ns, names)
        stop = estop.kept()
        return Snapshot(
            time=time.time(),
            session=self.session,
            uptime=time.time() - self._made,
            ended=False,
            stop=Stop(stop.reason, stop.source) if stop else None,
            devices=devices,
            nodes=nodes,
            topics=topics,
            log=tuple(self._log),
            troubles=_troubles(devices, nodes, topics),
            hidden_topics=self._topics.hidden,
        )

    def _read_log(self) -> None:
        for line in self._reader.take() if self._reader else ():
            self._lines += 1
            process = line.process or "horus"
            who = f"{process}/{line.node}" if line.node not in ("", process) else process
            self._log.append(LogLine(self._lines, line.stamp, who, line.level, line.text))

    def close(self) -> None:
        """Leave the session as it is without a monitor."""
        self._devices.close()
        self._nodes.close()
        self._topics.close()
        if self._reader:
            self._reader.close()


def _troubles(
    devices: tuple[Device, ...], nodes: tuple[Node, ...], topics: tuple[Topic, ...]
) -> tuple[Trouble, ...]:
    """Return what fails and what is to be looked at, the gravest first, devices first."""
    found = []
    for kind, rows in (("device", devices), ("node", nodes), ("topic", topics)):
        for row in rows:
            if row.level in ("bad", "warn"):
                state = "" if isinstance(row, Topic) else row.state
                found.append(Trouble(row.level, kind, row.name, state, row.text))
    return tuple(sorted(found, key=lambda trouble: GRAVITY.index(trouble.level)))
