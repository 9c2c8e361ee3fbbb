"""Let a robot start with its machine: writes a systemd unit for horus run.

The unit runs horus.yaml's robot as you, with the groups that its buses need and the limits that
rt=True needs. systemd stops it as Ctrl-C does, gives it time to make everything safe, and starts it
again when it has failed. Without --print it is written to /etc/systemd/system, which needs root.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

_EXAMPLES = """\
examples:
  horus service install --print examples/rover            show the unit, write nothing
  sudo .venv/bin/horus service install examples/rover     write it, and say how it is started
  sudo .venv/bin/horus service remove examples/rover
"""
UNITS = Path("/etc/systemd/system")
#: Groups that may use the devices of a kind of bus on Debian, Raspberry Pi OS and Ubuntu.
GROUPS = {"i2c": ("i2c",), "serial": ("dialout",), "can": ()}
#: What systemd gives a run, beyond its own 3 s of grace, until it kills it.
STOP_TIME = 20  # s


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus service`."""
    parser.epilog = _EXAMPLES
    parser.add_argument("action", choices=("install", "remove"), help="what to do")
    parser.add_argument(
        "what", nargs="?", metavar="ROBOT", help="a horus.yaml or its folder (default: this one)"
    )
    parser.add_argument("--print", action="store_true", help="show the unit; write nothing")
    parser.add_argument("--user", metavar="NAME", help="who runs it (default: you, also with sudo)")
    parser.add_argument("--mock", action="store_true", help="on simulated devices")
    parser.add_argument(
        "--units", type=Path, default=UNITS, metavar="FOLDER", help=f"instead of {UNITS}"
    )


def main(args: argparse.Namespace) -> int:
    """Write or remove the unit; 1 when that is not possible, 2 for wrong arguments."""
    from horus.cli.check import find
    from horus.hardware.config import load

    robot = load(find(args.what))
    name = unit_name(robot.name)
    if args.action == "remove":
        return _remove(args.units / name)
    user = args.user or os.environ.get("SUDO_USER") or _own_name()
    problem = _problem_of(user)
    if problem:
        print(f"horus service: {problem}", file=sys.stderr)
        return 2
    kinds = {bus.backend.kind for bus in robot.roots()}
    text = unit(robot.name, robot.path.resolve(), user, kinds, mock=args.mock)
    if args.print:
        print(text, end="")
        return 0
    return _write(args.units / name, text)


def unit_name(robot: str) -> str:
    """Return the name of the unit of a robot."""
    return f"horus-{re.sub(r'[^A-Za-z0-9_-]', '-', robot)}.service"


def unit(robot: str, path: Path, user: str, kinds: set[str], *, mock: bool = False) -> str:
    """Return the unit that runs the robot described by a file, as a user."""
    groups = _existing(sorted({group for kind in kinds for group in GROUPS.get(kind, ())}))
    supplementary = f"SupplementaryGroups={' '.join(groups)}\n" if groups else ""
    command = " ".join(
        map(_quoted, [sys.executable, "-m", "horus", "run", *["--mock"] * mock, str(path)])
    )
    return f"""\
# Made by horus service install; horus service remove takes it away.
[Unit]
Description=HORUS robot {robot}
# A robot does not wait for a network; devices that come later are found when they come.
After=local-fs.target
# At most 5 starts in 2 minutes: what fails at once again and again needs a person.
StartLimitIntervalSec=120
StartLimitBurst=5

[Service]
Type=exec
User={user}
{supplementary}WorkingDirectory={_path(path.parent)}
ExecStart={command}
# As Ctrl-C: everything that moves is made safe, then all processes end.
KillSignal=SIGINT
KillMode=mixed
TimeoutStopSec={STOP_TIME}
Restart=on-failure
RestartSec=2
# For Scheduler(rt=True): SCHED_FIFO and locked memory.
LimitRTPRIO=80
LimitMEMLOCK=infinity
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
"""


def _quoted(text: str) -> str:
    """Return a word of a command as systemd reads it: quotes, and no specifiers or variables."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if re.search(r"[\s;'\"]", text) or not text else text


def _path(path: Path) -> str:
    return str(path).replace("%", "%%")


def _existing(groups: list[str]) -> list[str]:
    """Return those groups that this machine has; a unit with another one would not start."""
    import grp

    return [group for group in groups if group in {entry.gr_name for entry in grp.getgrall()}]


def _own_name() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def _problem_of(user: str) -> str:
    import pwd

    try:
        pwd.getpwnam(user)
    except (KeyError, ValueError):
        from horus.errors import did_you_mean

        return f"no user {user!r}{did_you_mean(user, [entry.pw_name for entry in pwd.getpwall()])}"
    return ""


def _write(path: Path, text: str) -> int:
    if not path.parent.is_dir():
        print(
            f"horus service: {path.parent} is not there: is this machine run by systemd? "
            "--print shows the unit, for another place",
            file=sys.stderr,
        )
        return 1
    draft = path.with_suffix(".new")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.chmod(0o644)
        draft.replace(path)
    except PermissionError:
        print(
            f"horus service: {path.parent} can only be written by root: use sudo with the full "
            f"path of this command (sudo {_command()} service install ...), "
            "or look at it with --print",
            file=sys.stderr,
        )
        return 1
    print(
        f"wrote {path}\n\nnext:\n"
        "  sudo systemctl daemon-reload\n"
        f"  sudo systemctl enable --now {path.stem}     # now, and whenever the machine starts\n"
        f"  journalctl -fu {path.stem}                  # what it prints"
    )
    return 0


def _command() -> str:
    """Return how this command is called by another user, whose PATH does not have it."""
    called = Path(sys.argv[0]).resolve()
    return f"{sys.executable} -m horus" if called.suffix == ".py" else str(called)


def _remove(path: Path) -> int:
    try:
        path.unlink()
    except FileNotFoundError:
        print(f"horus service: there is no {path}", file=sys.stderr)
        return 1
    except PermissionError:
        print(f"horus service: {path} can only be removed by root: use sudo", file=sys.stderr)
        return 1
    print(
        f"removed {path}\n\nnext:\n  sudo systemctl stop {path.stem}; sudo systemctl daemon-reload"
    )
    return 0
