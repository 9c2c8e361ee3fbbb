"""One `Model` for all browsers: it looks while one of them does, and not at all otherwise."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from horus_plugins.monitor import views
from horus_plugins.monitor.model import Model
from horus_plugins.monitor.rows import Snapshot
from horus_plugins.monitor.topics import is_internal

from horus.errors import HorusError
from horus.logs import logger

__all__ = ["Hub", "Look"]

#: How often (s) the session is looked at.
LOOK = 0.25
#: When the last browser has gone, it is looked for so long (s): it may only be loading again.
LINGER = 5.0


@dataclass(frozen=True)
class Look:
    """What was found at one moment."""

    number: int
    snapshot: Snapshot
    #: All but log and plots, as JSON: with the topics of HORUS itself, and without.
    everything: str
    usual: str

    def text(self, everything: bool) -> str:
        """Return what a browser is to be told."""
        return self.everything if everything else self.usual


class Hub:
    """Looks at a session on a thread of its own, and lets others wait for what it finds."""

    def __init__(self, session_id: str) -> None:
        self._session = session_id
        self._changed = threading.Condition()
        self._watchers: list[bool] = []  # whether each wants to see everything
        self._last: Look | None = None
        self._number = 0
        self._closed = False
        #: Why nothing can be found out; "" while all is well.
        self.trouble = ""
        self._thread = threading.Thread(target=self._work, name="horus-monitor", daemon=True)
        self._thread.start()

    @property
    def last(self) -> Look | None:
        """Return what was found last; None while nobody watches."""
        return self._last

    @contextlib.contextmanager
    def watching(self, everything: bool) -> Iterator[None]:
        """Let it look for as long as this lasts."""
        with self._changed:
            self._watchers.append(everything)
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._watchers.remove(everything)

    def wait(self, number: int, timeout: float) -> Look | None:
        """Wait for a look that is newer than this one; None if none has come in time."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or (self._last is not None and self._last.number > number),
                timeout,
            )
            found = self._last
        return found if found is not None and found.number > number else None

    def close(self) -> None:
        """End."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._closed

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or bool(self._watchers))
                if self._closed:
                    return
            try:
                self._look_while_watched()
                self.trouble = ""
            except (HorusError, OSError) as error:
                self.trouble = str(error)
                logger("monitor").warning("cannot look at the session: %s", error)
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, 1.0)

    def _look_while_watched(self) -> None:
        if self._last is not None and self._last.snapshot.ended:
            self._tell(self._last.snapshot)
            with self._changed:
                self._changed.wait_for(lambda: self._closed, LOOK)
            return
        model = Model(self._session)
        try:
            watched = time.monotonic()
            while True:
                with self._changed:
                    model.everything = any(self._watchers)
                    if self._watchers:
                        watched = time.monotonic()
                    elif time.monotonic() - watched > LINGER:
                        return
                snapshot = model.sample()
                self._tell(snapshot)
                with self._changed:
                    if self._changed.wait_for(lambda: self._closed, LOOK) or snapshot.ended:
                        return
        finally:
            model.close()
            if self._last is not None and not self._last.snapshot.ended:
                self._last = None  # who comes later must not take it for news

    def _tell(self, snapshot: Snapshot) -> None:
        usual = snapshot
        internal = [topic for topic in snapshot.topics if is_internal(topic.name)]
        if internal:
            topics = tuple(topic for topic in snapshot.topics if topic not in internal)
            hidden = snapshot.hidden_topics + len(internal)
            troubles = tuple(
                trouble
                for trouble in snapshot.troubles
                if trouble.kind != "topic" or not is_internal(trouble.name)
            )
            usual = replace(snapshot, topics=topics, hidden_topics=hidden, troubles=troubles)
        texts = [json.dumps(_about(one), separators=(",", ":")) for one in (snapshot, usual)]
        with self._changed:
            self._number += 1
            self._last = Look(self._number, snapshot, *texts)
            self._changed.notify_all()


def _about(snapshot: Snapshot) -> dict[str, Any]:
    stop = snapshot.stop
    return {
        "title": views.title(snapshot),
        "up": views.up(snapshot.uptime) if snapshot.session else "",
        "counts": views.counts(snapshot),
        "mock": snapshot.mock,
        "ended": snapshot.ended,
        "stop": None if stop is None else {"reason": stop.reason, "source": stop.source},
        "verdict": views.verdict(snapshot),
        "panels": {n: p for n, p in views.panels(snapshot).items() if n != "log"},
    }
