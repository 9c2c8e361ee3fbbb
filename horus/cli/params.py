"""What the actions of `horus param` share: asking nodes for what they have."""

from __future__ import annotations

import argparse
from typing import Any

from horus.cli import live
from horus.cli.live import seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``, ``--timeout`` and ``--session``."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--timeout", type=seconds, default=5.0, metavar="S", help="longest wait (default: 5)"
    )
    live.add_session(parser)


def nodes() -> list[str]:
    """Return the nodes of this session that have parameters, sorted."""
    from horus.node.caller import servers
    from horus.node.params import SUFFIX

    return [name.removesuffix(SUFFIX) for name in servers() if name.endswith(SUFFIX)]


def of(node: str, timeout: float) -> list[dict[str, Any]]:
    """Return the parameters of a node; a `CallError` when it has none or does not answer."""
    found: list[dict[str, Any]] = ask(node, "list", (), timeout)
    return found


def ask(node: str, method: str, arguments: tuple[Any, ...], timeout: float) -> Any:
    """Ask a node, by its own name in what goes wrong."""
    from horus.errors import did_you_mean
    from horus.node.caller import CallAbsentError, Caller, CallRefusedError
    from horus.node.params import SUFFIX

    known = nodes()
    if node not in known:
        listed = f"; nodes with parameters: {', '.join(known) or 'none in this run'}"
        near = did_you_mean(node, known) or listed
        raise CallAbsentError(f"no node {node!r} with parameters{near}")
    try:
        with Caller(node + SUFFIX) as caller:
            return caller.call(method, *arguments, timeout=timeout)
    except CallRefusedError as error:
        text = str(error).removeprefix(f"{node}{SUFFIX}.{method}: ")
        raise CallRefusedError(text) from None


def split(place: str) -> tuple[str, str]:
    """Return the node and the parameter of ``node.parameter``."""
    from horus.node.params import ParamError

    node, dot, name = place.rpartition(".")
    if not dot or not node or not name:
        raise ParamError(f"{place!r} is not NODE.PARAMETER, such as drive.gain")
    return node, name


def value(text: str, kind: str) -> Any:
    """Return what was typed as a value of a parameter's type; the node checks it."""
    return text if kind == "str" else live.value(text)


def words(about: dict[str, Any]) -> str:
    """Return a value with its unit."""
    found = about["value"]
    text = repr(found) if isinstance(found, str) else live.shown(found)
    return f"{text} {about['unit']}".rstrip()
