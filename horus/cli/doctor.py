"""Check what HORUS needs on this machine, and say what to do where something lacks."""

from __future__ import annotations

import argparse
import grp
import importlib
import importlib.metadata
import json
import os
import platform
import pwd
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from horus.hookspecs import Found

_NEEDED = ("msgpack", "numpy", "pluggy", "posix_ipc", "pyyaml")
#: Package and what it is for.
_OPTIONAL = {
    "canopen": "CANopen drives (cia402)",
    "pymodbus": "Modbus devices",
    "pynmeagps": "GNSS receivers",
    "pyserial": "serial devices",
    "python-can": "CAN buses",
    "pyubx2": "u-blox GNSS receivers",
    "smbus2": "I2C buses",
}
#: A line of the package's metadata that belongs to the extra ``drivers``.
_REQUIREMENT = re.compile(r"""(?P<name>[\w.-]+).*;.*extra == ['"]drivers['"]""")
#: Less free shared memory (bytes) than this fills up with a few camera topics.
_LOW_SPACE = 64 << 20

_ROOT = Path("/")


class Finding(NamedTuple):
    """What one check found: ``ok``, ``--`` (lacks, but can be done without) or ``FAIL``."""

    mark: str
    subject: str
    text: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus doctor`."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def main(args: argparse.Namespace) -> int:
    """Print all findings; 1 when something that is needed lacks."""
    failed = False
    found = []
    for finding in findings():
        failed = failed or finding.mark == "FAIL"
        found.append(finding._asdict())
        if not args.json:
            print(f"{finding.mark:<4}  {finding.subject:<14}  {finding.text}")
    if args.json:
        print(json.dumps(found, indent=2))
    return 1 if failed else 0


def findings() -> Iterator[Finding]:
    """Yield the result of every check."""
    from horus import __version__

    yield Finding("ok", "horus", __version__)
    yield Finding("ok", "python", f"{platform.python_version()} ({sys.executable})")
    yield Finding("ok", "system", f"{platform.system()} {platform.release()} {platform.machine()}")
    yield _core()
    yield _shared_memory()
    for name in _NEEDED:
        yield _package(name, "FAIL", "needed")
    for name, purpose in _optional().items():
        yield _package(name, "--", f"for {purpose}")
    rustc = shutil.which("rustc")
    absent = "not found; only needed to run .rs nodes: https://rustup.rs"
    yield Finding("ok" if rustc else "--", "rustc", rustc or absent)
    yield _leftovers()
    yield from _plugins()
    yield _user()
    yield from _real_time()
    yield from _buses()
    yield from _robot()


def _core() -> Finding:
    try:
        from horus.bus import CORE_NAME
    except ImportError as error:
        _load_any_core()
        return Finding("FAIL", "message core", str(error))
    if CORE_NAME == "native":
        return Finding("ok", "message core", "native")
    if os.environ.get("HORUS_CORE") == CORE_NAME:
        return Finding("ok", "message core", f"{CORE_NAME}, as HORUS_CORE says")
    text = f"{CORE_NAME}: slower; with a C compiler installed, reinstall horus for the native one"
    return Finding("--", "message core", text)


def _load_any_core() -> None:
    """Load the core that works, whatever HORUS_CORE says, so that the other checks can go on."""
    wanted = os.environ.pop("HORUS_CORE", None)
    try:
        importlib.import_module("horus.bus")
    finally:
        if wanted is not None:
            os.environ["HORUS_CORE"] = wanted


def _shared_memory() -> Finding:
    from horus.bus import session
    from horus.errors import SharedMemoryError

    root = session.root()
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        explained = error if isinstance(error, SharedMemoryError) else session.explain(error, there)
        return Finding("FAIL", "shared memory", str(explained.strerror or explained))
    text = f"{root}: {free >> 20} MiB free"
    if free < _LOW_SPACE:
        return Finding("FAIL", "shared memory", f"{text}, which is little: run horus clean")
    return Finding("ok", "shared memory", text)


def _package(name: str, mark: str, purpose: str) -> Finding:
    try:
        return Finding("ok", name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(mark, name, f"not installed, {purpose}: pip install {name}")


def _buses() -> Iterator[Finding]:
    """Yield the buses that are plugged in, and which of them this user cannot use now."""
    from horus.hardware import plugged

    i2c, can, serial = (list(kind(_ROOT)) for kind in (plugged.i2c, plugged.can, plugged.serial))
    devices = [_with(str(bus.options["device"]), bus.about) for bus in i2c]
    text = "none found: devices on i2c can only be simulated here; "
    cure = "if there is one, enable it: sudo modprobe i2c-dev, on a Raspberry Pi raspi-config"
    yield _list("I2C adapters", devices, text + cure)
    text = "none found: devices on socketcan can only be simulated here; "
    interfaces = [_with(bus.name, _interface(bus)) for bus in can]
    yield _list("CAN interfaces", interfaces, text + "if there is one, load its driver")
    ports = [_with(str(bus.options["device"]), bus.about.partition(": ")[2]) for bus in serial]
    text = "none found: serial devices can only be simulated here; plug the adapter in"
    yield _list("serial ports", ports, text)
    for bus in (*i2c, *can, *serial):
        if bus.problem:
            yield Finding("--", bus.name, bus.problem)


def _list(subject: str, found: list[str], none: str) -> Finding:
    return Finding("ok" if found else "--", subject, ", ".join(found) or none)


def _with(name: str, about: str) -> str:
    return f"{name} ({about})" if about else name


def _interface(bus: Found) -> str:
    """Return whether a CAN interface is up, and its bit rate where the kernel tells it."""
    from horus.hardware import plugged

    if bus.problem:
        return "down"
    bitrate = plugged.can_bitrate(bus.name)
    return f"up, {bitrate / 1000:g} kbit/s" if bitrate else "up"


def _user() -> Finding:
    groups = []
    for group in sorted({os.getegid(), *os.getgroups()}):
        try:
            groups.append(grp.getgrgid(group).gr_name)
        except KeyError:
            groups.append(str(group))
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        name = str(os.geteuid())
    return Finding("ok", "user", f"{name}, in the groups {', '.join(groups)}")


def _real_time() -> Iterator[Finding]:
    """Yield what `horus run --rt` may have."""
    from horus.scheduler.permits import permits, throttled

    found = permits()
    text = found.no_fifo or f"SCHED_FIFO up to {found.priority}"
    if not throttled():
        text += "; the kernel's throttle is off: a tick that never ends takes its core for good"
    yield Finding("--" if found.no_fifo else "ok", "real time", text)
    text = found.no_lock or "may be locked without limit"
    yield Finding("--" if found.no_lock else "ok", "memory", text)


def _optional() -> dict[str, str]:
    """Return the packages of the extra ``drivers``, with what each is for."""
    try:
        lines = importlib.metadata.requires("horus") or []
    except importlib.metadata.PackageNotFoundError:
        return _OPTIONAL
    found = dict(_OPTIONAL)
    for line in lines:
        match = _REQUIREMENT.match(line)
        if match:
            found.setdefault(match["name"], "some drivers")
    return dict(sorted(found.items()))


def _leftovers() -> Finding:
    from horus.bus import leftovers, session
    from horus.runtime.sessions import NoSuchRun, running_sessions

    folder = session.sessions_dir()
    try:
        alive = {run.id for run in running_sessions()}
        left = [
            path.name
            for path in (sorted(folder.iterdir()) if folder.is_dir() else ())
            if path.name not in alive and not leftovers.topics_in_use(path / "topics")
        ]
    except (NoSuchRun, OSError) as error:  # another user's; how to go on is said above
        return Finding("--", "leftovers", str(error))
    if left:
        text = f"{len(left)} of runs that were killed ({', '.join(left[:3])}...): run horus clean"
        return Finding("--", "leftovers", text.replace("...", "" if len(left) <= 3 else ", ..."))
    return Finding("ok", "leftovers", "none")


def _plugins() -> Iterator[Finding]:
    try:
        from horus import plugins
    except ImportError:
        return  # a package that is needed lacks, which is said above
    infos = plugins.plugins()
    for info in infos:
        if info.problem:
            about = str(info).removeprefix("plugin ")
            yield Finding("--", "plugin", f"{about}: {info.problem}")
    if not any(info.problem for info in infos):
        yield Finding("ok", "plugins", ", ".join(info.name for info in infos) or "none")


def _robot() -> Iterator[Finding]:
    """Yield what is wrong with the horus.yaml in this folder, if there is one."""
    from horus.errors import ConfigError, HorusError
    from horus.runtime.files import find_config

    path = find_config(Path())
    if path is None:
        return
    try:
        from horus.hardware import config, plan

        faults = plan.preflight(config.load(path))
    except ConfigError as error:
        faults = list(error.faults)
    except HorusError as error:
        faults = [str(error)]
    for fault in faults:
        yield Finding("FAIL", path.name, fault)
    if not faults:
        yield Finding("ok", path.name, "no fault found")
