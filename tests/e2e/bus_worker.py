"""A publisher or a reader in a process of its own, for test_bus_processes.py.

bus_worker.py publish INDEX COUNT      sends COUNT messages, says 'ready' first and waits for a line
bus_worker.py read                     reads until told to stop, prints what it saw as JSON
bus_worker.py herd                     for each line forks a publisher that sends until it is killed
"""

from __future__ import annotations

import json
import os
import sys
import threading

from horus.bus import CORE_NAME, Publisher, Subscriber
from horus.message import UInt64, message


@message
class Whole:
    """Six words that belong together: a torn one is seen by their relation."""

    publisher: UInt64 = 0
    number: UInt64 = 0
    square: UInt64 = 0
    inverse: UInt64 = 0
    value: float = 0.0
    last: UInt64 = 0


MASK = 2**64 - 1


def make(publisher: int, number: int) -> Whole:
    return Whole(
        publisher, number, number * number & MASK, ~number & MASK, number * 0.5, publisher ^ number
    )


def is_whole(m: Whole) -> bool:
    n = m.number
    return (
        m.square == n * n & MASK
        and m.inverse == ~n & MASK
        and m.value == n * 0.5
        and m.last == m.publisher ^ n
    )


def publish(index: int, count: int) -> None:
    publisher = Publisher("whole", Whole)
    say({"ready": CORE_NAME})
    sys.stdin.readline()
    for number in range(count):
        publisher.send(make(index, number))
    publisher.close()
    say({"sent": count})


def herd() -> None:
    say({"ready": CORE_NAME})
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            publisher = Publisher("whole", Whole)
            say({"pid": os.getpid()})
            number = 0
            while True:
                publisher.send(make(int(line), number))
                number += 1
        os.waitpid(pid, 0)
        say({"gone": pid})


def read() -> None:
    subscriber = Subscriber("whole", Whole, depth=64)
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
    say({"ready": CORE_NAME})
    received = torn = disordered = 0
    newest: dict[int, int] = {}
    while True:
        ending = stop.is_set()
        messages = subscriber.recv_all()
        for m in messages:
            received += 1
            torn += not is_whole(m)
            disordered += m.number <= newest.get(m.publisher, -1)
            newest[m.publisher] = m.number
        if not messages:
            if ending:
                break
            subscriber.wait(0.05)
    say(
        {
            "received": received,
            "torn": torn,
            "disordered": disordered,
            "dropped": subscriber.dropped,
            "newest": newest,
        }
    )


def say(what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["publish", index, count]:
            publish(int(index), int(count))
        case ["herd"]:
            herd()
        case ["read"]:
            read()
