"""Change a parameter of a running node; the node checks it, and takes it between two ticks."""

from __future__ import annotations

import argparse
import json

from horus.cli import live, param_get, params


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus param set`."""
    parser._negative_number_matcher = live.NEGATIVE
    parser.add_argument("param", metavar="NODE.PARAMETER", help="such as drive.gain")
    parser.add_argument("value", metavar="VALUE", help="its new value")
    params.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Set it and print what the node has taken; 1 when it refuses."""
    live.join_any(args)
    node, name = params.split(args.param)
    about = param_get.find(node, name, args.timeout)
    wanted = params.value(args.value, about["type"])
    about["value"] = params.ask(node, "set", (name, wanted), args.timeout)
    print(json.dumps(about) if args.json else f"{args.param} = {params.words(about)}")
    return 0
