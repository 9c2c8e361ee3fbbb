"""Runs in every Python process of the robot under test: notes what its nodes do, once a second.

Python imports this file at start where its folder is in PYTHONPATH. It stamps the begin of each
tick, and a thread writes the figures of all nodes into ``$HORUS_SOAK_FOLDER/<pid>.json``, a file
of one size that stays open, so that neither files nor descriptors come and go on its account.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from horus.node import Node
from horus.scheduler import Scheduler

EVERY = 1.0  # s
WINDOW = 10  # seconds over which the best tick is told
SIZE = 8192  # bytes of the file
SETTLED = (0.3, 0.6, 0.9)  # of the warm-up: by the last, a process has imported what it needs
NS = 1_000_000_000
_NEVER = 1 << 62


class Grid:
    """How the ticks of a node lay on its grid, lately.

    At the begin of each tick, those done and those skipped make up its number on the grid. One that
    begins half a period late is taken for the next: so the best of some seconds counts.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self._times, seconds = float(node.rate).as_integer_ratio()
        self._seconds = seconds * NS
        self._first = 0
        self._forgiven = 0
        self._phase, self._even = _NEVER, -_NEVER
        self._lately: deque[tuple[int, int]] = deque(maxlen=WINDOW)

    def stamped(self, tick: Callable[[Any], object]) -> Callable[[Any], object]:
        """Return the tick function, its begins noted."""

        def call(node: Any) -> object:
            now = time.monotonic_ns()
            if not self._first:
                self._first = now
            passed = now - self._first
            number = (passed * self._times + self._seconds // 2) // self._seconds
            info = node.info
            done = info.tick_count() + info.overruns()
            if node._node_excused:  # what it skipped while it had no device is not counted
                self._forgiven = number - done
                return tick(node)
            done += self._forgiven
            phase = passed - done * self._seconds // self._times
            if phase < self._phase:
                self._phase = phase
            even = done - number
            if even > self._even:
                self._even = even
            return tick(node)

        return call

    def figures(self) -> dict[str, Any]:
        """Return the node's figures at this moment."""
        if self._phase != _NEVER:
            self._lately.append((self._phase, self._even))
            self._phase, self._even = _NEVER, -_NEVER
        node, info, lately = self.node, self.node.info, self._lately
        return {
            "rate": node.rate,
            "ticks": info.tick_count(),
            "skipped": info.overruns(),
            "failed": info.failed_ticks(),
            "lost": {topic: node.dropped(topic) for topic in node.get_subscribers()},
            "phase_ns": min((phase for phase, _ in lately), default=None),
            "even": max((even for _, even in lately), default=None),
        }


class Notes:
    """The grids of this process's nodes, written down by a thread."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{os.getpid()}.json"
        self._grids: dict[str, Grid] = {}
        self._begun = False

    def add(self, given: object) -> None:
        """Take in nodes, given as `Scheduler.add` takes them."""
        if isinstance(given, (list, tuple)):
            for each in given:
                self.add(each)
        elif isinstance(given, Node) and given.name not in self._grids:
            calls = given._node_calls
            if calls.tick is not None:
                grid = self._grids[given.name] = Grid(given)
                calls.tick = grid.stamped(calls.tick)
        if self._grids and not self._begun:
            self._begun = True
            threading.Thread(target=self._write, name="soak", daemon=True).start()

    def _write(self) -> None:
        file = os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600)
        while True:
            moment = time.monotonic_ns()
            found = {name: grid.figures() for name, grid in list(self._grids.items())}
            text = json.dumps({"moment_ns": moment, "nodes": found}).encode()
            os.pwrite(file, text.ljust(SIZE), 0)
            time.sleep(EVERY)


def _rebuild_interned() -> None:
    """Use up the free places in Python's table of interned strings, so that it is rebuilt now.

    Each path that is taken apart uses places of it for a moment. When none is left, the table is
    made anew for what lives then, once, 532 kB larger; that would look like a leak.
    """
    for number in range(50_000):
        sys.intern(f"soak {number}")


def _watch(folder: Path) -> None:
    notes, add = Notes(folder), Scheduler.add

    def noted(self: Scheduler, *given: Any, **options: Any) -> Scheduler:
        notes.add(given)
        return add(self, *given, **options)

    Scheduler.add = noted  # type: ignore[method-assign]


if os.environ.get("HORUS_SOAK_FOLDER"):
    _watch(Path(os.environ["HORUS_SOAK_FOLDER"]))
    for _part in SETTLED:
        _timer = threading.Timer(_part * float(os.environ["HORUS_SOAK_WARM_UP"]), _rebuild_interned)
        _timer.daemon = True
        _timer.start()
