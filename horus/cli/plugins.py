"""List the plugins that are installed, what each brings, and what is wrong with it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from horus.cli import tables

if TYPE_CHECKING:
    from horus.plugins import PluginInfo

#: More things of a kind than this are counted rather than named.
_NAMED = 4


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus plugins`."""
    parser.add_argument("--json", action="store_true", help="print the list as JSON")


def main(args: argparse.Namespace) -> int:
    """Print the plugins; 1 when one of them, or something that one offers, cannot be used."""
    from horus import plugins
    from horus.cli.main import plugin_commands

    plugin_commands()  # which finds those that would replace one of our own
    infos = plugins.plugins()
    offered = (plugins.drivers(), plugins.buses(), plugins.commands())
    clashes = [offer.problem for offers in offered for offer in offers.values() if offer.problem]
    if args.json:
        print(
            json.dumps({"plugins": [_json(info) for info in infos], "clashes": clashes}, indent=2)
        )
    else:
        rows = [(info.name, *_package(info), _offers(info)) for info in infos]
        print(tables.plain(("PLUGIN", "PACKAGE", "VERSION", "OFFERS"), rows), end="")
        for info in infos:
            if info.problem:
                print(f"problem: {info}: {info.problem}")
        for clash in clashes:
            print(f"problem: {clash}")
    return 1 if clashes or any(info.problem for info in infos) else 0


def _package(info: PluginInfo) -> tuple[str, str]:
    """Return package and version; of two packages with one name, both in the first."""
    if " and " in info.package:
        return info.package, ""
    package, _, version = info.package.rpartition(" ")
    return package or info.module, version


def _kinds(info: PluginInfo) -> dict[str, list[str]]:
    """Return what a plugin offers: names by the word for their kind."""
    found: dict[str, list[str]] = {"driver": [], "bus": [], "command": []}
    for offer in info.offers:
        word, _, name = offer.partition(" ")
        found[word].append(name)
    return found


def _offers(info: PluginInfo) -> str:
    parts = [_counted(word, names) for word, names in _kinds(info).items() if names]
    others = [h.removeprefix("horus_") for h in _other_hooks(info.hooks)]
    return "; ".join(parts + ([f"hooks {', '.join(others)}"] if others else [])) or "nothing"


def _counted(word: str, names: list[str]) -> str:
    plural = word if len(names) == 1 else {"bus": "buses"}.get(word, f"{word}s")
    return f"{plural} {', '.join(names)}" if len(names) <= _NAMED else f"{len(names)} {plural}"


def _other_hooks(hooks: Iterable[str]) -> list[str]:
    return [
        hook for hook in hooks if hook not in ("horus_drivers", "horus_buses", "horus_commands")
    ]


def _json(info: PluginInfo) -> dict[str, Any]:
    package, version = _package(info)
    kinds = _kinds(info)
    return {
        "name": info.name,
        "package": package,
        "version": version,
        "module": info.module,
        "drivers": kinds["driver"],
        "buses": kinds["bus"],
        "commands": kinds["command"],
        "hooks": info.hooks,
        "problem": info.problem,
    }
