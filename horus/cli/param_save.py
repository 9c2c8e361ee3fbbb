"""Write present values of parameters into the run's horus.yaml; comments and layout stay.

What a person has changed with horus param set is lost with the process; saved, it is what the node
or device starts with the next time. Shows the changes; with --dry-run, nothing is written. Exit
status: 0; 1 when a value cannot be saved; 2 when no robot runs.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from horus.cli import live, params

if TYPE_CHECKING:
    from horus.hardware.saving import Change, Setting


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus param save`."""
    parser.add_argument(
        "node", nargs="*", metavar="NODE", help="only of these nodes and devices (default: all)"
    )
    parser.add_argument("--dry-run", action="store_true", help="show the changes; write nothing")
    params.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Save them; see the exit status above."""
    from difflib import unified_diff

    from horus.errors import HorusError
    from horus.hardware import saving
    from horus.runtime.sessions import noted_config

    session_id = live.join(args)
    path = noted_config()
    if path is None:
        raise HorusError("this run has no horus.yaml: there is nothing to save in")
    settings = _settings(session_id, args.node, args.timeout)
    old = saving.read_text(path)
    new, changes, problems = saving.with_settings(path, old, settings)
    lines = unified_diff(old.splitlines(), new.splitlines(), str(path), str(path), lineterm="")
    written = new != old and not args.dry_run
    if written:
        saving.write(path, old, new)
        _note(session_id, settings, changes)
    if args.json:
        found = [asdict(change) for change in changes]
        print(json.dumps({"file": str(path), "written": written, "changes": found}))
    else:
        print("\n".join([*lines, ""]) if changes else f"nothing to save: {path} says all of it")
    if not args.json and changes:
        count = "1 value" if len(changes) == 1 else f"{len(changes)} values"
        print(f"{count} saved in {path}" if written else f"{count} to save; nothing was written")
    for problem in problems:
        print(f"horus: not saved: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _note(session_id: str, settings: list[Setting], changes: list[Change]) -> None:
    """Let this run's processes start with what was saved, when they are started again."""
    from horus.bus.session import session_dir
    from horus.runtime.sessions import note_saved_params

    written = {(change.node, change.name): change.new for change in changes}
    saved: dict[str, dict[str, object]] = {}
    for one in settings:
        if one.process and (one.node, one.name) in written:
            of_process = saved.setdefault(one.process, {})
            of_process[f"{one.node}.{one.name}"] = written[one.node, one.name]
    note_saved_params(session_dir(session_id), saved)


def _settings(session_id: str, nodes: list[str], timeout: float) -> list[Setting]:
    """Return the present values of all parameters, with the processes that have them."""
    from horus.bus.leftovers import topic_ends
    from horus.bus.session import topics_dir
    from horus.hardware.saving import Setting
    from horus.node.caller import reply_topic
    from horus.node.params import SUFFIX
    from horus.runtime.sessions import noted_processes

    ends = topic_ends(topics_dir())
    processes = {process.pid: process for process in noted_processes(session_id)}
    found = []
    for node in nodes or params.nodes():
        abouts = params.of(node, timeout)  # which says what is wrong with a name
        pids = ends[reply_topic(node + SUFFIX)].publishers
        process = next((processes[pid] for pid in pids if pid in processes), None)
        if process is None:
            continue  # a program that is no process of this run
        own = {} if process.kind == "driver" else {"file": process.file, "process": process.name}
        found += [
            Setting(node, about["name"], about["value"], about["default"], **own)
            for about in abouts
        ]
    return found
