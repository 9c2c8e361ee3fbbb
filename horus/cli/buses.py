"""List the kinds of bus that horus.yaml can name; with a name, all about that one."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from typing import TYPE_CHECKING, Any

from horus.cli import readme, tables

if TYPE_CHECKING:
    from horus.plugins import BackendEntry

_EXAMPLES = """\
examples:
  horus buses                              all kinds of bus
  horus buses socketcan                    its options
  horus buses --write drivers/README.md    renew the table in a README
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus buses`."""
    parser.epilog = _EXAMPLES
    parser.add_argument("name", nargs="?", metavar="NAME", help="tell all about this kind of bus")
    parser.add_argument("--json", action="store_true", help="print the kinds of bus as JSON")
    readme.add_options(parser)


def main(args: argparse.Namespace) -> int:
    """Print the kinds of bus; 1 when one cannot be used or a table is out of date, 2 for none."""
    from horus.plugins import buses

    known = buses()
    if args.name is not None and args.name not in known:
        from horus.errors import did_you_mean

        near = did_you_mean(args.name, known) or f"; known: {', '.join(known)}"
        print(f"horus buses: no kind of bus is called {args.name!r}{near}", file=sys.stderr)
        return 2
    ours_only = bool(args.write or args.check)
    entries = [
        entry
        for name, entry in known.items()
        if name == (args.name or name)
        and (not ours_only or entry.plugin.package.startswith("horus "))
    ]
    found = [_describe(entry) for entry in entries]
    if args.json:
        print(json.dumps(found, indent=2))
    elif ours_only:
        path = args.write or args.check
        return readme.renew("buses", _markdown(found), path, write=bool(args.write))
    elif args.format == "md":
        print(_markdown(found), end="")
    elif args.name is not None and not found[0]["problem"]:
        print(_about(found[0], entries[0]), end="")
    else:
        rows = [(one["use"], one["bus"], one["what"], ", ".join(one["options"])) for one in found]
        print(tables.plain(("USE", "BUS", "WHAT", "OPTIONS"), rows), end="")
    problems = [one["problem"] for one in found if one["problem"]]
    for problem in problems:
        print(f"horus buses: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _describe(entry: BackendEntry) -> dict[str, Any]:
    """Return what is known about a kind of bus; it is imported."""
    from horus.cli import describe
    from horus.plugins import PluginError

    about: dict[str, Any] = {"use": entry.name, "package": entry.plugin.package, "bus": ""}
    try:
        backend: Any = entry.load()
    except PluginError as error:
        return {**about, "what": "cannot be used", "options": {}, "problem": str(error)}
    return {
        **about,
        "bus": describe.BUS_WORDS.get(backend.kind, backend.kind),
        "what": describe.first_sentence(inspect.getdoc(sys.modules[backend.__module__])),
        "options": describe.option_json(backend.config_type),
        "problem": "",
    }


def _markdown(found: list[dict[str, Any]]) -> str:
    rows = [
        (
            f"`{one['use']}`",
            one["what"],
            one["bus"],
            ", ".join(
                f"**`{n}`**" if o["required"] else f"`{n}`" for n, o in one["options"].items()
            ),
        )
        for one in found
    ]
    return tables.markdown(("`use:`", "what", "bus", "options (**required**)"), rows)


def _about(one: dict[str, Any], entry: BackendEntry) -> str:
    from horus.cli import describe

    text = f"{one['use']}: {one['what']}\n\nbus {entry.target} of {one['package']}: {one['bus']}\n"
    rows = describe.option_rows(entry.load().config_type)
    text += "\noptions:\n" + tables.plain(("NAME", "VALUES", "DEFAULT", "MEANING"), rows, "  ")
    needed = "".join(
        f", {name}: ..." for name, about in one["options"].items() if about["required"]
    )
    return text + f"\nexample:\n  buses:\n    my_{one['use']}: {{use: {one['use']}{needed}}}\n"
