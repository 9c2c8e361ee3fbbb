"""The `horus` command: finds the subcommand and turns every expected error into one message.

A subcommand is a module with ``configure(parser)``, which adds its arguments, and ``main(args)``,
which returns the exit status. Only the module of the subcommand that is used gets imported.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from horus.cli import early


class Command(NamedTuple):
    """One subcommand."""

    module: str
    summary: str
    example: str


COMMANDS = {
    "run": Command(
        "horus.cli.run", "run node files and hardware together", 'horus run "nodes/*.py"'
    ),
    "clean": Command(
        "horus.cli.clean", "remove what killed runs left in shared memory", "horus clean"
    ),
    "doctor": Command("horus.cli.doctor", "check this machine and installation", "horus doctor"),
    "drivers": Command("horus.cli.drivers", "list the device drivers", "horus drivers"),
    "bench": Command("horus.cli.bench", "measure the message bus on this machine", "horus bench"),
}


class _Parser(argparse.ArgumentParser):
    """An argument parser that answers an unknown option with the nearest it knows."""

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """End with what is wrong."""
        from horus.errors import did_you_mean

        options = [option for option in self._option_string_actions if option.startswith("--")]
        texts = [
            text + (did_you_mean(text.partition("=")[0], options) if text.startswith("-") else "")
            for text in unknown
        ]
        self.error(f"unrecognized arguments: {' '.join(texts)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the `horus` command; return its exit status."""
    _fill_standard_descriptors()
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    try:
        status = _dispatch(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return early.status(arguments)
    except BrokenPipeError:
        # Whoever read this has had enough; keep Python from complaining at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        from horus.errors import ConfigError, HorusError

        if debug or not isinstance(error, (HorusError, OSError)):
            raise
        prefix = "" if isinstance(error, ConfigError) else "horus: "
        print(f"{prefix}{error}", file=sys.stderr)
        return int(getattr(error, "exit_code", 1))


def _fill_standard_descriptors() -> None:
    """Open those that are closed (``>&-``), or the next file to be opened would be printed into."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free: this one


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help(), end="")
        return 0
    name = arguments[0]
    if name in ("-V", "--version", "version"):
        from horus import __version__

        print(f"horus {__version__}")
        return 0
    if name == "--debug":
        arguments = [*arguments[1:], name]
        name = arguments[0]
    command = COMMANDS.get(name)
    if command is None:
        from horus.errors import did_you_mean

        kind = "option" if name.startswith("-") else "command"
        near = did_you_mean(name, COMMANDS)
        print(f"horus: unknown {kind} {name!r}{near}; see horus --help", file=sys.stderr)
        return 2
    module = importlib.import_module(command.module)
    parser = _Parser(
        prog=f"horus {name}",
        description=module.__doc__,
        epilog=f"example:\n  {command.example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.configure(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    try:
        args, unknown = parser.parse_known_intermixed_args(arguments[1:])
        if unknown:
            parser.refuse(unknown)
    except SystemExit as end:  # argparse has said what is wrong
        return int(end.code or 0)
    if name != "run":  # which says itself when it has something to put away
        early.over()
    return int(module.main(args))


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = ["usage: horus COMMAND ...", "", "commands:"]
    lines += [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    lines += ["", "for example:"]
    lines += [f"  {command.example}" for command in COMMANDS.values()]
    lines += ["", "horus COMMAND --help tells more; horus --version, which version this is.", ""]
    return "\n".join(lines)
