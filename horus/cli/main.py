"""The `horus` command: finds the subcommand and turns every expected error into one message.

A subcommand is a module with ``configure(parser)``, which adds its arguments, and ``main(args)``,
which returns the exit status. For one with ``TAKES_REST`` what follows ``--`` is ``args.rest``,
for one with ``FIRST_ALONE`` all that follows its first argument.
Only the module of the subcommand that is used gets imported.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from horus import early

if TYPE_CHECKING:
    from horus.plugins import CommandEntry


class Command(NamedTuple):
    """One subcommand."""

    module: str
    summary: str
    example: str


COMMANDS = {
    "run": Command(
        "horus.cli.run", "run node files and hardware together", 'horus run "nodes/*.py"'
    ),
    "ps": Command(
        "horus.cli.ps", "list the runs that are going on, with their processes", "horus ps"
    ),
    "stop": Command("horus.cli.stop", "end a run in order, as Ctrl-C does", "horus stop"),
    "monitor": Command(
        "horus_plugins.monitor.command",
        "watch a running robot: what fails, rates, log, plots",
        "horus monitor",
    ),
    "devices": Command("horus.cli.devices", "show the devices of a running robot", "horus devices"),
    "mock": Command(
        "horus.cli.mock",
        "steer the simulated devices of a running robot",
        "horus mock set imu.rotation 0 0 1",
    ),
    "topic": Command(
        "horus.cli.topic",
        "look at the topics of a running robot, and send on them",
        "horus topic list",
    ),
    "node": Command(
        "horus.cli.node",
        "look at the nodes of a running robot, stop and restart them",
        "horus node info drive",
    ),
    "log": Command("horus.cli.log", "show what a running robot has printed", "horus log -f"),
    "param": Command(
        "horus.cli.param", "show and change the parameters of running nodes", "horus param list"
    ),
    "call": Command("horus.cli.call", "let a device do what it can", "horus call arm scan"),
    "estop": Command(
        "horus.cli.estop", "stop everything that moves on a running robot", "horus estop"
    ),
    "record": Command(
        "horus_plugins.recording.record_command",
        "record what a robot's topics carry, as MCAP",
        "horus record -o run.mcap",
    ),
    "replay": Command(
        "horus_plugins.recording.replay_command", "send a recording again", "horus replay run.mcap"
    ),
    "bag": Command(
        "horus_plugins.recording.bag_command",
        "look into recordings, cut and export them",
        "horus bag info run.mcap",
    ),
    "clean": Command(
        "horus.cli.clean", "remove what killed runs left in shared memory", "horus clean"
    ),
    "check": Command(
        "horus.cli.check", "check a robot's horus.yaml; open nothing", "horus check examples/rover"
    ),
    "doctor": Command("horus.cli.doctor", "check this machine and installation", "horus doctor"),
    "scan": Command("horus.cli.scan", "list what is plugged in, for horus.yaml", "horus scan"),
    "drivers": Command("horus.cli.drivers", "list the device drivers", "horus drivers mpu6050"),
    "buses": Command("horus.cli.buses", "list the kinds of bus", "horus buses socketcan"),
    "hil": Command(
        "horus.cli.hil", "check devices on a rig, with reports", "horus hil report results"
    ),
    "new": Command("horus.cli.new", "begin a robot, or a driver of your own", "horus new my_robot"),
    "service": Command(
        "horus.cli.service",
        "let a robot start with its machine",
        "horus service install --print examples/rover",
    ),
    "plugins": Command("horus.cli.plugins", "list the plugins", "horus plugins"),
    "completion": Command(
        "horus.cli.completion",
        "let a shell complete commands and live names",
        'eval "$(horus completion bash)"',
    ),
    "bench": Command("horus.cli.bench", "measure the message bus on this machine", "horus bench"),
}


#: Words that are answered by `horus` itself.
_OWN = frozenset({"help", "version"})
_NAME = re.compile(r"[a-z][a-z0-9_-]*")


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
        text = str(error) if isinstance(error, HorusError) else _explained(error)
        print(f"{prefix}{text}", file=sys.stderr)
        return int(getattr(error, "exit_code", 1))


def _explained(error: OSError) -> str:
    """Return what the system says of a file, with what can be done; not the number of the error."""
    if error.filename is None or not error.strerror:
        return str(error)
    cures = {
        errno.EACCES: "this user may not: see ls -ld, or name another place",
        errno.EROFS: "name a place that can be written",
        errno.ENOSPC: "make room there (see df -h), or name another place",
    }
    cure = cures.get(error.errno or 0)
    return f"{error.filename}: {error.strerror}" + (f": {cure}" if cure else "")


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
    if command is not None:
        module = importlib.import_module(command.module)
        if hasattr(module, "ACTIONS"):
            return _run_action(name, arguments[1:], module)
        return _run(name, arguments[1:], module, command.example)
    offered = {} if name.startswith("-") else plugin_commands()
    if name in offered:
        return _run_plugins(offered[name], arguments[1:])
    from horus.errors import did_you_mean

    kind = "option" if name.startswith("-") else "command"
    near = did_you_mean(name, [*COMMANDS, *offered])
    print(f"horus: unknown {kind} {name!r}{near}; see horus --help", file=sys.stderr)
    return 2


def _run(name: str, arguments: list[str], command: Any, example: str) -> int:
    """Run a subcommand: a module, or what else has ``configure`` and ``main``."""
    parser = _Parser(
        prog=f"horus {name}",
        description=_doc(command),
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.configure(parser)
    rest: list[str] = []
    if getattr(command, "FIRST_ALONE", False) and not {"-h", "--help"} & set(arguments[:1]):
        arguments, rest = arguments[:1], [word for word in arguments[1:] if word != "--debug"]
    elif getattr(command, "TAKES_REST", False) and "--" in arguments:
        cut = arguments.index("--")
        arguments, rest = arguments[:cut], arguments[cut + 1 :]
    parser.set_defaults(rest=rest)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    try:
        args, unknown = parser.parse_known_intermixed_args(arguments)
        if unknown:
            parser.refuse(unknown)
    except SystemExit as end:  # argparse has said what is wrong
        return int(end.code or 0)
    if name != "run":  # which says itself when it has something to put away
        early.over()
    return int(command.main(args) or 0)


def _run_action(name: str, arguments: list[str], group: Any) -> int:
    """Run one of a command's actions, such as `horus topic echo`: a module of its own each."""
    actions: Mapping[str, Command] = group.ACTIONS
    words = [word for word in arguments if word != "--debug"]
    if not words or words[0] in ("-h", "--help", "help"):
        width = max(map(len, actions))
        lines = [f"usage: horus {name} ACTION ...", "", _doc(group), "", "actions:"]
        lines += [f"  {action:<{width}}  {about.summary}" for action, about in actions.items()]
        lines += ["", "for example:", *(f"  {about.example}" for about in actions.values())]
        print("\n".join(lines))
        return 0 if words else 2
    about = actions.get(words[0])
    if about is None:
        from horus.errors import did_you_mean

        near = did_you_mean(words[0], actions) or f"; it has {', '.join(actions)}"
        print(f"horus {name}: unknown action {words[0]!r}{near}", file=sys.stderr)
        return 2
    arguments.remove(words[0])
    module = importlib.import_module(about.module)
    return _run(f"{name} {words[0]}", arguments, module, about.example)


def _doc(command: Any) -> str:
    """Return what a command says of itself; that of a plugin may be an object of any kind."""
    if isinstance(command, type(sys)):
        return (command.__doc__ or "").strip()
    import inspect

    return inspect.getdoc(command) or ""


def _run_plugins(entry: CommandEntry, arguments: list[str]) -> int:
    """Run a plugin's subcommand; what it did not expect is told as its error, not as ours."""
    from horus.errors import HorusError
    from horus.plugins import PluginError

    command = entry.load()
    try:
        return _run(entry.name, arguments, command, f"horus {entry.name}")
    except (HorusError, OSError):
        raise
    except Exception as error:
        text = f"{entry} failed: {type(error).__name__}: {error}; --debug shows where"
        raise PluginError(text) from error


def plugin_commands() -> Mapping[str, CommandEntry]:
    """Return the subcommands of plugins; one that cannot be typed is a problem of its plugin."""
    try:
        from horus import plugins
    except ImportError:  # a package that HORUS needs is not there: horus doctor names it
        return {}
    found = {}
    for name, entry in plugins.commands().items():
        if name in COMMANDS or name in _OWN:
            entry.plugin.failed(f"command {name} is one of HORUS itself and cannot be replaced")
        elif not _NAME.fullmatch(name):
            entry.plugin.failed(f"command {name!r} cannot be typed: use a-z, 0-9, - and _")
        else:
            found[name] = entry
    return found


def _help() -> str:
    offered = plugin_commands()
    width = max(map(len, [*COMMANDS, *offered]))
    lines = ["usage: horus COMMAND ...", "", "commands:"]
    lines += [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    if offered:
        lines += ["", "commands of plugins:"]
        lines += [f"  {name:<{width}}  {entry.plugin}" for name, entry in offered.items()]
    lines += ["", "for example:"]
    lines += [f"  {command.example}" for command in COMMANDS.values()]
    lines += ["", "horus COMMAND --help tells more; horus --version, which version this is.", ""]
    return "\n".join(lines)
