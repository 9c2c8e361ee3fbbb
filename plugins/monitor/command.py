"""Watch a running robot: nodes, topics, devices, log and plots, with what fails first.

In the terminal, Space stops everything that moves, and q leaves the robot running.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

from horus_plugins.monitor.errors import MonitorError, need_textual

from horus.cli import live

_EXAMPLES = """\
examples:
  horus monitor                    in this terminal
  horus monitor --json             one look, for programs; 1 when something fails
"""
#: How long (s) one look measures.
LOOK = 2.5


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus monitor`."""
    parser.epilog = _EXAMPLES
    parser.add_argument("--json", action="store_true", help="print one look as JSON, and end")
    live.add_session(parser)


def main(args: argparse.Namespace) -> int:
    """Show it until the person leaves; 2 when nothing runs."""
    session_id = live.join_any(args)
    if args.json:
        return _once(session_id)
    need_textual()
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") == "dumb":
        raise MonitorError("this is no terminal: use horus monitor --json")
    from horus_plugins.monitor.app import Monitor
    from horus_plugins.monitor.model import Model

    model = Model(session_id)
    try:
        Monitor(model).run()
    finally:
        model.close()
    return 0


def _once(session_id: str) -> int:
    from horus_plugins.monitor.model import Model

    model = Model(session_id)
    try:
        end = time.monotonic() + LOOK
        while time.monotonic() < end:
            model.sample()
            time.sleep(0.25)
        snapshot = model.sample()
    finally:
        model.close()
    print(json.dumps(snapshot.as_json()))
    return 1 if snapshot.failing or snapshot.ended else 0
