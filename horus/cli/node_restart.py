"""Stop one process of a running robot as horus node stop does, and start it again.

It starts as it did at first: after those that horus.yaml says it comes after, and no failure is
counted. One that was stopped, or has ended by itself, is started.

Exit status: 0 when it runs again; 1 when it does not, or there is no such name; 2 without a run, or
where --with-others is needed.
"""

from __future__ import annotations

import argparse

from horus.cli import node_stop

configure = node_stop.configure


def main(args: argparse.Namespace) -> int:
    """Restart it; see the exit status above."""
    return node_stop.order(args, "restart")
