"""Send an emergency stop or its release, and see what every actuator makes of it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from horus.bus import Publisher, Subscriber, session
from horus.bus.leftovers import topic_ends
from horus.errors import SharedMemoryError
from horus.hardware import estop, topics
from horus.msgs import DeviceStatus, EmergencyStop

#: Longest wait (s) for answers: a status comes at every change, and once a second.
PATIENCE = 2.5


@dataclass(frozen=True)
class Answer:
    """What became of one actuator: whether it did as told, and its own words."""

    device: str
    ok: bool
    text: str


def send(
    reason: str = "", source: str = "", *, release: bool = False, patience: float = PATIENCE
) -> list[Answer]:
    """Stop everything that moves in this process's session, or release it.

    Returns the answer of each actuator whose process is alive. A stop is kept for those that start
    later, also where nothing runs now.
    """
    message = EmergencyStop(engaged=not release, reason=reason, source=source, stamp=time.time())
    try:
        return _send(message, release, patience)
    except SharedMemoryError:
        if not estop.give_back():
            raise
    try:
        return _send(message, release, patience)
    finally:
        estop.set_aside()


def _send(message: EmergencyStop, release: bool, patience: float) -> list[Answer]:
    sent_ns = time.monotonic_ns()
    if release:
        estop.forget(sent_ns)
    else:
        estop.keep(estop.Stop(sent_ns, message.reason, message.source))
    publisher = Publisher(estop.TOPIC, EmergencyStop)
    try:
        publisher.send(message, stamp_ns=sent_ns)
        return _answers(sent_ns, release, patience)
    finally:
        publisher.close()


def actuators() -> list[str]:
    """Return the names of the actuators that live in this process's session."""
    ends = topic_ends(session.topics_dir())
    suffix = topics.command_topic("")
    names = [name.removesuffix(suffix) for name in ends if name.endswith(suffix)]
    return [
        name
        for name in names
        if ends[topics.command_topic(name)].readers
        and topics.status_topic(name) in ends
        and ends[topics.status_topic(name)].publishers
    ]


def _answers(sent_ns: int, release: bool, patience: float) -> list[Answer]:
    waiting = {
        name: Subscriber(topics.status_topic(name), DeviceStatus, latch=True)
        for name in sorted(actuators())
    }
    answers = {name: Answer(name, False, "has not answered") for name in waiting}
    deadline = time.monotonic() + patience
    while waiting and time.monotonic() < deadline:
        for name, subscriber in list(waiting.items()):
            while (found := subscriber.recv_stamped()) is not None:
                status, stamp_ns = found
                if stamp_ns >= sent_ns:
                    answers[name] = Answer(name, _obeys(status, release), _shown(status))
            if answers[name].ok:
                waiting.pop(name).close()
        time.sleep(0.005)
    for subscriber in waiting.values():
        subscriber.close()
    return list(answers.values())


def _obeys(status: DeviceStatus, release: bool) -> bool:
    # Only what it does: what follows may speak of commands that an earlier stop refused.
    stopped = status.state == "ready" and f": {estop.OBEYED}" in _shown(status)
    return not stopped if release else stopped


def _shown(status: DeviceStatus) -> str:
    return str(status.message).partition("; ")[0]
