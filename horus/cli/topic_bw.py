"""Measure how many bytes of payload a topic carries, from the headers of its messages."""

from __future__ import annotations

import argparse
from typing import Any

from horus.cli import looking, topic_hz
from horus.cli.topic_list import bandwidth


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus topic bw`."""
    looking.add_window(parser)
    looking.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Print a line for each window; 1 when nothing came."""
    return topic_hz.measure(args, _bandwidth)


def _bandwidth(took: float, count: int, sent: list[Any]) -> tuple[dict[str, Any], str]:
    sizes = [one.size for one in sent]
    mean = sum(sizes) / len(sizes) if sizes else 0.0
    rate = mean * count / took
    about = {"bytes_per_second": round(rate, 1), "messages": count, "mean_bytes": round(mean, 1)}
    about |= {"min_bytes": min(sizes, default=0), "max_bytes": max(sizes, default=0)}
    if not count:
        return about, f"0 B/s: no messages in {took:.1f} s"
    return about, (
        f"{bandwidth(rate)}: {count} messages of {min(sizes)} to {max(sizes)} bytes, "
        f"{mean:.0f} on average"
    )
