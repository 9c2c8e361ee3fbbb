"""List the runs that are going on and their processes, with what each of them uses.

CPU is the share of one processor, measured while the command looks. A run shows its own process,
the supervisor, first. The exit status is 0, or 2 when no robot runs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from horus.cli import live, tables

if TYPE_CHECKING:
    from horus.runtime.sessions import RunningSession, RunProcess

_EXAMPLES = """\
examples:
  horus ps
  horus ps --json
"""
HEAD = ("PROCESS", "KIND", "PID", "CPU", "MEMORY", "UP", "RESTARTS", "STATE")
#: How long (s) processor time is measured.
LOOK = 0.5


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus ps`."""
    parser.epilog = _EXAMPLES
    parser.add_argument("--json", action="store_true", help="print JSON")
    live.add_session(parser)


def main(args: argparse.Namespace) -> int:
    """Print the runs; see the exit status above."""
    from horus.runtime.sessions import chosen

    found = [(run, _processes(run)) for run in chosen(args.session)]
    lines = _looked_at([process for _, processes in found for process in processes])
    shown = [(run, [lines.pop(0) for _ in processes]) for run, processes in found]
    if args.json:
        print(json.dumps([_object(run, rows) for run, rows in shown]))
        return 0
    for number, (run, rows) in enumerate(shown):
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.made))
        print(f"{chr(10) if number else ''}session {run.id}, since {since}")
        print(tables.plain(HEAD, [_words(row) for row in rows], indent="  "), end="")
    return 0


def _processes(run: RunningSession) -> list[RunProcess]:
    from horus.bus.session import process_start_time
    from horus.runtime.sessions import RunProcess, noted_processes

    own = RunProcess("horus run", "supervisor", run.pid, process_start_time(run.pid) or 0)
    return [own, *noted_processes(run.id)]


def _looked_at(processes: Sequence[RunProcess]) -> list[dict[str, Any]]:
    from horus.runtime.usage import loads, usage

    start = time.monotonic()
    before = {p.pid: found for p in processes if (found := usage(p))}
    time.sleep(LOOK)
    shares = loads(processes, before, time.monotonic() - start)
    rows = []
    for process, share in zip(processes, shares, strict=True):
        now = usage(process)
        state = "running" if now else process.end or "gone"
        rows.append(
            {
                "name": process.name,
                "kind": process.kind,
                "pid": process.pid,
                "cpu_percent": round(share, 1) if now else None,
                "memory_bytes": now.memory if now else None,
                "up_seconds": round(now.age, 1) if now else None,
                "restarts": process.restarts,
                "state": "stopped (SIGSTOP)" if now and now.stopped else state,
            }
        )
    return rows


def _words(row: dict[str, Any]) -> tuple[str, ...]:
    alive = row["cpu_percent"] is not None
    return (
        row["name"],
        row["kind"],
        str(row["pid"]),
        f"{row['cpu_percent']:.0f} %" if alive else "",
        f"{row['memory_bytes'] / 1e6:.1f} MB" if alive else "",
        _span(row["up_seconds"]) if alive else "",
        str(row["restarts"]),
        row["state"],
    )


def _span(seconds: float) -> str:
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}"


def _object(run: RunningSession, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"session": run.id, "pid": run.pid, "since": run.made, "processes": rows}
