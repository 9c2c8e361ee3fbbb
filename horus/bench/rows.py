"""The rows of the table and the job that measures each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import loads, pairs, startup
from .measure import ARRAY_BYTES, Adapter, Result, time_loop

Results = dict[str, Result]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    key: str
    title: str
    unit: str  #: ns, Hz, /s, B/s, %, B
    more_is_better: bool = False


@dataclass(frozen=True)
class Job:
    """One measurement, run in a process of its own; it fills one row or several."""

    name: str
    seconds: float
    measure: Callable[[Adapter, float], Results]
    rows: tuple[Row, ...]
    send: Callable[[Adapter], None] | None = None  #: what the second process does, if there is one


def _loop(name: str, title: str, method: str) -> Job:
    return Job(
        name,
        0.3,
        lambda adapter, seconds: {name: time_loop(getattr(adapter, method)(), seconds)},
        (Row(name, title, "ns"),),
    )


def _in_node(name: str, title: str, kind: str) -> Job:
    return Job(
        name,
        0.3,
        lambda adapter, seconds: {name: loads.in_node(adapter, kind, seconds)},
        (Row(name, title, "ns"),),
    )


def _one_way(name: str, title: str, kind: str) -> Job:
    return Job(
        name,
        0.5,
        lambda adapter, seconds: {name: pairs.one_way(adapter, kind, seconds)},
        (Row(name, title, "ns"),),
        lambda adapter: pairs.send_stamps(adapter, kind),
    )


def _throughput(name: str, title: str, kind: str, scale: int, unit: str) -> Job:
    def measure(adapter: Adapter, seconds: float) -> Results:
        figures = pairs.throughput(adapter, kind, seconds)
        return {name: {**figures, **{k: figures[k] * scale for k in ("median", "p99")}}}

    return Job(
        name,
        0.5,
        measure,
        (Row(name, title, unit, more_is_better=True),),
        lambda adapter: pairs.send_floods(adapter, kind),
    )


def _many(adapter: Adapter, seconds: float) -> Results:
    rate, load = loads.many(adapter, seconds)
    return {"many_rate": rate, "many_load": load}


def _jitter(name: str, title: str) -> Job:
    return Job(
        name,
        1.0,
        lambda adapter, seconds: {name: loads.jitter(adapter, seconds, name)},
        (Row(name, title, "ns"),),
    )


JOBS = (
    _loop("typed", "typed message of 6 doubles: send + receive", "typed"),
    _loop("typed_fields", "  build + send + receive + read all 6", "typed_fields"),
    _loop("mapping", "dict of 3 floats: send + receive", "mapping"),
    _in_node("node_typed", "typed through node.send + node.get", "typed"),
    _in_node("node_mapping", "dict through node.send + node.get", "mapping"),
    _loop("array_copied", "1 MB array: copied in, received readable", "array_copied"),
    Job(
        "memcpy",
        0.3,
        lambda adapter, seconds: {"memcpy": loads.memcpy(seconds)},
        (Row("memcpy", "  the same 1 MB copied by numpy alone", "ns"),),
    ),
    _loop("array_viewed", "1 MB array: in place, sent, viewed", "array_viewed"),
    _one_way("one_way_typed", "one way between processes: 64 B typed", "typed"),
    _one_way("one_way_mapping", "  dict of 3 values", "mapping"),
    _one_way("one_way_array", "  1 MB array copied in", "array"),
    _one_way("one_way_view", "  1 MB array in place, viewed", "view"),
    _throughput("flood_typed", "received a second: 64 B typed", "typed", 1, "/s"),
    _throughput("flood_array", "  1 MB arrays copied in", "array", ARRAY_BYTES, "B/s"),
    Job(
        "many",
        1.5,
        _many,
        (
            Row("many_rate", "300 nodes asked for 100 Hz: mean rate", "Hz", more_is_better=True),
            Row("many_load", "  processor time of it", "%"),
        ),
    ),
    Job(
        "fastest",
        0.6,
        lambda adapter, seconds: {"fastest": loads.fastest(adapter, seconds)},
        (
            Row(
                "fastest", "highest rate of one empty node (1 MHz asked)", "Hz", more_is_better=True
            ),
        ),
    ),
    Job(
        "tick_cost",
        0.4,
        lambda adapter, seconds: {"tick_cost": loads.tick_cost(adapter, seconds)},
        (Row("tick_cost", "the scheduler's own time a tick", "ns"),),
    ),
    _jitter("jitter", "1 kHz node: jitter of the tick interval"),
    _jitter("jitter_best", "  at its best (real-time class or a short spin)"),
    Job(
        "import",
        3.0,
        lambda adapter, seconds: {"import": startup.import_time(adapter, max(1, round(seconds)))},
        (Row("import", "import", "ns"),),
    ),
    Job(
        "memory",
        1.0,
        lambda adapter, seconds: {"memory": startup.bare_memory(adapter)},
        (Row("memory", "resident memory of one bare node", "B"),),
    ),
)

ROWS = tuple(row for job in JOBS for row in job.rows)


def job(name: str) -> Job:
    """Return the job of this name."""
    return next(job for job in JOBS if job.name == name)


_SCALES = {
    "ns": ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")),
    "Hz": ((1e3, "kHz"), (1.0, "Hz")),
    "/s": ((1e6, "M/s"), (1e3, "k/s"), (1.0, "/s")),
    "B/s": ((1e9, "GB/s"), (1e6, "MB/s"), (1.0, "B/s")),
    "B": ((1e6, "MB"), (1e3, "kB"), (1.0, "B")),
    "%": ((1.0, "%"),),
}


def readable(value: float | None, unit: str) -> str:
    """Return a figure with three digits and a unit that fits; ``-`` for None."""
    if value is None:
        return "-"
    scales = _SCALES[unit]
    scale, name = next((each for each in scales if abs(value) >= each[0]), scales[-1])
    value /= scale
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    if scale == 1.0 and unit in ("ns", "B"):
        digits = 0
    return f"{value:.{digits}f} {name}"
