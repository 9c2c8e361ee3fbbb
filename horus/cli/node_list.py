"""List the node processes of a running robot, and what each publishes and reads."""

from __future__ import annotations

import argparse
import json
from typing import Any

from horus.cli import live, looking, tables

HEAD = ("NODE", "KIND", "PID", "STATE", "RESTARTS", "PUBLISHES", "READS")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus node list`."""
    looking.add_arguments(parser, topic=False)


def main(args: argparse.Namespace) -> int:
    """Print them; 1 when one has ended in another way than well."""
    found = nodes(live.join(args))
    if args.json:
        print(json.dumps(found))
    else:
        print(tables.plain(HEAD, map(_row, found)), end="")
    from horus.runtime.sessions import STOPPED

    well = ("running", "exit code 0", STOPPED)
    return 1 if any(about["state"] not in well for about in found) else 0


def nodes(session_id: str) -> list[dict[str, Any]]:
    """Return what is known of each process of a run, but for the simulated devices."""
    from horus.bus.leftovers import topic_ends
    from horus.bus.session import is_alive, topics_dir
    from horus.runtime.sessions import noted_processes

    ends = {t: who for t, who in topic_ends(topics_dir()).items() if not t.endswith(looking.ASKED)}
    found = []
    for process in noted_processes(session_id):
        if process.kind == "twin":
            continue
        running = not process.end and is_alive(process.pid, process.start)
        found.append(
            {
                "name": process.name,
                "kind": process.kind,
                "pid": process.pid,
                "state": "running" if running else process.end or "gone",
                "restarts": process.restarts,
                "publishes": [t for t, who in ends.items() if process.pid in who.publishers],
                "reads": [t for t, who in ends.items() if process.pid in who.readers],
            }
        )
    return found


def _row(about: dict[str, Any]) -> tuple[str, ...]:
    return (
        about["name"],
        about["kind"],
        str(about["pid"]),
        about["state"],
        str(about["restarts"]),
        _few(about["publishes"]),
        _few(about["reads"]),
    )


def _few(names: list[str]) -> str:
    more = f", and {len(names) - 3} more" if len(names) > 3 else ""
    return (", ".join(names[:3]) or "-") + more
