"""A process that forks publishers and readers to be killed, or reads to the end: ``crew.py ROLE``.

It answers each line of its input with one line of JSON. ``herd`` forks: "publish N" or "read N" (N
seeds the dice) answers the child's pid, "reap PID" waits for its end. ``witness`` reads until the
line "count", and then until nothing more comes. ``race N`` sends until any line comes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import random
import signal
import sys
import threading
import time
import traceback
import zlib
from typing import Any

from horus.bus import CORE_NAME, Publisher, Subscriber
from horus.bus import layout as L
from horus.errors import SharedMemoryError
from tests.e2e.bus_worker import Whole, is_whole, make, say

TOPIC = "chaos"
DEPTH = 64


def letter(publisher: int, number: int, size: int) -> dict[str, Any]:
    """Return a message of any size that shows whether it is whole."""
    body = bytes([number % 256]) * size
    check = zlib.crc32(b"%d %d" % (publisher, number), zlib.crc32(body))
    return {"publisher": publisher, "number": number, "body": body, "check": check}


def read(message: Any) -> tuple[int, int] | None:
    """Return who sent a message and its number, None if it is not whole."""
    if isinstance(message, Whole):
        return (message.publisher, message.number) if is_whole(message) else None
    publisher, number = message["publisher"], message["number"]
    return (
        (publisher, number) if message == letter(publisher, number, len(message["body"])) else None
    )


class Tally:
    """What a reader has seen, and what was wrong with it."""

    def __init__(self) -> None:
        self.received = self.torn = self.disordered = 0
        self.newest: dict[int, int] = {}

    def add(self, message: Any) -> None:
        self.received += 1
        found = read(message)
        if found is None:
            self.torn += 1
            return
        publisher, number = found
        self.disordered += number <= self.newest.get(publisher, -1)
        self.newest[publisher] = number


def publish(me: int) -> None:
    """Send until killed: mostly small messages, now and then one for which the ring must grow."""
    dice = random.Random(me)
    grows = dice.random() < 0.5
    publisher = Publisher(TOPIC)
    number, size = 0, 0
    while True:
        try:
            if grows and dice.random() < 0.05:
                size = min(size + dice.randrange(2000), 100_000)
                publisher.send(letter(me, number, size))
            else:
                publisher.send(make(me, number))
        except SharedMemoryError as error:
            if error.errno == errno.EBUSY:  # the lock was not free for a second: not sent
                continue
            raise
        number += 1
        if dice.random() < 0.02:
            time.sleep(0.0005)


def read_until_killed(me: int) -> None:
    dice = random.Random(me)
    subscriber = Subscriber(TOPIC, depth=dice.choice((1, 16, DEPTH)))
    tally = Tally()
    while not tally.torn + tally.disordered:
        subscriber.wait(0.01)
        for message in subscriber.recv_all():
            tally.add(message)
    os.abort()  # seen by who reaps


def herd() -> None:
    L.LINGER_NS = 20_000_000_000  # on a busy machine a witness may be that late
    say({"ready": CORE_NAME})
    for line in sys.stdin:
        what, number = line.split()
        if what == "reap":
            say({"status": os.waitpid(int(number), 0)[1]})
            continue
        pid = os.fork()
        if not pid:
            try:
                ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: never outlive us
                publish(int(number)) if what == "publish" else read_until_killed(int(number))
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(99)
        say({"pid": pid})


def witness() -> None:
    """Read from before the first publisher until after the last one, and tell what came."""
    L.LINGER_NS = 20_000_000_000
    subscriber = Subscriber(TOPIC, depth=DEPTH)
    tally, ending = Tally(), threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), ending.set()), daemon=True).start()
    say({"ready": CORE_NAME})
    while True:
        last = ending.is_set()
        messages = subscriber.recv_all()
        for message in messages:
            tally.add(message)
        if not messages and last:
            break
        if not messages:
            subscriber.wait(0.05)
    say({**vars(tally), "dropped": subscriber.dropped})
    subscriber.close()


def race(me: int) -> None:
    publisher = Publisher(TOPIC, Whole)
    ending = threading.Event()
    say({"ready": CORE_NAME})
    sys.stdin.readline()
    threading.Thread(target=lambda: (sys.stdin.readline(), ending.set()), daemon=True).start()
    number = 0
    while not ending.is_set():
        publisher.send(make(me, number))
        number += 1
    say({"sent": number})
    sys.stdin.readline()  # leave when everybody has read to the end


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["herd"]:
            herd()
        case ["witness"]:
            witness()
        case ["race", me]:
            race(int(me))
