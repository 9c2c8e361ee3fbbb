"""List the device drivers that horus.yaml can name; with a name, all about that one."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from typing import TYPE_CHECKING, Any

from horus.cli import readme, tables

if TYPE_CHECKING:
    from horus.cli.describe import Described

_EXAMPLES = """\
examples:
  horus drivers                              all drivers
  horus drivers mpu6050                      its topics, options and twin
  horus drivers --write drivers/README.md    renew the table in a README
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus drivers`."""
    parser.epilog = _EXAMPLES
    parser.add_argument("name", nargs="?", metavar="NAME", help="tell all about this driver")
    parser.add_argument("--package", metavar="PACKAGE", help="only the drivers of this package")
    parser.add_argument("--json", action="store_true", help="print the drivers as JSON")
    readme.add_options(parser)


def main(args: argparse.Namespace) -> int:
    """Print the drivers; 1 when one cannot be used or a table is out of date, 2 for no such."""
    from horus.cli.describe import described
    from horus.plugins import drivers, troubles

    known = drivers()
    if args.name is not None and args.name not in known:
        from horus.errors import did_you_mean

        near = did_you_mean(args.name, known) or f"; known: {', '.join(known)}"
        print(f"horus drivers: no driver is called {args.name!r}{near}", file=sys.stderr)
        for trouble in troubles():
            print(f"horus drivers: {trouble}", file=sys.stderr)
        return 2
    names = [args.name] if args.name is not None else list(known)
    package = args.package
    if args.name is None and package is None and (args.write or args.check):
        package = "horus"
    found = [described(known[name]) for name in names if _of(known[name].plugin.package, package)]
    if args.json:
        print(json.dumps([_json(one) for one in found], indent=2))
    elif args.write or args.check:
        path = args.write or args.check
        return readme.renew("drivers", _markdown(found), path, write=bool(args.write))
    elif args.format == "md":
        print(_markdown(found), end="")
    elif args.name is not None:
        print(_about(found[0]), end="")
    else:
        rows = [(one.name, one.bus, _device(one), _topics(one)) for one in found]
        print(tables.plain(("USE", "BUS", "DEVICE", "TOPICS"), rows), end="")
    for one in found:
        if one.problem:
            print(f"horus drivers: {one.problem}", file=sys.stderr)
    return 1 if any(one.problem for one in found) else 0


def _of(package: str, wanted: str | None) -> bool:
    return wanted is None or package.rpartition(" ")[0] == wanted


def _device(one: Described) -> str:
    ours = _of(one.package, "horus")
    return one.device if ours else f"{one.device} ({one.package})"


def _topics(one: Described) -> str:
    return ", ".join(f"{topic} {message}" for topic, message, _ in one.topics)


def _markdown(found: list[Described]) -> str:
    rows = [
        (
            f"`{one.name}`",
            one.device,
            one.bus,
            ", ".join(f"`{topic}`: `{message}`" for topic, message, _ in one.topics),
        )
        for one in found
    ]
    return tables.markdown(("`use:`", "device", "bus", "topics"), rows)


def _about(one: Described) -> str:
    """Return all about one driver."""
    from horus.cli import describe

    driver = one.driver
    if driver is None:
        return f"{one.name}: cannot be used\n"
    kind = driver.map_type.bus_kind
    text = f"{one.name}: {one.device}\n\n{inspect.getdoc(driver)}\n\n"
    text += f"driver {driver.__module__}:{driver.__qualname__} of {one.package}, on {one.bus}\n"
    status = ("<name>.status", "DeviceStatus", "from it")
    text += "\ntopics:\n" + tables.plain((), [*one.topics, status], "  ")
    text += "\noptions:\n" + tables.plain(
        ("NAME", "VALUES", "DEFAULT", "MEANING"), describe.option_rows(driver.config_type), "  "
    )
    commands = describe.command_rows(driver)
    if commands:
        text += "\ncommands:\n" + tables.plain((), commands, "  ")
    if driver.twin is None:
        text += "\nIt has no simulated twin: it cannot run with --mock.\n"
    else:
        text += "\nsimulated twin, options under mock:\n" + tables.plain(
            ("NAME", "VALUES", "DEFAULT", "MEANING"),
            describe.option_rows(driver.twin.options_type()),
            "  ",
        )
        stimuli = describe.stimulus_rows(driver)
        if stimuli:
            text += "\nstimuli of the twin:\n" + tables.plain((), stimuli, "  ")
    place = driver.map_type.station_option
    required = "".join(
        f", {name}: ..."
        for name, _, default, _ in describe.option_rows(driver.config_type)
        if default == "must be given" and name != place
    )
    placed = f", {place}: ..." if place else ""
    text += f"\nexample:\n  hardware:\n    {one.name}_1: {{use: {one.name}, bus: my_{kind}"
    return text + f"{placed}{required}}}\n"


def _json(one: Described) -> dict[str, Any]:
    from horus.cli import describe

    about: dict[str, Any] = {"use": one.name, "package": one.package, "problem": one.problem}
    driver = one.driver
    if driver is None:
        return about
    twin = driver.twin
    return {
        **about,
        "device": one.device,
        "bus": driver.map_type.bus_kind,
        "class": f"{driver.__module__}:{driver.__qualname__}",
        "topics": {topic: message for topic, message, _ in one.topics},
        "options": describe.option_json(driver.config_type),
        "commands": dict(describe.command_rows(driver)),
        "mock": describe.option_json(twin.options_type()) if twin else None,
        "stimuli": {name: values for name, values, _ in describe.stimulus_rows(driver)},
    }
