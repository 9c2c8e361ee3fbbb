"""A process that forks publishers and readers to be killed, or reads to the end: ``crew.py ROLE``.

It answers each line of its input with one line of JSON. ``herd`` forks: "publish N" or "read N" (N
seeds the dice) answers the child's pid, "look N" is a reader of the camera's, "reap PID" waits for
its end. ``witness`` reads until the line "count", and then until nothing more comes. ``camera N``
sends frames in few slots until the line "end", then, alone, 200 more. ``race N`` sends until any
line comes.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import random
import signal
import struct
import sys
import threading
import time
import traceback
import zlib
from collections import deque
from typing import Any

import numpy as np

from horus.bus import CORE_NAME, Publisher, Subscriber
from horus.bus import layout as L
from horus.bus.frames import pool_files
from horus.errors import SharedMemoryError
from tests.e2e.bus_worker import Whole, is_whole, make, say

TOPIC, CAMERA = "chaos", "chaos-camera"
DEPTH = 64
HELD = 4  # frames that a reader holds
ALONE = 200  # frames that the camera sends when its readers are dead


def letter(publisher: int, number: int, size: int) -> dict[str, Any]:
    """Return a message of any size that shows whether it is whole."""
    body = bytes([number % 256]) * size
    check = zlib.crc32(b"%d %d" % (publisher, number), zlib.crc32(body))
    return {"publisher": publisher, "number": number, "body": body, "check": check}


def pattern(publisher: int, number: int) -> Any:
    return np.uint64(((publisher << 24) ^ (number * 0x9E3779B9)) % 2**64)


def frame(array: Any, publisher: int, number: int) -> Any:
    """Fill an array of words so that it shows whether it is whole."""
    array[2:] = pattern(publisher, number)
    array[:2] = publisher, number
    return array


def read(message: Any) -> tuple[int, int] | None:
    """Return who sent a message and its number, None if it is not whole."""
    if isinstance(message, np.ndarray):
        publisher, number = int(message[0]), int(message[1])
        whole = (message[2:] == pattern(publisher, number)).all()
        return (publisher, number) if whole else None
    if isinstance(message, Whole):
        return (message.publisher, message.number) if is_whole(message) else None
    publisher, number = message["publisher"], message["number"]
    return (
        (publisher, number) if message == letter(publisher, number, len(message["body"])) else None
    )


class Tally:
    """What a reader has seen, and what was wrong with it."""

    def __init__(self) -> None:
        self.received = self.frames = self.torn = self.disordered = 0
        self.newest: dict[int, int] = {}
        self._held: deque[Any] = deque()

    def add(self, message: Any) -> None:
        self.received += 1
        found = read(message)
        if found is None:
            self.torn += 1
            return
        if isinstance(message, np.ndarray):
            self.frames += 1
            self._held.append((message, found))
            while len(self._held) > HELD:
                held, was = self._held.popleft()
                self.torn += read(held) != was  # it must not have changed
        publisher, number = found
        self.disordered += number <= self.newest.get(publisher, -1)
        self.newest[publisher] = number


def publish(me: int) -> None:
    """Send until killed: mostly small messages, now and then one for which the ring must grow."""
    dice = random.Random(me)
    grows, frames = dice.random() < 0.5, dice.random() < 0.5
    publisher = Publisher(TOPIC)
    number, size = 0, 0
    while True:
        try:
            if grows and dice.random() < 0.05:
                size = min(size + dice.randrange(2000), 100_000)
                sent = publisher.send(letter(me, number, size))
            elif frames and dice.random() < 0.3:
                words = dice.choice((512, 2000, 10_000))
                if dice.random() < 0.5:
                    sent = publisher.send(frame(np.zeros(words, np.uint64), me, number))
                else:
                    loan = publisher.loan(words, np.uint64)
                    with loan as array:
                        frame(array, me, number)
                    sent = loan.sent
            else:
                sent = publisher.send(make(me, number))
        except SharedMemoryError as error:
            if error.errno == errno.EBUSY:  # the lock was not free for a second: not sent
                continue
            raise
        number += sent
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


def look_until_killed(me: int) -> None:
    """Hold as many frames of the camera as there may be, and see that they do not change."""
    dice = random.Random(me)
    subscriber = Subscriber(CAMERA, depth=dice.choice((1, 4)))
    tally = Tally()
    while not tally.torn + tally.disordered:
        subscriber.wait(0.01)
        for message in subscriber.recv_all():
            tally.add(message)
        if dice.random() < 0.1:
            tally._held.clear()
    os.abort()


def camera(me: int) -> None:
    """Send frames in slots that a few readers can hold; afterwards, when they are dead, too."""
    L.FRAME_BUDGET = 16 * 4096
    publisher, ending = Publisher(CAMERA), threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), ending.set()), daemon=True).start()
    say({"ready": CORE_NAME})
    number = 0

    def snap() -> bool:
        loan = publisher.loan(512, np.uint64)
        with loan as array:
            frame(array, me, number)
        return loan.sent

    while not ending.is_set():
        number += snap()
        time.sleep(0.0002)
    pinned, lost = pins(publisher), publisher.frames_dropped
    alone = sum(snap() for _ in range(ALONE))
    say({"sent": number, "lost": lost, "pinned": pinned, "alone": alone, "left": pins(publisher)})
    publisher.close()


def pins(publisher: Publisher) -> int:
    """Return how many pins are set in a publisher's pools."""
    count = 0
    for pool in pool_files(publisher._folder):
        if pool.publisher != publisher._id:
            continue
        data = pool.path.read_bytes()
        (slots,) = struct.unpack_from("<I", data, L.FRAMES_SLOTS)
        for slot in range(slots):
            at = L.FRAMES_BLOCKS + slot * L.FRAMES_BLOCK + L.BLOCK_PINS
            count += sum(data[at : at + L.MAX_READERS])
    return count


#: What the processes do that are killed.
VICTIMS = {"publish": publish, "read": read_until_killed, "look": look_until_killed}


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
                VICTIMS[what](int(number))
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
    seen = {k: v for k, v in vars(tally).items() if isinstance(v, int)}
    say({**seen, "dropped": subscriber.dropped})
    del tally, message, messages
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
    logging.getLogger("horus.bus").setLevel(logging.ERROR)  # of frames that are lost
    match sys.argv[1:]:
        case ["herd"]:
            herd()
        case ["witness"]:
            witness()
        case ["camera", me]:
            camera(int(me))
        case ["race", me]:
            race(int(me))
