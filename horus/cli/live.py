"""What the commands share that take part in a running robot."""

from __future__ import annotations

import argparse
import json
import math
import re
from typing import Any

#: What begins like an option but is a number.
NEGATIVE = re.compile(r"-(\.?\d\S*|inf|infinity|nan)", re.IGNORECASE)
#: What stands for the topics of scripts that no `horus run` has started.
PLAIN = "plain"


def colours() -> bool:
    """Return whether what is printed may have colours: on a terminal that has some, if wanted."""
    import os

    on_terminal = os.isatty(1) and os.environ.get("TERM") != "dumb"
    return on_terminal and not os.environ.get("NO_COLOR")


def seconds(text: str) -> float:
    """Return an option's number of seconds; it must be finite and above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def hertz(text: str) -> float:
    """Return an option's rate in Hz; it must be finite and above 0."""
    try:
        return seconds(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a rate in Hz above 0") from None


def count(text: str) -> int:
    """Return an option's number of things; it must be 1 or more."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number


def add_session(parser: argparse._ActionsContainer) -> None:
    """Add ``--session``: which of several runs is meant."""
    parser.add_argument(
        "--session", metavar="ID", help="which run, when several are going on (see horus ps)"
    )


def join(args: argparse.Namespace) -> str:
    """Make this process part of the run that is meant; return its id. None is exit status 2."""
    from horus.runtime.sessions import join

    return join(args.session).id


def join_any(args: argparse.Namespace) -> str:
    """As `join`, but where no run is going on, the topics of plain scripts will do: then ""."""
    import os

    from horus.bus import session
    from horus.bus.observer import topic_names
    from horus.runtime.sessions import NoSuchRun, join, running_sessions

    plain = session.root() / "topics"
    if args.session == PLAIN:
        os.environ.pop("HORUS_SESSION_ID", None)
        return ""
    try:
        return join(args.session).id
    except NoSuchRun:
        chosen = args.session or os.environ.get("HORUS_SESSION_ID")
        if chosen or running_sessions() or not topic_names(plain):
            raise
    return ""


def ended() -> bool:
    """Return whether the run that this process has joined is over; plain scripts have none."""
    import os

    from horus.runtime.sessions import running_sessions

    joined = os.environ.get("HORUS_SESSION_ID")
    return bool(joined) and joined not in {run.id for run in running_sessions()}


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
