"""Show who publishes and reads a topic, its type, and the type's fields with their units."""

from __future__ import annotations

import argparse
import json
from typing import Any

from horus.cli import live, looking, tables, topic_list


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus topic info`."""
    looking.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Print it; 1 when there is no such topic."""
    from horus.bus.observer import folder_of
    from horus.bus.probe import Probe, state_of

    names = topic_list.process_names(live.join_any(args))
    folder = folder_of(args.topic)
    probe = Probe(folder)
    state = state_of(folder, probe.newest)
    probe.close()
    fields = fields_of(folder, state.hash)
    ends = [
        [topic_list._who(pid, names) for pid in pids] for pids in (state.publishers, state.readers)
    ]
    if args.json:
        about = {"topic": args.topic, "type": state.type, "hash": f"{state.hash:016x}"}
        more = {"depth": state.depth, "publishers": ends[0], "readers": ends[1], "fields": fields}
        print(json.dumps(about | more))
        return 0
    print(f"topic: {args.topic}\ntype: {state.type or 'not known: nothing was sent yet'}")
    print(f"publishers: {topic_list.who(ends[0])}\nreaders: {topic_list.who(ends[1])}")
    print(f"depth: {state.depth}")
    if fields:
        rows = [(f["name"], f["type"], f["unit"], f["doc"]) for f in fields]
        print(tables.plain(("FIELD", "TYPE", "UNIT", "MEANING"), rows, indent="  "), end="")
    return 0


def fields_of(folder: Any, hash: int) -> list[dict[str, str]]:
    """Return the fields of a declared type, with what is known of each."""
    from horus.bus import schemas
    from horus.message.annotations import NAMES
    from horus.message.schema import schema_of

    spec = schemas.learn(folder, hash) if hash else None
    if spec is None:
        return []
    schema = schemas.schema_for(folder, hash)
    docs = schema.docs if schema and schema.docs else schema_of(spec).docs
    found = []
    for name, form, code, count in spec.shapes:
        element = NAMES.get(code, "text")
        words = {"scalar": element, "str": f"text up to {count} bytes", "frame": "array"}
        kind = words.get(form) or f"{'up to ' if form == 'vararray' else ''}{count} {element}"
        unit, doc = docs.get(name, ("", ""))
        # Double backticks are for documentation tools; people read the plain word here.
        plain = doc.replace("``", "")
        found.append({"name": name, "type": kind, "unit": unit, "doc": plain})
    return found
