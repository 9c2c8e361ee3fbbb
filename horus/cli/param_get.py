"""Print the value of a parameter of a running node."""

from __future__ import annotations

import argparse
import json
from typing import Any

from horus.cli import live, params


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus param get`."""
    parser.add_argument("param", metavar="NODE.PARAMETER", help="such as drive.gain")
    params.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Print it; 1 when there is no such parameter."""
    live.join_any(args)
    about = find(*params.split(args.param), args.timeout)
    print(json.dumps(about) if args.json else params.words(about))
    return 0


def find(node: str, name: str, timeout: float) -> dict[str, Any]:
    """Return what is known of a parameter; a `ParamError` if the node has none of this name."""
    from horus.errors import did_you_mean
    from horus.node.params import ParamError

    found = {about["name"]: about for about in params.of(node, timeout)}
    if name not in found:
        near = did_you_mean(name, found) or f"; it has {', '.join(found)}"
        raise ParamError(f"{node} has no parameter {name!r}{near}")
    return found[name]
