"""The emergency stop of a robot: one topic, and a file that keeps it for those who come later.

Whoever sends an `EmergencyStop` on ``estop`` stops everything that moves: a person by
``horus estop``, a button's node, any node. It stays stopped until somebody sends one with
``engaged=False``. Each actuator's node hears the topic itself, so there is no process whose end
could lose the stop; the file outlives its sender, so that who starts later starts stopped.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from horus.bus import Subscriber, session
from horus.errors import SharedMemoryError, TopicError
from horus.hardware import topics
from horus.msgs import EmergencyStop
from horus.node.pubsub import Sub

TOPIC = topics.ESTOP
#: In the session's folder.
FILE = "estop.json"
#: There too: bytes that are free for a stop when all other memory is taken.
RESERVE, RESERVED = "estop.reserve", 262_144
#: How an actuator's status begins to say that it obeys; `horus estop` looks for it.
OBEYED = "e-stop engaged"
#: Messages that may come between two looks without one being lost.
DEPTH = 64
#: An actuator looks at least this often a second.
LOOKS = 50.0
LIMIT = 4096  # bytes of the file

SUB = Sub(TOPIC, EmergencyStop, depth=DEPTH, latch=True)


@dataclass(frozen=True)
class Stop:
    """A stop that is engaged: when it was sent (monotonic ns), why, and by whom."""

    stamp_ns: int
    reason: str = ""
    source: str = ""

    def __str__(self) -> str:
        words = [text for text in (self.reason, self.source and f"by {self.source}") if text]
        return f"{OBEYED} ({', '.join(words)})" if words else OBEYED


def _file() -> Path:
    return session.topics_dir().parent / FILE


def kept() -> Stop | None:
    """Return the stop that is engaged in this session; one that cannot be read is one all the same.

    A stop that cannot be ruled out is in force: only a missing file says that there is none.
    """
    try:
        with _file().open("rb") as file:
            words = json.loads(file.read(LIMIT))
        return Stop(int(words["stamp_ns"]), str(words["reason"])[:128], str(words["source"])[:64])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        return Stop(0, f"{_file()} cannot be read: {type(error).__name__}")


def keep(stop: Stop) -> None:
    """Let those who start later know of a stop."""
    file = _file()
    draft = file.with_name(f"{FILE}.{os.getpid()}")
    text = {"stamp_ns": stop.stamp_ns, "reason": stop.reason, "source": stop.source}
    try:
        session.make_dir(file.parent)
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as opened:
            json.dump(text, opened)
        draft.replace(file)
    except OSError as error:
        raise session.explain(error, file) from None


def forget(stamp_ns: int) -> None:
    """Take back what was kept, unless that is a stop from after this moment (monotonic ns)."""
    found = kept()
    if found is not None and found.stamp_ns <= stamp_ns:
        with contextlib.suppress(OSError):
            _file().unlink()


def set_aside() -> None:
    """Keep memory of a run free, so that a stop can be sent when all of it is taken."""
    if not os.environ.get("HORUS_SESSION_ID"):
        return  # plain scripts have no end at which it would be given back
    with contextlib.suppress(OSError, SharedMemoryError):
        file = session.make_dir(_file().parent) / RESERVE
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as opened:
            opened.write(bytes(RESERVED))


def give_back() -> bool:
    """Give up what was set aside; return whether there was anything."""
    try:
        _file().with_name(RESERVE).unlink()
    except OSError:
        return False
    return True


class StopWatch:
    """What one actuator's node knows of the emergency stop."""

    def __init__(self) -> None:
        #: The stop that is in force; None while the device may be commanded.
        self.engaged: Stop | None = kept()
        set_aside()
        #: Commands from before this moment (monotonic ns) are not to be followed.
        self.released_ns = 0
        self._dropped = 0
        self._pressed = False  # a stop has come since the device was told, even if it is over
        self._told = False  # it was told of one that is not known to be over

    def news_for(self, text: str) -> bool:
        """Return whether a device whose status is ``text`` has to be told of a stop or its end."""
        if self.engaged is None:
            return self._pressed or self._told
        return self._pressed or not text.startswith(str(self.engaged))

    def obeyed(self) -> None:
        """Take note that the device was told of what there was to tell."""
        self._pressed = False
        self._told = self.engaged is not None

    def look(self, subscriber: Subscriber, now_ns: int) -> None:
        """Take note of what has come on the topic."""
        for _ in range(DEPTH):
            try:
                found = subscriber.recv_stamped()
            except TopicError as error:
                # Somebody wants something of us and cannot be understood: the safe way.
                self._engage(Stop(now_ns, f"unreadable message: {error}"[:128]))
                continue
            if found is None:
                break
            message, stamp_ns = found
            if message.engaged:
                self._engage(Stop(min(stamp_ns, now_ns), message.reason, message.source))
            else:
                self._release(stamp_ns, now_ns)
        if subscriber.dropped != self._dropped:  # what was lost may have been a stop
            self._dropped = subscriber.dropped
            self._pressed = True

    def _engage(self, stop: Stop) -> None:
        self._pressed = True
        self.engaged = stop
        with contextlib.suppress(SharedMemoryError):  # full: this device obeys all the same
            keep(stop)

    def _release(self, stamp_ns: int, now_ns: int) -> None:
        if self.engaged is not None and stamp_ns >= self.engaged.stamp_ns:
            self.engaged = None
            self.released_ns = now_ns
            forget(stamp_ns)
