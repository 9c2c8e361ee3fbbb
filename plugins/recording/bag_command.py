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
from horus_plugins.recording.progress import Progress
from horus_plugins.recording.record_command import seconds

from horus.cli import tables

if TYPE_CHECKING:
    from horus_plugins.recording.bag import Bag, Summary

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
    """Do it; 1 when the file is damaged or cannot be written, 2 when it cannot begin.

    Of a damaged file, what can be read is exported and cut all the same.
    """
    need_mcap()
    from horus_plugins.recording.bag import Bag

    words = list(args.what)
    if args.action == "export" and (words.pop(0) != "csv" or not words):
        raise RecordingError("horus bag export writes CSV: horus bag export csv run.mcap", 2)
    if len(words) != 1:
        raise RecordingError(f"horus bag {args.action}: name one file, not {len(words)}", 2)
    bag = Bag(words[0])
    progress = Progress(f"horus bag {args.action}: {bag.path.name}")
    bag.progress = progress.show
    try:
        if args.action == "info":
            summary = bag.summary()
        else:
            told = _write(bag, args)
    finally:
        progress.clear()
    if args.action == "info":
        return _info(bag, summary, as_json=args.json)
    print("\n".join(told))
    if bag.damage:
        print(f"horus bag {args.action}: {bag.path}: {bag.damage}", file=sys.stderr)
    return 1 if bag.damage else 0


def _write(bag: Bag, args: argparse.Namespace) -> list[str]:
    """Export or cut; return what there is to tell."""
    from horus_plugins.recording import parts

    summary = bag.summary()
    known = sorted(summary.topics)
    bag.choose(args.topics, known)
    if not known:
        raise RecordingError(f"{bag.path} holds no messages of horus record", 2)
    bag.check_start(args.start, summary.seconds)
    chosen = (args.topics, args.start, args.duration)
    if args.action == "cut":
        if not args.output:
            raise RecordingError("horus bag cut: say where it goes: -o part.mcap", 2)
        count = parts.cut(bag, Path(args.output), *chosen, force=args.force)
        return [f"{args.output}: {_counted(count, 'message')}"]
    folder = Path(args.output or bag.path.with_suffix(""))
    told = []
    for one in sorted(parts.export_csv(bag, folder, *chosen, force=args.force)):
        more = f", {_counted(one.damaged, 'message')} damaged and left out" if one.damaged else ""
        told.append(f"{one.path}: {_counted(one.rows, 'row')}{more}")
    return told or [f"{bag.path} has no messages in that span: no table was written"]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _info(bag: Bag, found: Summary, *, as_json: bool) -> int:
    about = bag.metadata.get("horus.recording", {})
    topics = [
        {
            "topic": name,
            "type": topic.type,
            "messages": topic.count,
            "rate": topic.rate,
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
    known = (about.get("began", ""), about.get("session") and f"session {about['session']}")
    when = "".join(f", {text}" for text in known if text)
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
