"""Measure how old the messages of a topic are when a reader that waits for them gets them.

The age is that of the stamp: the moment of sampling where a driver set one, else that of sending.
The command is a reader like any other, woken by the publisher: it measures what a node would see.
"""

from __future__ import annotations

import argparse
import json
import time

from horus.cli import live, looking


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus topic latency`."""
    looking.add_window(parser)
    looking.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Print a line for each window; 1 when nothing came."""
    from horus.bus import Subscriber
    from horus.bus.observer import folder_of

    live.join_any(args)
    folder_of(args.topic)
    total = 0
    with_end = time.monotonic() + (args.duration or float("inf"))
    subscriber = Subscriber(args.topic)
    try:
        while not live.ended():
            until = min(time.monotonic() + args.window, with_end)
            ages: list[float] = []
            while (left := until - time.monotonic()) > 0:
                if subscriber.wait(min(left, looking.CHECK)):
                    stamp = subscriber.peek_stamp()
                    now = time.monotonic_ns()
                    if stamp is not None:
                        ages.append((now - stamp) / 1e6)
                        subscriber.discard_before(now + 1_000_000_000)
            total += len(ages)
            _print(args, sorted(ages))
            if until == with_end:
                return 0 if total else 1
    finally:
        subscriber.close()
    looking.note("the session has ended")
    return 0 if total else 1


def _print(args: argparse.Namespace, ages: list[float]) -> None:
    if not ages:
        about: dict[str, float] = {"messages": 0}
        words = "no messages"
    else:
        p50, p99 = ages[len(ages) // 2], ages[min(len(ages) - 1, len(ages) * 99 // 100)]
        about = {"messages": len(ages), "p50_ms": p50, "p99_ms": p99, "max_ms": ages[-1]}
        words = f"age p50 {p50:.3f} ms, p99 {p99:.3f} ms, max {ages[-1]:.3f} ms"
        words += f", {len(ages)} messages"
    print(json.dumps({"topic": args.topic} | about) if args.json else words, flush=True)
