"""The report of a run on a rig: where it is to be written is looked at before anything moves."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from horus.testing.report import collect, machine, results
from horus.testing.rig.kinds import CHECKS

if TYPE_CHECKING:
    from horus.testing.rig.session import RigSession

#: How a run ends that has passed, but whose report could not be written.
UNWRITTEN = 2
#: What is in the report of a run that goes on, or was killed.
NOT_ENDED = "the run has not ended: it goes on, or it was killed"


class RigCollector(collect.Collector):
    """Puts the report together; what was found is shown even where it cannot be written."""

    def __init__(self, *arguments: Any, part: bool = False) -> None:
        super().__init__(*arguments, part=part)
        #: Why the report was not written; "" when it was.
        self.unwritten = ""

    def end(self, verdict: results.Verdict, reason: str = "") -> None:
        """Write the report, or say why not."""
        self.unwritten = ""
        try:
            super().end(verdict, reason)
        except OSError as error:
            self.unwritten = unwritten(self._folder, error)

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Write that it has not ended: of a run that is killed no older report is found."""
        if not session.config.option.collectonly:
            self.end("failed", NOT_ENDED)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        """Write it at the end; a run without the report that was asked for is not a pass."""
        yield from super().pytest_sessionfinish(session)
        if self.unwritten and int(session.exitstatus) == 0:
            session.exitstatus = UNWRITTEN

    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        """Show what was found, and that it was not written."""
        super().pytest_terminal_summary(terminalreporter, config)
        if self.unwritten:
            terminalreporter.write_line(self.unwritten, red=True)


def collector(config: pytest.Config, rig: RigSession) -> RigCollector:
    """Return what puts the report of a run together.

    Raises:
        ReportError: the baseline cannot be read, or the report cannot be written.

    """
    baseline = earlier(config.getoption("hil_baseline"))
    folder = config.getoption("hil_report")
    if not config.option.collectonly:
        look_at(folder)
    file, mock = rig.file, not rig.is_live
    return RigCollector(
        results.Rig(
            file.name,
            cast("results.Kind", file.kind),
            str(file.path),
            sorted(file.allow),
            machine.facts([] if mock else file.robot.buses.values(), mock=mock),
        ),
        machine.devices([one.entry for one in rig.devices.values()], mock=file.kind != "real"),
        CHECKS,
        None if folder is None else Path(folder),
        baseline,
        part=bool(config.getoption("hil_part")),
    )


def earlier(baseline: str | Path | None) -> results.Report | None:
    """Return the report of ``--hil-baseline``; a `ReportError` if it cannot be read."""
    try:
        return None if baseline is None else results.read(Path(baseline))
    except results.ReportError as error:
        raise results.ReportError(f"--hil-baseline: {error}") from None


def look_at(folder: str | Path | None) -> None:
    """See whether ``--hil-report`` can be written into its folder; else a `ReportError`."""
    if folder is None:
        return
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"?")
            file.flush()
    except OSError as error:
        raise results.ReportError(
            f"--hil-report {folder}: cannot be written: {_told(error)}"
        ) from None


def unwritten(place: Path | None, error: OSError) -> str:
    """Return that a report was not written, and why."""
    return f"the report in {place} was not written: {_told(error)}"


def _told(error: OSError) -> str:
    text = os.strerror(error.errno) if error.errno else str(error)
    return f"{error.filename}: {text}" if error.filename else text
