"""Sends what a recording holds, message by message, with the stamps' distances kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from horus_plugins.recording.bag import Bag
from horus_plugins.recording.errors import RecordingError
from horus_plugins.recording.formats import Stored
from horus_plugins.recording.recorder import matches

from horus.bus import layout as L
from horus.bus.files import check_name
from horus.bus.raw import RawPublisher

#: By so much (ns) late messages may come closer together than at twice their rate.
BEHIND_NS = 2_000_000
#: Ends of the topics that move something, and whole names.
MOVING, STOP = (".command", ".request"), "estop"


def remaps(words: Sequence[str]) -> dict[str, str]:
    """Return new names by old ones of ``a:=b``."""
    found = {}
    for word in words:
        old, sign, new = word.partition(":=")
        if not (old and sign and new):
            raise RecordingError(f"--remap {word!r}: write OLD:=NEW, such as imu:=imu_old", 2)
        found[old] = check_name(new)
    return found


def sent(bag: Bag, topics: Sequence[str], names: Mapping[str, str]) -> set[str]:
    """Return the topics that a replay sends on."""
    return {
        names.get(stored.topic, stored.topic)
        for stored in bag.channels.values()
        if matches(stored.topic, topics)
    }


def moving(bag: Bag, topics: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """Return the topics of a replay that would move a live robot."""
    found = sent(bag, topics, names)
    return sorted(name for name in found if name.endswith(MOVING) or name == STOP)


class Replay:
    """The publishers of a recording, one for each that was recorded."""

    def __init__(
        self, bag: Bag, topics: Sequence[str], names: Mapping[str, str], speed: float
    ) -> None:
        self.bag = bag
        self.topics = topics
        self.speed = speed
        self.count = 0
        #: By how much the latest message was late (ns).
        self.latest_ns = 0
        self._ends: dict[int, tuple[RawPublisher, Stored, Callable[[bytes], bytes]]] = {}
        self._publishers: dict[Any, RawPublisher] = {}
        self._names = names
        for number, stored in bag.channels.items():
            if matches(stored.topic, topics):
                self._open(number, stored, names.get(stored.topic, stored.topic))

    def _open(self, number: int, stored: Stored, name: str) -> None:
        """Make the publisher of a channel; two forms of one publisher share one."""
        spec = stored.spec()
        size = spec.size if spec is not None else 0
        key = (name, stored.publisher, stored.type_hash)
        if key not in self._publishers:
            declared = None
            if stored.type_hash:
                declared = (stored.type_name or "unknown", stored.type_hash, size)
            self._publishers[key] = RawPublisher(
                name, declared, spec, framed=stored.kind == L.KIND_FRAME
            )
        self._ends[number] = (self._publishers[key], stored, stored.decoder())

    def run(
        self,
        start: float,
        duration: float | None,
        stopped: Callable[[], bool],
        show: Callable[[float], object],
    ) -> None:
        """Send all of it once."""
        first = before = 0
        began_ns = pace_ns = 0
        for message in self.bag.read(self.topics, start, duration):
            if not began_ns:
                first = before = message.log_ns
                began_ns = time.monotonic_ns()
            due_ns = began_ns + self._scaled(message.log_ns - first)
            # What is late is sent at twice its rate at most: all at once, readers would lose it.
            pace_ns += self._scaled(message.log_ns - before) // 2
            pace_ns, before = max(pace_ns, time.monotonic_ns() - BEHIND_NS), message.log_ns
            send_ns = due_ns if pace_ns - due_ns < BEHIND_NS else pace_ns
            while (left := send_ns - time.monotonic_ns()) > 0 and not stopped():
                time.sleep(min(left / 1e9, 0.05))
            if stopped():
                return
            publisher, stored, decode = self._ends[message.channel]
            stamp_ns = began_ns + self._scaled(message.publish_ns - first)
            try:
                payload = decode(message.data)
                publisher.send_raw(stored.kind, payload, max(1, stamp_ns))
            except (ValueError, KeyError, IndexError, TypeError) as error:
                text = f"{self.bag.path}: topic {stored.topic!r}: a message is damaged: {error}"
                raise RecordingError(text) from None
            self.count += 1
            self.latest_ns = max(self.latest_ns, time.monotonic_ns() - due_ns)
            show((message.log_ns - first) / 1e9)

    def _scaled(self, span_ns: int) -> int:
        """Return how long (ns) a span of the recording takes now; exact at speed 1."""
        return span_ns if self.speed == 1.0 else int(span_ns / self.speed)

    def close(self) -> None:
        """Leave the topics."""
        for publisher in self._publishers.values():
            publisher.close()
