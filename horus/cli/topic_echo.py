"""Print the messages of a topic as they come: a field a line with its unit, or a JSON line each."""

from __future__ import annotations

import argparse
import json
import sys
import time

from horus.cli import fields, live, looking
from horus.cli.live import seconds

_EXAMPLES = """\
examples:
  horus topic echo imu --once
  horus topic echo imu --field gyro_z --rate 2       twice a second at most; also: imu.gyro_z
  horus topic echo left_wheel.state -n 10 --json
  horus topic echo estop --last              what was sent last, however long ago
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus topic echo`."""
    parser.epilog = _EXAMPLES
    parser.add_argument("--field", metavar="A.B", help="only this field")
    parser.add_argument("--once", action="store_true", help="one message, then end")
    parser.add_argument("-n", "--count", type=live.count, metavar="N", help="N messages, then end")
    parser.add_argument("--last", action="store_true", help="begin with the last one that was sent")
    parser.add_argument(
        "--rate", type=live.hertz, metavar="HZ", help="show at most HZ messages a second"
    )
    parser.add_argument("--full", action="store_true", help="show long values whole")
    parser.add_argument("--duration", type=seconds, metavar="S", help="end after S seconds")
    looking.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Print them; 1 when not one came, or fewer than were asked for."""
    from horus.bus import wall_time
    from horus.bus.observer import folder_of

    live.join_any(args)
    if not args.field:
        args.topic, args.field = looking.with_field(args.topic)
    folder = folder_of(args.topic)
    wanted = 1 if args.once else args.count
    shown, due, units = 0, 0.0, None
    for message, stamp_ns, lost in looking.follow(
        args.topic, latch=args.last, duration=args.duration
    ):
        now = time.monotonic()
        if args.rate and now < due:
            continue
        due = now + 1 / args.rate if args.rate else 0.0
        if lost and not args.rate:
            looking.note(f"{lost} messages were lost here: they came faster than they are shown")
        try:
            picked = fields.at(message, args.field) if args.field else message
        except ValueError as error:
            print(f"horus topic echo: {args.topic}: {error}", file=sys.stderr)
            return 2
        stamp = wall_time(stamp_ns)
        if args.json:
            about = {"topic": args.topic, "stamp": stamp}
            print(json.dumps(about | {"message": fields.plain(picked, full=args.full)}), flush=True)
        else:
            if units is None:
                units = fields.units(message, folder)
            named = {"": units.get(args.field or "", "")} if args.field else units
            text = fields.lines(picked, named, full=args.full)
            if args.field and len(text) == 1:
                text = [f"{text[0]} {named['']}".rstrip()]
            if not args.field:
                clock = time.strftime("%H:%M:%S", time.localtime(stamp))
                text.insert(0, f"--- {clock}.{int(stamp % 1 * 1000):03d}")
            print("\n".join(text), flush=True)
        shown += 1
        if wanted and shown >= wanted:
            return 0
    return 0 if shown and not wanted else 1
