"""End a run in order, as Ctrl-C in its terminal does: everything that moves is made safe first.

Waits until the run has ended. The exit status is 0 when it has, 1 when it goes on after --timeout,
2 when it is not clear which run is meant. Nothing is killed: horus run itself ends processes that
do not answer.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time

from horus.cli import live

_EXAMPLES = """\
examples:
  horus stop                        the only run that is going on
  horus stop --session 771-b29-960
  horus stop --all
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus stop`."""
    from horus.cli.live import seconds

    parser.epilog = _EXAMPLES
    which = parser.add_mutually_exclusive_group()
    live.add_session(which)
    which.add_argument("--all", action="store_true", help="every run of this user")
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=30.0,
        metavar="S",
        help="how long to wait for the end (default: 30)",
    )


def main(args: argparse.Namespace) -> int:
    """Ask the runs to end and wait; see the exit status above."""
    from horus.bus.session import is_alive, process_start_time, session_dir
    from horus.runtime.sessions import STOP_FILE, chosen, one_of

    runs = chosen(args.session)
    if not args.all:
        runs = [one_of(runs)]
    waiting = [(run, process_start_time(run.pid) or 0) for run in runs]
    refused = False
    for run, start in list(waiting):
        with contextlib.suppress(OSError):  # it is another's, or the disk is full: then unsaid
            (session_dir(run.id) / STOP_FILE).touch()
        try:
            os.kill(run.pid, signal.SIGINT)
        except ProcessLookupError:
            pass  # it has ended meanwhile
        except PermissionError:
            print(
                f"horus stop: session {run.id} is another user's (process {run.pid}): "
                "stop it as that user",
                file=sys.stderr,
            )
            waiting.remove((run, start))
            refused = True
    deadline = time.monotonic() + args.timeout
    while waiting and time.monotonic() < deadline:
        for run, start in list(waiting):
            if not is_alive(run.pid, start):
                print(f"stopped session {run.id}", flush=True)
                waiting.remove((run, start))
        if waiting:
            time.sleep(0.02)
    for run, _ in waiting:
        print(
            f"horus stop: session {run.id} (process {run.pid}) was asked to end and has not within "
            f"{args.timeout:g} s: see what it prints; horus estop --session {run.id} stops what "
            "moves",
            file=sys.stderr,
        )
    return 1 if waiting or refused else 0
