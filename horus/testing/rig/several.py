"""A run of the checks on the virtual rig in several machines at once, as one run.

An emulated machine has one processor, so each core of this computer gets a machine with some of the
rig's buses. Each runs the checks of its own devices; their reports are put together here.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType
from typing import NoReturn

from horus.errors import ConfigError
from horus.testing.plugin import at_least_one
from horus.testing.report import diff, html, machine, merge, results, text
from horus.testing.rig import reporting
from horus.testing.rig.division import Part, chosen_devices, chosen_wires, divide
from horus.testing.rig.file import RigFile
from horus.testing.virtual import bytecode, inside
from horus.testing.virtual.errors import VirtualError
from horus.testing.virtual.fetch import Cache
from horus.testing.virtual.machine import Machine

#: Options of pytest for which there is one machine: they stop at a failure, or only list.
_ALONE = {"-x", "--exitfirst", "--maxfail", "--collect-only", "--co", "--collectonly", "-h"}
_ALONE |= {"--help", "--version", "-V", "--markers", "--fixtures", "--stepwise", "--sw"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--rig-device", action="append", default=[])
    parser.add_argument("--rig-wire", action="append", default=[])
    parser.add_argument("--hil-machines", type=at_least_one)
    parser.add_argument("--hil-report", type=Path)
    parser.add_argument("--hil-baseline", type=Path)
    parser.add_argument("--junitxml", "--junit-xml", type=Path)
    return parser


def run(rig: RigFile, named: str, arguments: Sequence[str]) -> int:
    """Run `horus hil run NAMED` in as many machines as there are cores; return its exit status.

    What the arguments say is to be written is found here afterwards.
    """
    try:
        options, rest = _parser().parse_known_args(arguments)
    except argparse.ArgumentError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        devices = chosen_devices(rig, options.rig_device, options.rig_wire)
        wires = chosen_wires(rig, options.rig_wire, options.rig_device)
        baseline = reporting.earlier(options.hil_baseline)
        reporting.look_at(options.hil_report)
    except (ConfigError, results.ReportError) as error:
        print(error, file=sys.stderr)
        return 2
    count = options.hil_machines or len(os.sched_getaffinity(0))
    parts = divide(rig, list(devices), list(wires), count)
    if len(parts) == 1 or any(map(_is_for_one, rest)):
        return inside.run(named, arguments)
    began, unwritten = time.monotonic(), 0
    report = _begun(rig)
    if options.hil_report is not None:  # of a run that is killed no older report is found
        results.write(report, options.hil_report)
    if options.junitxml is not None:
        with contextlib.suppress(OSError):  # what is wrong with it is told when it is written
            options.junitxml.unlink()
    with _ending_in_order(), tempfile.TemporaryDirectory(prefix="horus-hil-") as place:
        folders = [Path(place) / str(number) for number, _ in enumerate(parts, 1)]
        statuses = _run_all(named, rest, parts, folders)
        reports = [_report(folder) for folder in folders]
        # What is not known to have passed has not.
        status = merge.status(
            s or int(report is None) for s, report in zip(statuses, reports, strict=True)
        )
        if options.junitxml is not None:
            try:
                merge.junit({f.name: f / "junit.xml" for f in folders}, options.junitxml)
            except OSError as error:
                print(reporting.unwritten(options.junitxml, error), file=sys.stderr)
                unwritten = reporting.UNWRITTEN
    whole = [report for report in reports if report is not None]
    if whole:
        report = merge.merged(whole, list(rig.devices), status, time.monotonic() - began)
    lost = [folder.name for folder, one in zip(folders, reports, strict=True) if one is None]
    if lost:
        report.reason = f"what machine {' and '.join(lost)} found is not known: see above"
    comparison = None if baseline is None else diff.compare(baseline, report)
    print(f"\n{text.text(report, comparison)}", end="")
    if options.hil_report is not None:
        try:
            results.write(report, options.hil_report)
            print(f"page: {html.write(report, options.hil_report, baseline)}")
        except OSError as error:
            print(reporting.unwritten(options.hil_report, error), file=sys.stderr)
            unwritten = reporting.UNWRITTEN
    return status or unwritten


@contextlib.contextmanager
def _ending_in_order() -> Iterator[None]:
    """Have SIGTERM and SIGHUP end the machines and remove what is in the way, as Ctrl-C does."""

    def end(signum: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + signum)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_for_one(word: str) -> bool:
    """Return whether an option or a test is for one machine: it would be amiss in the others."""
    flags = word[1:] if word.startswith("-") and not word.startswith("--") else ""
    return word.partition("=")[0] in _ALONE or "::" in word or (flags.isalpha() and "x" in flags)


def _begun(rig: RigFile) -> results.Report:
    """Return the report of a run that has just begun."""
    now = datetime.now(timezone.utc).astimezone().isoformat(timespec="seconds")
    about = results.Rig(rig.name, "virtual", str(rig.path), sorted(rig.allow))
    return results.Report(about, now, 0.0, machine.versions(), "failed", reporting.NOT_ENDED)


def _report(folder: Path) -> results.Report | None:
    """Return what one machine found; None where it did not get to its end."""
    try:
        report = results.read(folder)
    except results.ReportError:
        return None
    return None if report.reason == reporting.NOT_ENDED else report


def _run_all(
    named: str, rest: Sequence[str], parts: Sequence[Part], folders: Sequence[Path]
) -> list[int]:
    """Run each part in a machine of its own; return their exit statuses."""
    cache = Cache()
    lacks = cache.lacks()
    if lacks:
        raise VirtualError(lacks)
    bytecode.prepare(cache.folder / "bytecode")  # once, before they all look at it
    whole = ",".join(name for part in parts for name in part.devices)
    print(f"{len(parts)} machines at once:")
    workers = []
    for part, folder in zip(parts, folders, strict=True):
        print(f"  [{folder.name}] {', '.join(part.names)}")
        folder.mkdir()
        words = [*rest, "--hil-part", whole, "--hil-report", str(folder)]
        words += [f"--junitxml={folder / 'junit.xml'}"]
        words += [word for name in part.devices for word in ("--rig-device", name)]
        words += [word for name in part.wires for word in ("--rig-wire", name)]
        workers.append(_Worker(Machine(cache, [folder]), f"[{folder.name}] ", named, words))
    sys.stdout.flush()
    try:
        for worker in workers:
            worker.start()
        while any(worker.is_alive() for worker in workers):
            for worker in workers:
                worker.join(0.1)
            if any(worker.error for worker in workers):
                break
    finally:
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.wait()
    for worker in workers:
        if worker.error is not None:
            raise worker.error
    return [worker.status for worker in workers]


#: Lines of two machines are not to be mixed.
_printing = threading.Lock()


class _Lines:
    """Output of one machine among others: whole lines, each with a prefix."""

    def __init__(self, fd: int, prefix: bytes) -> None:
        self._fd = fd
        self._prefix = prefix
        self._begun = b""

    def take(self, data: bytes) -> None:
        """Print the lines that are whole now."""
        *lines, self._begun = (self._begun + data).split(b"\n")
        text = b"".join(self._prefix + line + b"\n" for line in lines)
        with _printing:
            while text:
                text = text[os.write(self._fd, text) :]

    def end(self) -> None:
        """Print what is left."""
        if self._begun:
            self.take(b"\n")


class _Worker(threading.Thread):
    """Starts a machine, has one part run in it, and ends it."""

    def __init__(self, machine: Machine, prefix: str, named: str, words: Sequence[str]) -> None:
        # The kernel ends a machine with the thread that started it, and so with this process.
        super().__init__(name=f"machine {prefix}".strip(), daemon=True)
        self.status = 1
        self.error: BaseException | None = None
        self._machine = machine
        self._prefix = prefix.encode()
        self._command = inside.command(named, words)
        self._told_to_end = False

    def run(self) -> None:
        """Do it; what goes wrong is kept in ``error``."""
        out, err = _Lines(1, self._prefix), _Lines(2, self._prefix)
        try:
            with self._machine as running:
                self.status = running.run(self._command, out=out.take, err=err.take)
            out.end()
            err.end()
        except BaseException as error:
            if not self._told_to_end:
                self.error = error

    def kill(self) -> None:
        """End the machine, if it still runs or is about to start."""
        self._told_to_end = True
        self._machine.kill()

    def wait(self) -> None:
        """Wait until nothing is left of it."""
        if self.ident is not None:
            self.join()
