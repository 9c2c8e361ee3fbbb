"""Plot numeric fields of a topic in the terminal, as they come; without a terminal, at the end."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import deque
from typing import Any

from horus.cli import braille, fields, live, looking
from horus.cli.live import seconds

_EXAMPLES = """\
examples:
  horus topic plot imu gyro_z            also: imu.gyro_z
  horus topic plot left_wheel.state velocity torque --duration 10
"""
#: How often (Hz) the picture is drawn anew.
DRAW = 10.0
_COLOURS = (36, 33, 32, 35, 34)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus topic plot`."""
    parser.epilog = _EXAMPLES
    parser.add_argument("topic", metavar="TOPIC", help="the topic's name")
    parser.add_argument("field", nargs="*", metavar="FIELD", help="such as gyro_z or pose.0")
    parser.add_argument("--duration", type=seconds, metavar="S", help="end after S seconds")
    live.add_session(parser)


def main(args: argparse.Namespace) -> int:
    """Plot them; 1 when nothing came, 2 when a field is no number."""
    from horus.bus.observer import folder_of

    live.join_any(args)
    if not args.field:
        args.topic, field = looking.with_field(args.topic)
        args.field = [field] if field else []
    folder = folder_of(args.topic)
    terminal = sys.stdout.isatty()
    size = shutil.get_terminal_size()
    width, height = max(10, size.columns - 14), 0
    values: list[deque[float]] = []
    units: dict[str, str] | None = None
    due, drawn = 0.0, 0
    for message, _, _ in looking.follow(args.topic, duration=args.duration):
        try:
            if units is None:
                units = fields.units(message, folder)
                args.field = args.field or _numbers(message)
                height = max(3, min(12, (size.lines - 2) // len(args.field) - 2))
                values = [deque(maxlen=2 * width) for _ in args.field]
            for kept, path in zip(values, args.field, strict=True):
                kept.append(_number(fields.at(message, path), path))
        except ValueError as error:
            print(f"horus topic plot: {args.topic}: {error}", file=sys.stderr)
            return 2
        if terminal and time.monotonic() >= due:
            due = time.monotonic() + 1 / DRAW
            drawn = _draw(args, values, units, (width, height), drawn)
    if not terminal and values:
        _draw(args, values, units or {}, (width, height), 0)
    return 0 if values else 1


def _numbers(message: Any) -> list[str]:
    """Return the only number in a message; of several a person is to choose."""
    from horus.bus.schemas import as_dict

    found = as_dict(message)
    names = list(found) if isinstance(found, dict) else []
    names = [str(n) for n in names if type(found[n]) in (int, float) and n != "stamp"]
    if len(names) != 1:
        raise ValueError(f"say which of its fields: {', '.join(names) or 'none is a number'}")
    return names


def _number(value: Any, path: str) -> float:
    if isinstance(value, (bool, int, float)) or getattr(value, "ndim", None) == 0:
        return float(value)
    raise ValueError(f"{path} is no number, but {str(value)[:40]!r}")


def _draw(
    args: argparse.Namespace,
    values: list[deque[float]],
    units: dict[str, str],
    size: tuple[int, int],
    drawn: int,
) -> int:
    """Draw all fields over what was drawn before; return how many lines that are."""
    lines: list[str] = []
    colour = live.colours()
    for number, (path, kept) in enumerate(zip(args.field, values, strict=True)):
        unit = units.get(path.partition(".")[0], "")
        lines.append(f"{args.topic} {path}: {live.shown(kept[-1])} {unit}".rstrip())
        picture = braille.chart(list(kept), *size)
        if colour:
            code = _COLOURS[number % len(_COLOURS)]
            picture = [f"\x1b[{code}m{line}\x1b[0m" for line in picture]
        lines += picture
    up = f"\x1b[{drawn}A" if drawn else ""
    end = "\x1b[K\n" if sys.stdout.isatty() else "\n"
    print(up + end.join(lines), end=end, flush=True)
    return len(lines)
