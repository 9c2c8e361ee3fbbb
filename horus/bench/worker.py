"""One measurement in one process: what both ``horus bench`` and the comparison start."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

from . import rows
from .measure import Adapter, NotOffered, Result


def arguments() -> argparse.ArgumentParser:
    """Return the parser of a worker's command line."""
    parser = argparse.ArgumentParser(description="Measure one thing; print the figures as JSON.")
    parser.add_argument("job", choices=[job.name for job in rows.JOBS])
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--token", required=True, help="unique word for names in shared memory")
    parser.add_argument("--folder", required=True, help="folder for sockets and the like")
    parser.add_argument("--sender", action="store_true", help="be the second process")
    return parser


def run(adapter_class: type[Adapter], options: argparse.Namespace, about: Result) -> int:
    """Measure the job with this adapter and print ``about`` with the figures as one JSON line.

    Whatever the project itself prints goes to standard error.
    """
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = rows.job(options.job)
    adapter = adapter_class(options.token, options.folder)
    if options.sender:
        assert job.send is not None
        job.send(adapter)
        adapter.close()
        return 0
    with output:
        try:
            figures = {"rows": job.measure(adapter, options.seconds)}
        except NotOffered:
            figures = {"rows": {}}
        print(json.dumps({**about, **figures}), file=output)
    adapter.close()
    return 0


def main(adapter_class: type[Adapter], about: Result, argv: Sequence[str] | None = None) -> int:
    """Run as a command of its own."""
    return run(adapter_class, arguments().parse_args(argv or sys.argv[1:]), about)
