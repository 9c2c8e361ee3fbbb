"""What the commands share that take part in a running robot."""

from __future__ import annotations

import argparse
import json
from typing import Any


def add_session(parser: argparse._ActionsContainer) -> None:
    """Add ``--session``: which of several runs is meant."""
    parser.add_argument(
        "--session", metavar="ID", help="which run, when several are going on (see horus run)"
    )


def join(args: argparse.Namespace) -> str:
    """Make this process part of the run that is meant; return its id. None is exit status 2."""
    from horus.runtime.sessions import join

    return join(args.session).id


def value(text: str) -> Any:
    """Return what a person typed as a value: a number, true or false, a list, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return int(text, 0)  # 0x68
    except ValueError:
        pass
    try:
        if any(map(str.isdigit, text)):  # else a word such as nan or infinity
            return float(text)  # .5
    except ValueError:
        pass
    return {"on": True, "off": False, "yes": True, "no": False}.get(text, text)


def shown(found: object) -> str:
    """Return a value as people read it: ``0 0 1``, ``true``, ``3.14``."""
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, float):
        return f"{found:.6g}"
    if isinstance(found, (list, tuple)):
        return " ".join(map(shown, found))
    if isinstance(found, dict):
        return "  ".join(f"{key}={shown(item)}" for key, item in found.items())
    return str(found)
