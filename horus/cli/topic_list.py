"""List the topics of a running robot: types, publishers, readers, rates and bandwidths.

Rates are measured while the command looks, from the counters of the publishers.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from horus.cli import live, looking, tables
from horus.cli.live import seconds

HEAD = ("TOPIC", "TYPE", "RATE", "BANDWIDTH", "PUBLISHERS", "READERS")
_EXAMPLES = """\
examples:
  horus topic list
  horus topic list --look 5 --json      measure for 5 s
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus topic list`."""
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "--look", type=seconds, default=1.0, metavar="S", help="measure for S seconds (default: 1)"
    )
    parser.add_argument(
        "--all", action="store_true", help="also those of requests and replies to nodes"
    )
    looking.add_arguments(parser, topic=False)


def main(args: argparse.Namespace) -> int:
    """Print the topics; 1 when there are none, 2 when nothing runs."""
    session_id = live.join_any(args)
    found = survey(session_id, args.look)
    if not args.all:
        found = [about for about in found if not about["topic"].endswith(looking.ASKED)]
    if args.json:
        print(json.dumps(found))
    elif found:
        print(tables.plain(HEAD, [_row(about) for about in found]), end="")
    else:
        looking.note("there are no topics yet")
    return 0 if found else 1


def survey(session_id: str, look: float) -> list[dict[str, Any]]:
    """Return what is known of each topic, measured for a while (s)."""
    from horus.bus import session
    from horus.bus.observer import topic_names
    from horus.bus.probe import Probe, state_of

    names = process_names(session_id)
    topics = session.topics_dir()
    probes = {name: Probe(topics / name.replace("/", "~")) for name in topic_names()}
    start = time.monotonic()
    time.sleep(look)
    found = []
    for name, probe in probes.items():
        sent = probe.take()
        took = time.monotonic() - start
        size = sum(one.size for one in sent) / len(sent) if sent else 0.0
        state = state_of(probe.folder, probe.newest)
        found.append(
            {
                "topic": name,
                "type": state.type,
                "rate_hz": round(probe.count / took, 2),
                "bytes_per_second": round(probe.count * size / took, 1),
                "publishers": [_who(pid, names) for pid in state.publishers],
                "readers": [_who(pid, names) for pid in state.readers],
            }
        )
        probe.close()
    return found


def process_names(session_id: str) -> dict[int, str]:
    """Return the names of a run's processes by their pids."""
    from horus.runtime.sessions import noted_processes

    return {p.pid: p.name for p in noted_processes(session_id)} if session_id else {}


def _who(pid: int, names: dict[int, str]) -> dict[str, Any]:
    return {"pid": pid, "name": names.get(pid, "")}


def who(ends: list[dict[str, Any]]) -> str:
    """Return processes in words: by name, or by pid where they have none."""
    return ", ".join(dict.fromkeys(end["name"] or str(end["pid"]) for end in ends)) or "-"


def bandwidth(per_second: float) -> str:
    """Return bytes a second in words."""
    for unit in ("B/s", "kB/s", "MB/s"):
        if per_second < 1000:
            return f"{per_second:.3g} {unit}"
        per_second /= 1000
    return f"{per_second:.3g} GB/s"


def _row(about: dict[str, Any]) -> tuple[str, ...]:
    return (
        about["topic"],
        about["type"] or "?",
        f"{about['rate_hz']:.1f} Hz",
        bandwidth(about["bytes_per_second"]),
        who(about["publishers"]),
        who(about["readers"]),
    )
