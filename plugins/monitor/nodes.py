"""How the nodes of a session are: what they tell of themselves, and what their processes use."""

from __future__ import annotations

import math
from collections.abc import Iterator

from horus_plugins.monitor.rows import Lately, Level, Node, by_gravity

from horus.bus import Subscriber
from horus.errors import TopicError
from horus.msgs import NodeStatus
from horus.runtime.sessions import STOPPED, RunProcess, noted_processes
from horus.runtime.usage import Usage, usage
from horus.scheduler.status import TOPIC

#: How often (s) processes are looked at.
LOOK = 1.0
#: After this silence (s) a node that has told how it is, tells it no more.
SILENT = 4.0
#: For so long (s) errors and missed deadlines are pointed out.
RECENT = 10.0
#: Below this share of the asked rate a node is slow; that of a device is told of the device.
SLOW = 0.7
#: Nodes of many processes tell at once.
DEPTH = 64
WELL = "exit code 0"


class _Told:
    """What one node has told."""

    def __init__(self, status: NodeStatus, now: float) -> None:
        self.status, self.heard, self.rate = status, now, status.rate

    def hear(self, status: NodeStatus, now: float) -> None:
        """Take note of the next one; the rate is that since the last one."""
        took = status.stamp - self.status.stamp
        if took > 0 and status.ticks >= self.status.ticks:
            self.rate = (status.ticks - self.status.ticks) / took
        self.status, self.heard = status, now


class Nodes:
    """The nodes of a session; that somebody subscribes to ``horus/nodes`` makes them tell."""

    def __init__(self, session_id: str) -> None:
        self._session = session_id
        self._told: dict[tuple[int, str], _Told] = {}
        self._subscriber = Subscriber(TOPIC, NodeStatus, depth=DEPTH)
        self._failed, self._missed = Lately(RECENT), Lately(RECENT)
        self.processes: list[RunProcess] = []
        self._uses: dict[int, Usage] = {}
        self._loads: dict[int, float] = {}
        self._looked = -math.inf

    def look(self, now: float) -> tuple[Node, ...]:
        """Return how each is, what fails first."""
        self._hear(now)
        if now - self._looked >= LOOK:
            self._look_at_processes(now)
        found = [node for process in self.processes for node in self._of_process(process, now)]
        pids = {process.pid for process in self.processes}
        for (pid, _), told in list(self._told.items()):
            if pid not in pids:  # a plain script, or a process of a process
                if now - told.heard > SILENT:
                    del self._told[told.status.process, told.status.node]
                else:
                    found.append(self._node(told, None, now))
        return tuple(sorted(found, key=by_gravity))

    def _hear(self, now: float) -> None:
        try:
            for status in self._subscriber.recv_all():
                told = self._told.setdefault((status.process, status.node), _Told(status, now))
                told.hear(status, now)
        except TopicError:
            pass  # a damaged message: the next one comes in a second

    def _look_at_processes(self, now: float) -> None:
        self.processes = noted_processes(self._session) if self._session else []
        uses = {p.pid: found for p in self.processes if (found := usage(p, memory=False))}
        for pid, use in uses.items():
            before = self._uses.get(pid)
            if before is not None and now > self._looked:
                self._loads[pid] = 100.0 * (use.cpu - before.cpu) / (now - self._looked)
        self._uses, self._looked = uses, now

    def _of_process(self, process: RunProcess, now: float) -> Iterator[Node]:
        """Yield the nodes of a process; one line for it where they are not known, or it is over."""
        told = [found for (pid, _), found in self._told.items() if pid == process.pid]
        use = self._uses.get(process.pid)
        if use is not None and told and not use.stopped:
            yield from (self._node(one, process, now) for one in told)
            return
        state = process.end or "gone"
        level: Level = "off" if state == WELL else "bad"
        text = "" if state == WELL else "its process has ended: see horus log"
        if state == STOPPED:
            level, text = "warn", f"horus node restart {process.name} starts it again"
        if use is not None:
            state, level, text = "running", "ok", "tells nothing of its nodes"
            if use.stopped:
                state, level, text = "stopped", "bad", f"process {process.pid} is held (state T)"
        if process.kind != "twin" or level == "bad":
            yield Node(
                name=process.name,
                level=level,
                state=state,
                process=process.name,
                pid=process.pid,
                rate=math.nan,
                asked_rate=math.nan,
                jitter=math.nan,
                tick=math.nan,
                errors=0,
                late=0,
                dropped=0,
                cpu=self._loads.get(process.pid, math.nan) if use else math.nan,
                restarts=process.restarts,
                text=text,
            )

    def _node(self, told: _Told, process: RunProcess | None, now: float) -> Node:
        status = told.status
        key = (status.process, status.node)
        failed = self._failed.of(key, status.failed, now)
        missed = self._missed.of(key, status.deadline_misses, now)
        state, text = status.state, ""
        level: Level = "ok" if state == "running" else "off"
        silent = now - told.heard
        if silent > SILENT:
            state, level, text = "silent", "bad", f"has told nothing for {silent:.0f} s"
        elif state in ("error", "crashed"):
            level, text = "bad", status.last_error
        elif state != "running":
            pass
        elif status.asked_rate >= 2.0 and told.rate == 0.0:
            level, state, text = "bad", "hangs", "no tick ends any more"
        elif failed:
            level, text = "warn", f"errors: {failed} in {RECENT:.0f} s, {status.last_error}"
        elif told.rate < SLOW * status.asked_rate and not (process and process.kind == "driver"):
            level, text = "warn", f"slow: {told.rate:.3g} of {status.asked_rate:g} ticks a second"
        elif missed:
            level, text = "warn", f"missed deadlines: {missed} in {RECENT:.0f} s"
        return Node(
            name=status.node,
            level=level,
            state=state,
            process=process.name if process else f"pid {status.process}",
            pid=status.process,
            rate=told.rate,
            asked_rate=status.asked_rate,
            jitter=status.jitter_p99,
            tick=status.tick_p99,
            errors=status.failed,
            late=status.overruns + status.deadline_misses,
            dropped=status.dropped,
            cpu=self._loads.get(status.process, math.nan),
            restarts=process.restarts if process else 0,
            text=text,
        )

    def close(self) -> None:
        """Leave the topic; the nodes then tell nothing any more."""
        self._subscriber.close()
