"""Nodes under a scheduler: the rate held, the processor time used, the jitter of a tick."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

from .measure import ARRAY_BYTES, Adapter, Loop, Result, summary, time_loop

MANY = 300
MANY_HZ = 100.0
FAST_HZ = 1_000_000.0
OVERLOAD_HZ = 100_000.0
EVEN_HZ = 1000.0

_clock = time.monotonic_ns


def in_node(adapter: Adapter, kind: str, seconds: float) -> Result:
    """Return ns for a message sent and got through a node, inside its tick."""
    results: list[Result] = []
    adapter.in_node(kind, lambda loop: results.append(time_loop(loop, seconds)))
    return results[0]


def many(adapter: Adapter, seconds: float) -> tuple[Result, Result]:
    """Return the mean rate held (Hz a node) and the processor time (% of one core)."""
    marks: list[tuple[int, int, int]] = []
    ticks = [0]

    def tick(node: Any) -> None:
        ticks[0] += 1
        if not ticks[0] % MANY:
            marks.append((_clock(), time.process_time_ns(), ticks[0]))

    adapter.run_nodes(MANY, MANY_HZ, seconds, tick, "many")
    if len(marks) < 4:
        raise RuntimeError(f"only {ticks[0]} ticks of {MANY} nodes in {seconds} s")
    (start, used, before), (end, used_then, after) = marks[len(marks) // 4], marks[-1]
    wall = end - start
    rate = (after - before) / MANY / wall * 1e9
    load = (used_then - used) / wall * 100
    return single(rate), single(load)


def fastest(adapter: Adapter, seconds: float) -> Result:
    """Return the rate (Hz) that one empty node reaches when it asks for far more."""
    stamps = _stamps(adapter, FAST_HZ, seconds, "fastest")
    stamps = stamps[len(stamps) // 4 :]
    return single((len(stamps) - 1) / (stamps[-1] - stamps[0]) * 1e9)


def jitter(adapter: Adapter, seconds: float, work: str) -> Result:
    """Return by how much (ns) the time between two ticks at 1 kHz differs from 1 ms."""
    stamps = _stamps(adapter, EVEN_HZ, seconds, work)
    stamps = stamps[len(stamps) // 10 :]
    period = 1e9 / EVEN_HZ
    return summary([abs(b - a - period) for a, b in pairwise(stamps)])


def tick_cost(adapter: Adapter, seconds: float) -> Result:
    """Return ns of processor time a tick that the scheduler takes, kept busy without a pause.

    That is all the time used less that of the tick function itself.
    """
    marks: list[tuple[int, int]] = []
    ticks = [0]

    def tick(node: Any) -> None:
        ticks[0] += 1
        if not ticks[0] % 500:
            marks.append((time.process_time_ns(), ticks[0]))

    adapter.run_nodes(100, OVERLOAD_HZ, seconds, tick, "tick_cost")
    if len(marks) < 4:
        raise RuntimeError(f"only {ticks[0]} ticks in {seconds} s")
    (start, before), (end, after) = marks[len(marks) // 4], marks[-1]
    own = time_loop(Loop("got = tick(0) is None", {"tick": tick}), 0.05)["median"]
    return single((end - start) / (after - before) - own)


def memcpy(seconds: float) -> Result:
    """Return ns that numpy takes to copy the array of the array rows: the floor under them."""
    import numpy

    source = numpy.arange(ARRAY_BYTES // 8, dtype="f8")
    target = numpy.zeros_like(source)
    names = {"source": source, "target": target}
    return time_loop(Loop("target[:] = source; got = True", names), seconds)


def single(value: float) -> Result:
    """Return the figure of a run that gives one number."""
    return {"median": value, "p99": None, "count": 1}


def _stamps(adapter: Adapter, rate: float, seconds: float, work: str) -> list[int]:
    stamps: list[int] = []
    keep = stamps.append
    clock = _clock

    def tick(node: Any) -> None:
        keep(clock())

    adapter.run_nodes(1, rate, seconds, tick, work)
    if len(stamps) < 10:
        raise RuntimeError(f"only {len(stamps)} ticks in {seconds} s at {rate:.0f} Hz")
    return stamps
