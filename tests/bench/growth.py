"""What a message and a tick cost as a robot grows: ``python -m tests.bench.growth``.

Topics, readers, publishers, bytes, nodes: one of them grows, all else stays. What should be flat is
compared with its first row. Nothing fails because it is slow.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import sys
import time
import timeit
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import horus
from horus.bench import launch
from horus.bench.ours import Six
from horus.bench.rows import readable
from horus.bus import CORE_NAME, Publisher, Subscriber

#: Up to so many times the first row still counts as flat.
FLAT = 1.5


@dataclass(frozen=True)
class Series:
    """One thing that grows."""

    key: str
    title: str
    unit: str
    sizes: tuple[int, ...]
    measure: Callable[[int, float], float]
    #: Whether the cost should stay the same.
    flat: bool = True


@dataclass(frozen=True)
class Point:
    """The cost (ns) at one size."""

    series: str
    size: int
    ns: float
    ratio: float
    flat: bool | None


def _best(work: Callable[[], object], seconds: float, per: int = 1) -> float:
    """Return the median ns of a piece of work, over batches."""
    timer = timeit.Timer(work)
    number = 1
    while timer.timeit(number) < seconds / 20 and number < 1 << 20:
        number *= 2
    found = sorted(timer.repeat(9, number))
    return found[len(found) // 2] / number / per * 1e9


def _topics(count: int, seconds: float) -> float:
    with contextlib.ExitStack() as stack:
        topics = [stack.enter_context(horus.Topic(f"t{i}", Six)) for i in range(count)]
        message = Six(1.0, 2.0, 3.0)
        ends = [(topic.send, topic.recv) for topic in topics if topic.send(message)]

        def work() -> None:
            for send, recv in ends:
                send(message)
                recv()

        return _best(work, seconds, count)


@contextlib.contextmanager
def _ends(publishers: int, readers: int, of: type | None) -> Iterator[tuple[list[Any], list[Any]]]:
    sources = [Publisher("t", of) for _ in range(publishers)]
    sinks = [Subscriber("t", of, depth=64) for _ in range(readers)]
    try:
        yield sources, sinks
    finally:
        for end in [*sinks, *sources]:
            end.close()


def _send_to_readers(count: int, seconds: float) -> float:
    with _ends(1, count, Six) as (sources, _):
        send, message = sources[0].send, Six(1.0)
        return _best(lambda: send(message), seconds)


def _receive_as_one_of(count: int, seconds: float) -> float:
    with _ends(1, count, Six) as (sources, sinks):
        send, message, receivers = sources[0].send, Six(1.0), [sink.recv for sink in sinks]
        alone = _best(lambda: send(message), seconds / 2)

        def work() -> None:
            send(message)
            for receive in receivers:
                receive()

        return (_best(work, seconds / 2) - alone) / count


def _receive_from(count: int, seconds: float) -> float:
    with _ends(count, 1, Six) as (sources, sinks):
        sends, message, receive = [source.send for source in sources], Six(1.0), sinks[0].recv

        def work() -> None:
            for send in sends:
                send(message)
            for _ in sends:
                receive()

        return _best(work, seconds, count)


def _bytes(size: int, seconds: float) -> float:
    import numpy

    array = numpy.ones(size, numpy.uint8)
    with horus.Topic("t", depth=2) as topic:
        topic.send(array)
        topic.recv()
        send, recv = topic.send, topic.recv

        def work() -> None:
            send(array)
            recv()

        return _best(work, seconds)


def _nodes(count: int, seconds: float) -> float:
    """Return the processor time of the scheduler for each tick of nodes at 100 Hz."""
    scheduler = horus.Scheduler()
    for number in range(count):
        scheduler.add(horus.Node(f"n{number}", tick=lambda node: None, rate=100))
    before = time.process_time_ns()
    scheduler.run(max(seconds, 1.0))
    used = time.process_time_ns() - before
    return used / sum(node.info.tick_count() for node in scheduler.nodes)


SERIES = (
    Series("topics", "topics open, a message each in turn", "topics", (1, 10, 100, 1000), _topics),
    Series("readers_send", "readers: a send", "readers", (1, 2, 4, 8, 16), _send_to_readers),
    Series("readers_recv", "readers: a receive", "readers", (1, 2, 4, 8, 16), _receive_as_one_of),
    Series(
        "publishers",
        "publishers of a topic: a message (merged by stamp)",
        "publishers",
        (1, 2, 4, 8, 16),
        _receive_from,
        flat=False,
    ),
    Series(
        "bytes",
        "bytes of an array, copied in and looked at",
        "B",
        (8, 80, 800, 8_000, 80_000, 800_000, 8_000_000),
        _bytes,
        flat=False,
    ),
    Series("nodes", "nodes at 100 Hz: a tick", "nodes", (1, 10, 100, 300), _nodes),
)


def judged(series: Series, costs: Sequence[float]) -> list[Point]:
    """Return the points of a series, compared with its first.

    Fewer nodes share a wake-up of the thread, so a tick becomes cheaper: that is flat, too.
    """
    return [
        Point(
            series.key,
            size,
            cost,
            cost / costs[0],
            cost <= FLAT * costs[0] if series.flat else None,
        )
        for size, cost in zip(series.sizes, costs, strict=True)
    ]


def lines(series: Series, points: Sequence[Point]) -> Iterator[str]:
    """Yield the table of one series."""
    yield f"{series.title}{'' if series.flat else '  (grows by design)'}"
    for point in points:
        mark = {True: "flat", False: f"NOT FLAT (more than {FLAT:g} times)", None: ""}[point.flat]
        extra = f"{point.size / point.ns:.3g} GB/s" if series.unit == "B" else mark
        size = f"{point.size:,}"
        cost = readable(point.ns, "ns")
        yield f"  {size:>9} {series.unit:<10} {cost:>9}  {point.ratio:>6.2f}  {extra}".rstrip()


def main(argv: Sequence[str] | None = None) -> int:
    """Measure all series and print them."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[s.key for s in SERIES], metavar="NAME")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each figure (default: 1)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures here")
    options = parser.parse_args(argv)
    about = launch.machine()
    print(launch.machine_line(about))
    print(f"horus {horus.__version__} ({CORE_NAME} core): cost a message or tick, and its growth")
    found: list[Point] = []
    with launch.place() as where:
        os.environ.update(where.environment())
        for series in SERIES:
            if options.only and series.key not in options.only:
                continue
            costs = []
            for size in series.sizes:
                gc.collect()
                costs.append(series.measure(size, options.seconds))
            points = judged(series, costs)
            found += points
            print("", *lines(series, points), sep="\n", flush=True)
    if options.json:
        report = {"machine": about, "core": CORE_NAME, "points": [asdict(p) for p in found]}
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
