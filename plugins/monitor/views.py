"""A snapshot in words: the same tables and sentences for the terminal and for the browser."""

from __future__ import annotations

import math
import time
from typing import NamedTuple

from horus_plugins.monitor.rows import Device, Level, LogLine, Node, Snapshot, Topic, Trouble

from horus.cli.topic_list import bandwidth

__all__ = ["MARKS", "Column", "Line", "Panel", "counts", "log_line", "panels", "title", "verdict"]

#: A sign for each level, so that nobody needs to see colours.
MARKS: dict[Level, str] = {"bad": "✗", "warn": "▲", "ok": "●", "off": "○"}
_LOG_LEVELS: dict[str, Level] = {"warning": "warn", "error": "bad", "critical": "bad"}


class Column(NamedTuple):
    """A column; where there is little room, the ones with the highest ``spare`` go first."""

    title: str
    spare: int = 0
    right: bool = False
    #: Its width in the terminal is at most this, that of the last column at least; 0: any.
    most: int = 0


class Line(NamedTuple):
    """A line of a table: what it is about, and its cells."""

    key: str
    level: Level
    cells: tuple[str, ...]


class Panel(NamedTuple):
    """A table."""

    name: str
    title: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    #: What is shown when there are no lines.
    empty: str


_DEVICES = (
    Column("DEVICE"),
    Column("STATE"),
    Column("RATE / Hz", 1, right=True),
    Column("BUS ERRORS", 2, right=True),
    Column("DRIVER", 5),
    Column("BUS", 5),
    Column("", 4),
    Column("WHAT IT SAYS"),
)
_NODES = (
    Column("NODE"),
    Column("STATE"),
    Column("RATE / Hz", 1, right=True),
    Column("JITTER", 3, right=True),
    Column("ERRORS", 2, right=True),
    Column("LATE", 5, right=True),
    Column("CPU", 3, right=True),
    Column("PROCESS", 4),
    Column("REMARK", most=12),
)
_TOPICS = (
    Column("TOPIC"),
    Column("TYPE", 4),
    Column("RATE / Hz", 0, right=True),
    Column("BANDWIDTH", 2, right=True),
    Column("LOST", 1, right=True),
    Column("LAG", 3, right=True),
    Column("AGE", 5, right=True),
    Column("FROM → TO", most=14),
)
_LOG = (Column("TIME", 2), Column("LEVEL", 1), Column("WHO", most=20), Column("LINE"))


def panels(snapshot: Snapshot) -> dict[str, Panel]:
    """Return the tables by name, in the order of their importance."""
    hidden = snapshot.hidden_topics
    found = (
        Panel(
            "devices",
            _headed("Devices", snapshot.devices),
            _DEVICES,
            tuple(map(_device, snapshot.devices)),
            "this run has no devices" if snapshot.session else "plain scripts have no devices",
        ),
        Panel(
            "nodes",
            _headed("Nodes", snapshot.nodes),
            _NODES,
            tuple(map(_node, snapshot.nodes)),
            "no node has told anything yet",
        ),
        Panel(
            "topics",
            _headed("Topics", snapshot.topics) + (f", {hidden} hidden" if hidden else ""),
            _TOPICS,
            tuple(map(_topic, snapshot.topics)),
            "there are no topics yet",
        ),
        Panel(
            "log",
            "Log",
            _LOG,
            tuple(map(log_line, snapshot.log)),
            "nothing was printed yet" if snapshot.session else "plain scripts keep no log",
        ),
    )
    return {panel.name: panel for panel in found}


def _headed(name: str, rows: tuple[Device | Node | Topic, ...]) -> str:
    bad, warn = (sum(row.level == level for row in rows) for level in ("bad", "warn"))
    text = f"{name} {len(rows)}" + (f", {bad} failing" if bad else "")
    return text + (f", {warn} {'warning' if warn == 1 else 'warnings'}" if warn else "")


def _device(row: Device) -> Line:
    errors = str(row.errors) + (f" (+{row.errors_lately})" if row.errors_lately else "")
    cells = (
        _name(row),
        _state(row.state, row.level),
        f"{row.rate:.1f} of {row.asked_rate:g}",
        errors,
        row.driver,
        row.bus,
        "MOCK" if row.mock else "",
        row.text,
    )
    return Line(row.name, row.level, cells)


def _node(row: Node) -> Line:
    asked = f" of {row.asked_rate:g}" if row.asked_rate else ""
    again = f"{row.restarts} restarts" if row.restarts else ""
    cells = (
        _name(row),
        _state(row.state, row.level),
        f"{number(row.rate)}{asked}" if not math.isnan(row.rate) else "",
        duration(row.jitter),
        str(row.errors),
        str(row.late),
        "" if math.isnan(row.cpu) else f"{row.cpu:.0f} %",
        row.process,
        ", ".join(filter(None, (row.text, again))),
    )
    return Line(f"{row.pid}/{row.name}", row.level, cells)


def _topic(row: Topic) -> Line:
    way = f"{', '.join(row.publishers) or '-'} → {', '.join(row.readers) or '-'}"
    cells = (
        _name(row),
        row.type or "?",
        number(row.rate),
        bandwidth(row.bandwidth) if row.bandwidth else "0",
        str(row.lost) + (f" (+{row.lost_lately})" if row.lost_lately else ""),
        duration(row.lag),
        duration(row.age),
        f"{row.text}; {way}" if row.text else way,
    )
    return Line(row.name, row.level, cells)


def log_line(line: LogLine) -> Line:
    """Return a line of the log."""
    cells = (clock(line.stamp), line.level.upper(), line.who, line.text.strip())
    return Line(str(line.number), _LOG_LEVELS.get(line.level, "ok"), cells)


def _name(row: Device | Node | Topic) -> str:
    return f"{MARKS[row.level]} {row.name}"


def _state(state: str, level: Level) -> str:
    return state.upper() if level == "bad" else state


def number(value: float) -> str:
    """Return a rate with as many digits as tell something."""
    if math.isnan(value):
        return ""
    return f"{value:.1f}" if value < 1000 else f"{value:.0f}"


def duration(seconds: float) -> str:
    """Return a short time in words; "" for NaN."""
    if math.isnan(seconds):
        return ""
    for limit, scale, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (100.0, 1.0, "s")):
        if seconds < limit:
            return f"{seconds * scale:.3g} {unit}"
    return up(seconds)


def up(seconds: float) -> str:
    """Return a long time: ``0:12``, ``3:04:05``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def clock(stamp: float) -> str:
    """Return a time of day."""
    return time.strftime("%H:%M:%S", time.localtime(stamp)) + f".{int(stamp % 1 * 10)}"


def title(snapshot: Snapshot) -> str:
    """Return what is looked at."""
    if not snapshot.session:
        return "plain scripts"
    return f"session {snapshot.session}"


def counts(snapshot: Snapshot) -> str:
    """Return how much there is."""
    found = {"device": snapshot.devices, "node": snapshot.nodes, "topic": snapshot.topics}
    return ", ".join(f"{len(rows)} {kind}{'s'[: len(rows) != 1]}" for kind, rows in found.items())


def verdict(snapshot: Snapshot) -> list[tuple[Level, str]]:
    """Return sentences that say how the robot is, the gravest first; one, if all is well."""
    if snapshot.ended:
        return [("bad", "This session has ended. What is shown is what was known last.")]
    found = [(trouble.level, _sentence(trouble)) for trouble in snapshot.troubles]
    if found:
        return found
    if not (snapshot.devices or snapshot.nodes or snapshot.topics):
        return [("off", "Nothing is running here yet.")]
    return [("ok", f"All is well: {counts(snapshot)}.")]


def _sentence(trouble: Trouble) -> str:
    state = trouble.state.upper() if trouble.level == "bad" else ""
    what = {"bad": "FAILING", "warn": "WARNING"}[trouble.level]
    name = f"{trouble.kind} {trouble.name}"
    return (
        f"{what} {name}"
        + (f" {state}" if state else "")
        + (f": {trouble.text}" * bool(trouble.text))
    )
