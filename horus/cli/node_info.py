"""Show one node process of a running robot: its load, topics, parameters and last warnings."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from horus.cli import live, looking, node_list, params
from horus.errors import HorusError, did_you_mean

#: How long (s) processor time and rates are measured.
LOOK = 1.0
#: Lines of warning that are shown.
WARNINGS = 5


class NoSuchNode(HorusError, LookupError):
    """The run has no process of this name."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus node info`."""
    parser.add_argument("node", metavar="NODE", help="its name, as horus node list shows it")
    looking.add_arguments(parser, topic=False)


def main(args: argparse.Namespace) -> int:
    """Print it; 1 when there is no such node."""
    session_id = live.join(args)
    known = {about["name"]: about for about in node_list.nodes(session_id)}
    if args.node not in known:
        near = did_you_mean(args.node, known) or f"; there are {', '.join(known) or 'none'}"
        raise NoSuchNode(f"this run has no node {args.node!r}{near}")
    about = known[args.node]
    about |= _measured(session_id, about)
    about["params"] = params.of(args.node, 2.0) if args.node in params.nodes() else []
    about["warnings"] = _warnings(session_id, args.node)
    if args.json:
        print(json.dumps(about))
        return 0
    _print(about)
    return 0


def _measured(session_id: str, about: dict[str, Any]) -> dict[str, Any]:
    """Return the load of a process and the rates of its topics."""
    from horus.bus.observer import folder_of
    from horus.bus.probe import Probe
    from horus.runtime.sessions import noted_processes
    from horus.runtime.usage import loads, usage

    (process,) = (p for p in noted_processes(session_id) if p.name == about["name"])
    probes = {name: Probe(folder_of(name)) for name in about["publishes"]}
    start, before = time.monotonic(), usage(process)
    time.sleep(LOOK)
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
    }


def _warnings(session_id: str, name: str) -> list[str]:
    from horus.bus.session import session_dir
    from horus.runtime.runlog import LogReader

    reader = LogReader(session_dir(session_id))
    grave = [
        f"{line.level.upper()} {line.node or name}: {line.text}"
        for line in reader.take()
        if line.process == name and line.level in ("warning", "error", "critical")
    ]
    reader.close()
    return grave[-WARNINGS:]


def _print(about: dict[str, Any]) -> None:
    print(f"node: {about['name']} ({about['kind']})\nstate: {about['state']}, pid {about['pid']}")
    if about["cpu_percent"] is not None:
        load = f"{about['cpu_percent']:.1f} % of a processor, {about['memory_bytes'] / 1e6:.0f} MB"
        print(f"load: {load}, up {about['up_seconds']:.0f} s, {about['restarts']} restarts")
    for topic, rate in about["rates_hz"].items():
        print(f"publishes: {topic} at {rate:.1f} Hz")
    for topic in about["reads"]:
        print(f"reads: {topic}")
    for param in about["params"]:
        print(f"parameter: {param['name']} = {params.words(param)}")
    for line in about["warnings"]:
        print(f"said: {line}")
