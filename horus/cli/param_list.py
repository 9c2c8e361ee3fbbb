"""List the parameters of all running nodes, or of one: value, unit, range and meaning."""

from __future__ import annotations

import argparse
import json

from horus.cli import live, looking, params, tables

HEAD = ("PARAMETER", "VALUE", "DEFAULT", "RANGE", "MEANING")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus param list`."""
    parser.add_argument("node", nargs="?", metavar="NODE", help="only this node")
    params.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Print them; 1 when there are none."""
    live.join_any(args)
    found = [
        {"node": node, **about}
        for node in ([args.node] if args.node else params.nodes())
        for about in params.of(node, args.timeout)
    ]
    if args.json:
        print(json.dumps(found))
    elif found:
        rows = [
            (
                f"{p['node']}.{p['name']}",
                params.words(p),
                live.shown(p["default"]),
                p["range"],
                p["doc"],
            )
            for p in found
        ]
        print(tables.plain(HEAD, rows), end="")
    else:
        looking.note("no node of this run has parameters: Node(params={...}) declares them")
    return 0 if found else 1
