"""Show one node process of a running robot: load, how it keeps time, topics, parameters, warnings.

NODE is a process (see horus node list), or a device, bus or node in one. A node's figures are since
its start, durations at the 99th percentile: how late ticks begin, how uneven they come (jitter),
how long they take and may take.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Any

from horus.cli import live, looking, node_list, params

if TYPE_CHECKING:
    from horus.msgs import NodeStatus

#: How long (s) processor time and rates are measured.
LOOK = 1.0
#: Lines of warning that are shown.
WARNINGS = 5


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus node info`."""
    parser.add_argument("node", metavar="NODE", help="its name, as horus node list shows it")
    looking.add_arguments(parser, topic=False)


def main(args: argparse.Namespace) -> int:
    """Print it; 1 when there is no such node."""
    session_id = live.join(args)
    known = {about["name"]: about for about in node_list.nodes(session_id)}
    if args.node not in known:
        from horus.runtime import asking

        target = asking.find(session_id, args.node)
        about = known[target.process.name]
    else:
        about = known[args.node]
    if args.node != about["name"]:
        _only_of(args.node, about)
    about |= _measured(session_id, about)
    inside = [status["node"] for status in about["nodes"]]
    if args.node in inside and args.node != about["name"]:  # of several, the one that is meant
        about["nodes"] = [status for status in about["nodes"] if status["node"] == args.node]
    tuned, asked = params.nodes(), [status["node"] for status in about["nodes"]] or [args.node]
    about["params"] = [
        {"node": node, **param} for node in asked if node in tuned for param in params.of(node, 2.0)
    ]
    only = args.node if args.node in inside else ""
    about["warnings"] = _warnings(session_id, about["name"], only)
    if args.json:
        print(json.dumps(about))
        return 0
    _print(about)
    return 0


def _measured(session_id: str, about: dict[str, Any]) -> dict[str, Any]:
    """Return the load of a process, the rates of its topics, and how its nodes keep time."""
    from horus.bus.observer import folder_of
    from horus.bus.probe import Probe
    from horus.runtime.sessions import noted_processes
    from horus.runtime.usage import loads, usage
    from horus.scheduler.status import heard

    (process,) = (p for p in noted_processes(session_id) if p.name == about["name"])
    probes = {name: Probe(folder_of(name)) for name in about["publishes"]}
    start, before = time.monotonic(), usage(process)
    statuses = heard(process=process.pid) if before else []
    time.sleep(max(0.0, start + LOOK - time.monotonic()))
    took, now = time.monotonic() - start, usage(process)
    rates = {}
    for name, probe in probes.items():
        probe.take()
        rates[name] = round(probe.count / took, 2)
        probe.close()
    (load,) = loads([process], {process.pid: before} if before else {}, took)
    return {
        "cpu_percent": round(load, 1) if now else None,
        "memory_bytes": now.memory if now else None,
        "up_seconds": round(now.age, 1) if now else None,
        "rates_hz": rates,
        "nodes": [_timing(status) for status in statuses],
    }


#: Figures of a node in what is printed as JSON, by the names that `NodeStatus` has for them.
_FIGURES = (
    "state", "asked_rate", "rate", "ticks", "failed", "overruns", "over_budget", "deadline_misses",
    "dropped", "budget", "tick_p50", "tick_p99", "tick_max", "lateness_p50", "lateness_p99",
    "lateness_max", "jitter_p50", "jitter_p99", "jitter_max", "last_error",
)  # fmt: skip


def _timing(status: NodeStatus) -> dict[str, Any]:
    return {"node": status.node, **{name: getattr(status, name) for name in _FIGURES}}


def _only_of(device: str, about: dict[str, Any]) -> None:
    """Leave out the topics of other devices in the same process."""
    from horus.runtime.sessions import noted_devices

    others = {found.name for found in noted_devices() if found.process == about["name"]}
    if device in others:
        others.discard(device)
        for ends in ("publishes", "reads"):
            about[ends] = [name for name in about[ends] if name.partition(".")[0] not in others]


def _warnings(session_id: str, name: str, only: str) -> list[str]:
    """Return what a process has warned of lately; ``only`` that of one node in it."""
    from horus.bus.session import session_dir
    from horus.runtime.runlog import LogReader

    reader = LogReader(session_dir(session_id))
    grave = [
        f"{line.level.upper()} {line.node or name}: {line.text}"
        for line in reader.take()
        if line.process == name and line.level in ("warning", "error", "critical")
        if only in ("", line.node or name)
    ]
    reader.close()
    return grave[-WARNINGS:]


def _kept(found: dict[str, Any]) -> str:
    """Return in words how a node keeps time; what has not happened is left out."""
    asked = f" of {found['asked_rate']:g}" if found["asked_rate"] else ""
    budget = f" of {found['budget'] * 1e3:.3g}" if found["budget"] else ""
    parts = [
        f"{found['state']}, {found['rate']:.1f}{asked} Hz",
        f"jitter {found['jitter_p99'] * 1e3:.3g} ms",
        f"late {found['lateness_p99'] * 1e3:.3g} ms",
        f"tick {found['tick_p99'] * 1e3:.3g}{budget} ms",
        f"{found['ticks']} ticks",
    ]
    counts = {
        "failed": "failed",
        "overruns": "left out",
        "over_budget": "over budget",
        "deadline_misses": "past the deadline",
        "dropped": "messages lost",
    }
    parts += [f"{found[name]} {words}" for name, words in counts.items() if found[name]]
    return ", ".join(parts)


def _print(about: dict[str, Any]) -> None:
    print(f"node: {about['name']} ({about['kind']})\nstate: {about['state']}, pid {about['pid']}")
    if about["cpu_percent"] is not None:
        load = f"{about['cpu_percent']:.1f} % of a processor, {about['memory_bytes'] / 1e6:.0f} MB"
        print(f"load: {load}, up {about['up_seconds']:.0f} s, {about['restarts']} restarts")
    for found in about["nodes"]:
        print(f"node {found['node']}: {_kept(found)}")
    for topic, rate in about["rates_hz"].items():
        print(f"publishes: {topic} at {rate:.1f} Hz")
    for topic in about["reads"]:
        print(f"reads: {topic}")
    for param in about["params"]:
        print(f"parameter: {param['node']}.{param['name']} = {params.words(param)}")
    for line in about["warnings"]:
        print(f"said: {line}")
