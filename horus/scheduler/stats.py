"""The table of how well each node kept time, for the end of a run.

A process of `horus run --stats` leaves its lines in the run's folder instead of printing them: the
run prints all of them as one table.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FOLDER", "collected", "table", "tell"]

#: Names the folder in which processes of a run leave their lines.
FOLDER = "HORUS_STATS_DIR"

_HEAD = (
    ("", "rate", "", "over-", "tick", "", "", "lateness", "", "", "jitter", "", "budget", "use"),
    ("node", "Hz", "ticks", "runs", *("p50", "p99", "max") * 2, "p50", "p99", "p50", "p99"),
)
_SPREADS = (
    *(f"{what}_{share}_ms" for what in ("tick", "lateness") for share in ("p50", "p99", "max")),
    *(f"jitter_{share}_ms" for share in ("p50", "p99")),
)


def tell(stats: Iterable[Mapping[str, Any]], asked: bool) -> None:
    """Print the table if it is asked for; in a run that asks for one, leave the lines to it."""
    folder = os.environ.get(FOLDER)
    if folder:
        import json
        from pathlib import Path

        path = Path(folder) / f"stats-{os.getpid()}"
        with contextlib.suppress(OSError), path.open("a") as file:
            file.writelines(json.dumps(node) + "\n" for node in stats)
    elif asked:
        print("\n" + table(stats), end="", file=sys.stderr)


def collected(folder: Path) -> list[dict[str, Any]]:
    """Return what processes left in a folder, in the order of the nodes' names."""
    import json

    found = []
    for path in folder.glob("stats-*"):
        with contextlib.suppress(OSError, ValueError):
            found += [json.loads(line) for line in path.read_text().splitlines()]
    return sorted(found, key=lambda node: str(node["name"]))


def table(stats: Iterable[Mapping[str, Any]]) -> str:
    """Return a table with a line for each node, of what `Scheduler.get_node_stats` returns."""
    lines = [*_HEAD, *map(_line, stats)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        " ".join(
            f"{cell:<{width}}" if place == 0 else f"{cell:>{width}}"
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        + "\n"
        for line in lines
    )


def _line(node: Mapping[str, Any]) -> tuple[str, ...]:
    uses = [f"{node[f'budget_use_{share}']:.1%}" for share in ("p50", "p99")]
    return (
        str(node["name"]),
        f"{node['rate_held_hz']:.4g}",
        str(node["total_ticks"]),
        str(node["overruns"]),
        *(_time(node[name]) for name in _SPREADS),
        *(uses if node["budget_ms"] else ("-", "-")),
    )


def _time(ms: float) -> str:
    """Return a duration with three digits and its unit."""
    for limit, scale, unit in ((1e-3, 1e6, "ns"), (1.0, 1e3, "µs"), (1e3, 1.0, "ms")):
        if ms < limit * 0.9995:
            return f"{ms * scale:.3g} {unit}" if ms else "0"
    return f"{ms * 1e-3:.3g} s"
