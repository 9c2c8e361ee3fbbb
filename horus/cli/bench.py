"""Measure HORUS on this machine: messages, ticks, jitter, start and memory."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from horus.bench import launch
from horus.bench.rows import JOBS, Job, readable

SHARE = 0.5  # of the time that the comparison with other projects takes for a measurement


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--core", choices=("native", "pure"), help="measure this core instead of the active one"
    )
    parser.add_argument(
        "--only",
        metavar="NAME",
        nargs="+",
        choices=[job.name for job in JOBS],
        help="measure only these: " + ", ".join(job.name for job in JOBS),
    )


def main(args: argparse.Namespace) -> int:
    """Measure, print, and return the exit status: 1 when something could not be measured."""
    report: dict[str, Any] = {"machine": launch.machine(), "version": "", "core": "", "rows": {}}
    errors: dict[str, str] = {}
    lines = not args.json
    if lines:
        print(launch.machine_line(report["machine"]), flush=True)
    for job in JOBS:
        if args.only and job.name not in args.only:
            continue
        figures = _measure(job, args.core)
        if "error" in figures:
            errors[job.name] = figures["error"]
            continue
        if lines and not report["core"]:
            print(f"horus {figures['version']}, {figures['core']} core\n", flush=True)
            print(f"{'':45} {'median':>10} {'p99':>10}", flush=True)
        report.update(version=figures["version"], core=figures["core"])
        for row in job.rows:
            if row.key in figures["rows"]:
                found = report["rows"][row.key] = {
                    "title": row.title.strip(),
                    "unit": row.unit,
                    **figures["rows"][row.key],
                }
                if lines:
                    median, p99 = (readable(found[k], row.unit) for k in ("median", "p99"))
                    print(f"{row.title:45} {median:>10} {p99:>10}", flush=True)
    if errors:
        report["errors"] = errors
    if args.json:
        print(json.dumps(report, indent=2))
    for name, why in errors.items():
        print(f"horus bench: {name} could not be measured: {why}", file=sys.stderr)
    return 1 if errors else 0


def _measure(job: Job, core: str | None) -> dict[str, Any]:
    with launch.place() as where:
        environment = where.environment()
        if core:
            environment["HORUS_CORE"] = core
        return launch.measure(launch.OWN_COMMAND, job.name, job.seconds * SHARE, where, environment)
