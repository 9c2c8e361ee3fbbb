"""Measure the rate of a topic, and how even it is, from the stamps of its messages.

The rate is exact whatever it is; intervals are those between stamps that were still in memory.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import pairwise
from typing import Any

from horus.cli import live, looking

_EXAMPLES = """\
examples:
  horus topic hz imu
  horus topic hz imu --window 5 --duration 5 --json
"""
#: How often (s) headers are read, so that none is overwritten at usual rates.
LOOK = 0.01


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus topic hz`."""
    parser.epilog = _EXAMPLES
    looking.add_window(parser)
    looking.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Print a line for each window; 1 when nothing came."""
    return measure(args, _hz)


def measure(args: argparse.Namespace, line: Any) -> int:
    """Follow the headers of a topic; ``line(seconds, count, sent)`` makes an object and words."""
    from horus.bus.observer import folder_of
    from horus.bus.probe import Probe

    live.join_any(args)
    probe = Probe(folder_of(args.topic))
    begin = last = time.monotonic()
    before, total, sent = 0, 0, []
    end = begin + args.duration if args.duration else float("inf")
    try:
        while not live.ended():
            until = min(last + args.window, end)
            while (left := until - time.monotonic()) > 0:
                time.sleep(min(left, LOOK))
                sent += probe.take()
            now = time.monotonic()
            count, before = probe.count - before, probe.count
            total += count
            about, words = line(now - last, count, sent)
            print(json.dumps({"topic": args.topic} | about) if args.json else words, flush=True)
            last, sent = now, sent[-1:]
            if now >= end:
                return 0 if total else 1
    finally:
        probe.close()
    looking.note("the session has ended")
    return 0 if total else 1


def _hz(took: float, count: int, sent: list[Any]) -> tuple[dict[str, Any], str]:
    gaps = [(b.stamp_ns - a.stamp_ns) / 1e6 for a, b in pairwise(sent)]
    about: dict[str, Any] = {"rate_hz": round(count / took, 3), "messages": count}
    if not gaps:
        return about, f"{count / took:.2f} Hz: {count or 'no'} messages in {took:.1f} s"
    mean = sum(gaps) / len(gaps)
    spread = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    about |= {"min_ms": min(gaps), "max_ms": max(gaps), "std_ms": round(spread, 6)}
    words = f"every {min(gaps):.3f} to {max(gaps):.3f} ms, standard deviation {spread:.3f} ms"
    return about, f"{count / took:.2f} Hz: {words}, {count} messages"
