"""Reads under racing writers: whole, in order, every loss counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.proof.crews import Crew, crews


def count_reads(reads: int, core: str, writers: int, told: Callable[[str], object]) -> str:
    """Read so many in this process, whose core must be ``core``; return the figures, or raise."""
    from horus.bus import CORE_NAME, Subscriber
    from tests.e2e.bus_worker import Whole, is_whole
    from tests.proof.crew import DEPTH, TOPIC

    assert core == CORE_NAME, f"start this with HORUS_CORE={core}"
    received = torn = disordered = 0
    newest = dict.fromkeys(range(writers), -1)

    def take(message: Any) -> None:
        nonlocal received, torn, disordered
        received += 1
        if not is_whole(message):
            torn += 1
        number = message.number
        if number <= newest[message.publisher]:
            disordered += 1
        newest[message.publisher] = number

    with crews() as started:
        started += [Crew(core, "race", me) for me in range(writers)]
        for crew in started:
            crew.hear()
        subscriber = Subscriber(TOPIC, Whole, depth=DEPTH)
        begun = time.monotonic()
        for crew in started:
            crew.tell()
        recv, recv_all = subscriber.recv, subscriber.recv_all
        while received < reads:
            before = received // 1_000_000
            message = recv()
            if message is not None:
                take(message)
            for message in recv_all():
                take(message)
            if received // 1_000_000 > before:
                told(f"{core}: {received} read, torn {torn}, wrongly ordered {disordered}")
        seconds = time.monotonic() - begun
        sent = sum(crew.ask("stop")["sent"] for crew in started)
        while (message := recv()) is not None:
            take(message)
        lost = subscriber.dropped
        subscriber.close()
        for crew in started:
            crew.tell()
    line = (
        f"{core}: {received} reads of {sent} messages of {writers} writers in {seconds:.0f} s: "
        f"torn {torn}, wrongly ordered {disordered}, lost {lost}, miscounted "
        f"{sent - received - lost}"
    )
    if torn or disordered or received + lost != sent:
        raise AssertionError(line)
    return line
