"""Watch a running robot: nodes, topics, devices, log and plots, with what fails first.

In the terminal, Space stops everything that moves, and q leaves the robot running. With --web the
same is shown in a browser on this machine, at an address that only who sees this terminal knows; it
is read-only unless --allow-control gives it an emergency stop.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import time

from horus_plugins.monitor.errors import MonitorError, need_textual

from horus.cli import live

_EXAMPLES = """\
examples:
  horus monitor                          in this terminal
  horus monitor --web                    in a browser on this machine
  horus monitor --web --port 9000 --allow-control
  horus monitor --json                   one look, for programs; 1 when something fails
"""
#: How long (s) one look measures.
LOOK = 2.5


def port(text: str) -> int:
    """Return the number of a port; 0 stands for any that is free."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 1 to 65535, 0 for any that is free")
    return int(text)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus monitor`."""
    parser.epilog = _EXAMPLES
    parser.add_argument("--web", action="store_true", help="in a browser on this machine")
    parser.add_argument("--port", type=port, metavar="N", help="web: default 8420, 0: any")
    parser.add_argument(
        "--allow-control", action="store_true", help="web: with an emergency stop, and its release"
    )
    parser.add_argument("--json", action="store_true", help="print one look as JSON, and end")
    live.add_session(parser)


def main(args: argparse.Namespace) -> int:
    """Show it until the person leaves; 2 when nothing runs."""
    if not args.web and (args.port is not None or args.allow_control):
        option = "--allow-control" if args.allow_control else "--port"
        raise MonitorError(f"{option} is for the browser: horus monitor --web {option}")
    if args.web and args.json:
        raise MonitorError("choose one of --web and --json")
    session_id = live.join_any(args)
    if args.json:
        return _once(session_id)
    if args.web:
        return _serve(session_id, args)
    need_textual()
    ends = (sys.stdin, sys.stdout, sys.stderr)  # it draws on the last
    if not all(end.isatty() for end in ends) or os.environ.get("TERM") == "dumb":
        raise MonitorError("this is no terminal: use horus monitor --web or --json")
    from horus_plugins.monitor.app import Monitor
    from horus_plugins.monitor.model import Model

    model = Model(session_id)
    _give_way()
    try:
        Monitor(model).run()
    finally:
        model.close()
    return 0


def _give_way() -> None:
    """Let the robot's processes have the processor first where there is not enough of it."""
    with contextlib.suppress(OSError):
        os.nice(5)


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


def _serve(session_id: str, args: argparse.Namespace) -> int:
    from horus_plugins.monitor.server import PORT, Server

    chosen = PORT if args.port is None else args.port
    server = Server(session_id, chosen, control=args.allow_control)
    _give_way()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    may = "shows the robot and can stop it" if args.allow_control else "only shows the robot"
    try:
        print(f"open {server.url}\nit {may}; Ctrl-C ends it, the robot goes on", flush=True)
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()
    return 0
