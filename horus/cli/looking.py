"""What the commands share that look at topics: arguments, and following one until it ends."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

from horus.cli import live
from horus.cli.live import seconds

#: How often (s) it is looked whether the run still goes on.
CHECK = 0.5
#: Topics that carry questions to nodes and devices, and their answers: nobody looks for these.
ASKED = (".request", ".reply")


def add_arguments(parser: argparse.ArgumentParser, *, topic: bool = True) -> None:
    """Add the topic, ``--session`` and ``--json``."""
    if topic:
        parser.add_argument("topic", metavar="TOPIC", help="the topic's name")
    parser.add_argument("--json", action="store_true", help="print JSON")
    live.add_session(parser)


def add_window(parser: argparse.ArgumentParser) -> None:
    """Add how long to measure, and over what time each line is."""
    parser.add_argument(
        "--window",
        type=seconds,
        default=1.0,
        metavar="S",
        help="a line every S seconds (default: 1)",
    )
    parser.add_argument(
        "--duration", type=seconds, metavar="S", help="end after S seconds (default: Ctrl-C)"
    )


def note(text: str) -> None:
    """Tell people something beside the output."""
    print(f"horus: {text}", file=sys.stderr, flush=True)


def with_field(name: str) -> tuple[str, str]:
    """Take ``imu.gyro_z``, which is no topic, for the field of one, if that is there."""
    from horus.bus.observer import topic_names

    known = topic_names()
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        if name not in known and (topic := ".".join(parts[:cut])) in known:
            return topic, ".".join(parts[cut:])
    return name, ""


def follow(
    topic: str, *, latch: bool = False, duration: float | None = None
) -> Iterator[tuple[Any, int, int]]:
    """Yield each message with its stamp (ns) and how many were lost before it.

    It ends with the time, or with the run; a topic that is made anew is taken up again.
    """
    from horus.bus.observer import NoSuchTopic, Observer
    from horus.errors import TopicError

    observer = Observer(topic, latch=latch)
    if not observer.publishers:
        note(f"nobody publishes on {topic!r} at present: waiting for it")
    deadline = time.monotonic() + (duration or float("inf"))
    lost = 0
    try:
        while (left := deadline - time.monotonic()) > 0:
            if observer.wait(min(left, CHECK)):
                try:
                    found = observer.recv_stamped()
                except TopicError as error:
                    note(str(error))
                    continue
                if found is not None:
                    yield *found, observer.dropped - lost
                    lost = observer.dropped
            elif live.ended():
                note("the session has ended")
                return
            elif observer.gone:
                try:
                    again = Observer(topic, latch=True)
                except NoSuchTopic:
                    continue
                observer.close()
                observer, lost = again, 0
    finally:
        observer.close()
