"""Look into recordings: what is in one, its numbers as CSV, a part of it.

info FILE                 topics, types, counts, rates, what was lost
export csv FILE           a CSV file for each topic, in the folder of --output
cut FILE -o NEW           a part, by time (--start, --duration) and by topics (--topics)
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from horus_plugins.recording.errors import RecordingError, need_mcap
from horus_plugins.recording.record_command import seconds

from horus.cli import tables

if TYPE_CHECKING:
    from horus_plugins.recording.bag import Bag

_EXAMPLES = """\
examples:
  horus bag info run.mcap
  horus bag export csv run.mcap -o csv --topics imu
  horus bag cut run.mcap -o turn.mcap --start 10s --duration 5s
"""
HEAD = ("TOPIC", "TYPE", "MESSAGES", "RATE", "BYTES", "PUBLISHERS", "LOST")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus bag`."""
    parser.epilog = _EXAMPLES
    parser.add_argument("action", choices=("info", "export", "cut"))
    parser.add_argument("what", nargs="+", metavar="FILE", help="for export: csv FILE")
    parser.add_argument("-o", "--output", metavar="PATH", help="the new file, or folder of CSVs")
    parser.add_argument("--topics", nargs="+", default=[], metavar="TOPIC", help="only these")
    parser.add_argument("--start", type=seconds, default=0.0, metavar="TIME", help="skip so much")
    parser.add_argument("--duration", type=seconds, metavar="TIME", help="end after so much")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    parser.add_argument("--json", action="store_true", help="info: print JSON")


def main(args: argparse.Namespace) -> int:
    """Do it; 1 when the file is damaged or cannot be written, 2 when the words make no sense."""
    need_mcap()
    from horus_plugins.recording.bag import Bag

    words = list(args.what)
    if args.action == "export" and (words.pop(0) != "csv" or not words):
        raise RecordingError("horus bag export writes CSV: horus bag export csv run.mcap", 2)
    if len(words) != 1:
        raise RecordingError(f"horus bag {args.action}: name one file, not {len(words)}", 2)
    bag = Bag(words[0])
    if args.action == "info":
        return _info(bag, as_json=args.json)
    from horus_plugins.recording import parts

    bag.choose(args.topics, sorted(bag.summary().topics))
    chosen = (args.topics, args.start, args.duration)
    if args.action == "cut":
        if not args.output:
            raise RecordingError("horus bag cut: say where it goes: -o part.mcap", 2)
        count = parts.cut(bag, Path(args.output), *chosen, force=args.force)
        print(f"{args.output}: {count} messages")
    else:
        folder = Path(args.output or bag.path.with_suffix(""))
        for path, count in parts.export_csv(bag, folder, *chosen, force=args.force):
            print(f"{path}: {count} rows")
    if bag.damage:
        print(f"{bag.path}: {bag.damage}", file=sys.stderr)
    return 0


def _info(bag: Bag, *, as_json: bool) -> int:
    found = bag.summary()
    about = bag.metadata.get("horus.recording", {})
    topics = [
        {
            "topic": name,
            "type": topic.type,
            "messages": topic.count,
            "rate": topic.count / found.seconds if found.seconds else 0.0,
            "bytes": topic.bytes,
            "publishers": len(topic.publishers),
            "lost": max(topic.gaps, found.lost.get(name, 0)),
        }
        for name, topic in sorted(found.topics.items())
    ]
    if as_json:
        words = {
            "file": str(bag.path),
            "damage": bag.damage,
            "messages": found.count,
            "seconds": found.seconds,
            "topics": topics,
            "recording": about,
            "end": bag.metadata.get("horus.end", {}),
            "attachments": [a.name for a in bag.attachments],
        }
        print(json.dumps(words))
        return 0
    when = f", {about['began']}, session {about['session']}" if "session" in about else ""
    print(f"{bag.path}: {found.count} messages, {found.seconds:.3f} s{when}")
    if bag.damage:
        print(f"  {bag.damage}")
    why = bag.metadata.get("horus.end", {}).get("why", "")
    if why:
        print(f"  ended: {why}")
    if bag.attachments:
        print(f"  with {', '.join(a.name for a in bag.attachments)}")
    rows = [
        (
            str(row["topic"]),
            str(row["type"]),
            str(row["messages"]),
            f"{row['rate']:.1f} Hz",
            str(row["bytes"]),
            str(row["publishers"]),
            str(row["lost"]),
        )
        for row in topics
    ]
    print(tables.plain(HEAD, rows, indent="  "), end="")
    if bag.foreign:
        print(f"  not recorded by HORUS: {', '.join(sorted(bag.foreign))}")
    return 0
