"""What makes a flight recorder write: a fault, an emergency stop, a crash, or somebody's wish."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from horus_plugins.recording.errors import RecordingError

from horus.bus import session
from horus.hardware import estop

if TYPE_CHECKING:
    from horus_plugins.recording.recorder import Recorder

    from horus.bus.raw import RawMessage, RawSubscriber
    from horus.msgs import EmergencyStop

#: In the session's folder: the flight recorder's process.
FILE = "flight_recorder.json"
#: How often (s) processes are looked at.
CRASHES = 0.5
ESTOP = "estop"


class Triggers:
    """Looks at what is recorded for a reason to write it."""

    def __init__(self) -> None:
        from horus.message import spec_of
        from horus.msgs import DeviceStatus
        from horus.msgs import EmergencyStop as Message

        status, stop = spec_of(DeviceStatus), spec_of(Message)
        assert status is not None and stop is not None
        self._status, self._estop = status, stop
        self._faulty: set[str] = set()
        self._engaged = self._kept = False
        self._dead: set[tuple[str, int]] = set()
        self._ended: set[int] = set()
        self._looked = 0.0
        self._asked = False
        #: The reasons found since they were taken last.
        self.reasons: list[str] = []

    def ask(self) -> None:
        """Write at the next look; may be called by a signal handler."""
        self._asked = True

    def watch(self, topic: RawSubscriber, message: RawMessage) -> None:
        """Look at a message."""
        try:
            if message.type_hash == self._status.hash:
                status = self._status.unpack_from(message.payload, 0)
                if status.state != "fault":
                    self._faulty.discard(topic.name)
                elif topic.name not in self._faulty:
                    self._faulty.add(topic.name)
                    self.reasons.append(f"fault of {status.name}: {status.message}")
            elif message.type_hash == self._estop.hash and topic.name == ESTOP:
                stop = self._estop.unpack_from(message.payload, 0)
                self._stop(stop if stop.engaged else None)
        except ValueError:
            return  # a damaged message is no reason

    def look(self, recorder: Recorder) -> list[str]:
        """Return the reasons found since the last call; looks for crashed processes too."""
        if self._asked:
            self._asked = False
            self.reasons.append("asked for")
        now = time.monotonic()
        if now - self._looked > CRASHES:
            self._looked = now
            for name, end in recorder.ends.items():
                for publisher in end.dead_publishers():
                    if (name, publisher) not in self._dead:
                        self._dead.add((name, publisher))
                        self.reasons.append(f"crash of the publisher of {name}")
            self._look_at_processes()
            # Where nothing that moves listens, the topic of stops may have gone before it is seen.
            kept, was_kept = estop.kept(), self._kept
            self._kept = kept is not None
            if kept or was_kept:
                self._stop(kept)
        found, self.reasons = self.reasons, []
        return found

    def _stop(self, stop: estop.Stop | EmergencyStop | None) -> None:
        if stop and not self._engaged:
            words = " by ".join(filter(None, (stop.reason, stop.source)))
            self.reasons.append(f"emergency stop{words and f': {words}'}")
        self._engaged = stop is not None

    def _look_at_processes(self) -> None:
        from horus.runtime.sessions import noted_processes

        for process in noted_processes(session.topics_dir().parent.name):
            if process.end and process.pid not in self._ended:
                self._ended.add(process.pid)
                if process.end != "exit code 0":
                    self.reasons.append(f"crash of {process.name}: {process.end}")


class Writer:
    """Writes in a thread of its own, so that what happens meanwhile is recorded; one at a time."""

    def __init__(self) -> None:
        self.begun = self.written = self.failed = 0
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether something is being written."""
        return self._thread is not None and self._thread.is_alive()

    def begin(self, write: Callable[[], object]) -> None:
        """Let something be written; why it cannot be is told, and the next may succeed."""
        self.begun += 1

        def work() -> None:
            try:
                write()
                self.written += 1
            except (RecordingError, OSError) as error:
                self.failed += 1
                print(f"horus record: {error}", file=sys.stderr, flush=True)

        self._thread = threading.Thread(target=work, name="flight recorder", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until it is written."""
        if self._thread is not None:
            self._thread.join()


def announce() -> Path:
    """Write down which process is this run's flight recorder, for `ask_for`."""
    path = session.topics_dir().parent / FILE
    pid = os.getpid()
    try:
        path.write_text(json.dumps({"pid": pid, "start": session.process_start_time(pid)}))
    except OSError as error:
        raise session.explain(error, path) from None
    return path


def withdraw(path: Path) -> None:
    """Take back what `announce` wrote."""
    with contextlib.suppress(OSError):
        path.unlink()


def ask_for() -> int:
    """Have this run's flight recorder write; return its process."""
    path = session.topics_dir().parent / FILE
    try:
        found = json.loads(path.read_text())
        pid, start = int(found["pid"]), int(found["start"] or 0)
    except (OSError, ValueError, KeyError, TypeError):
        pid, start = 0, 0
    if not session.is_alive(pid, start):
        text = "no flight recorder runs: start one with horus record --ring 60s"
        raise RecordingError(text, 2)
    os.kill(pid, signal.SIGUSR1)
    return pid
