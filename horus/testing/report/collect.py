"""Fill a report while pytest runs: a plugin that the rig registers, also with pytest-xdist.

Whatever a test found is written to its reports where it runs, in plain types, and read where the
run is put together.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from horus.testing.report import diff, html, machine, results, text, words
from horus.testing.report.markup import clean
from horus.testing.report.results import (
    NOT_APPLICABLE,
    CheckResult,
    Device,
    Fault,
    Figure,
    Report,
    Rig,
    Verdict,
)

#: By which parameter of a test it is about whom, the first that it has.
_WHOM = ("rig_device", "device", "wire")
#: What a failed assertion begins with, which says nothing to people.
_PREFIXES = ("Failed: ", "AssertionError: ")


class Collector:
    """The report of a run, filled test by test and written at its end."""

    def __init__(
        self,
        rig: Rig,
        devices: Sequence[Device],
        titles: Mapping[str, str],
        folder: Path | None,
        baseline: Report | None = None,
        *,
        part: bool = False,
    ) -> None:
        now = datetime.now(timezone.utc).astimezone().isoformat(timespec="seconds")
        self.report = Report(rig, now, 0.0, machine.versions(), "nothing ran")
        self.report.devices = list(devices)
        self._titles = titles
        self._folder = folder
        self._baseline = baseline
        #: Whether this run is a part of one, whose report will be put together elsewhere.
        self._part = part
        self._began = time.monotonic()
        #: Why the run ended before its time, if it did.
        self.reason = ""
        #: Whether there are tests that could not even be loaded.
        self.unloaded = False
        self._tests: dict[str, CheckResult] = {}
        self._page: Path | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add what one phase of a test found."""
        about = getattr(report, "hil", None)
        if about is None:
            return
        result = self._tests.get(report.nodeid)
        if result is None:
            check = about["check"]
            title = self._titles.get(check, "")
            result = CheckResult(check, title, about["device"], report.nodeid, "passed")
            self._tests[report.nodeid] = result
            self.report.checks.append(result)
        result.seconds += report.duration
        result.figures += [Figure(**figure) for figure in about["figures"]]
        self._identify(result.device, about["identity"])
        self.report.faults += [Fault(**fault) for fault in about["faults"]]
        _add(result, report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Add a file of tests that could not be loaded: nobody knows what is not run for it."""
        if report.failed:
            lines = report.longreprtext.strip().splitlines()
            reason = f"{report.nodeid} could not be loaded: {lines[-1].removeprefix('E').strip()}"
            self.unloaded = True
            made = CheckResult("loading", "", "", report.nodeid, "error", reason)
            made.detail = report.longreprtext
            self.report.checks.append(made)

    def _identify(self, name: str, identity: str) -> None:
        for device in self.report.devices:
            if device.name == name and identity:
                device.identity = identity

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        """Write the report when all others have said how the run ends."""
        yield
        if session.config.option.collectonly:
            return
        status = int(session.exitstatus)
        verdict, reason = results.verdict(status)
        self.end(verdict, self.reason or reason)

    def end(self, verdict: Verdict, reason: str = "") -> None:
        """Write the report; called by the rig itself when it is not ready or refuses a hazard."""
        self.report.verdict, self.report.reason = verdict, reason
        self.report.seconds = time.monotonic() - self._began
        if self._folder is not None:
            results.write(self.report, self._folder)
        if self._folder is not None and not self._part:
            self._page = html.write(self.report, self._folder, self._baseline)

    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        """Show the tables, and what is different from the baseline."""
        if config.option.collectonly or self._part:
            return
        comparison = None
        if self._baseline is not None:
            comparison = diff.compare(self._baseline, self.report)
        terminalreporter.section(f"rig {clean(self.report.rig.name)}")
        terminalreporter.write(text.text(self.report, comparison, brief=True))
        if self._page is not None:
            terminalreporter.write_line(f"page: {self._page}")


def note(
    item: pytest.Item, report: pytest.TestReport, figures: Sequence[Any], faults: Sequence[Fault]
) -> None:
    """Write to a phase's report, where the test runs, what the report of the run needs.

    Figures and faults are those that are new since the phase before.
    """
    marker = item.get_closest_marker("hil_check")
    name = getattr(item, "originalname", None) or item.name
    whom = _whom(item)
    device = getattr(item, "funcargs", {}).get("device")
    about = {
        "check": str(marker.args[0]) if marker else name.removeprefix("test_").replace("_", " "),
        "device": whom,
        "identity": str(getattr(getattr(device, "node", None), "identity", "")),
        "figures": [asdict(figure) for figure in figures],
        "faults": [asdict(fault) for fault in faults],
    }
    report.hil = about  # type: ignore[attr-defined]
    item.user_properties += [
        (figure.name, words.quantity(figure.value, figure.unit)) for figure in figures
    ]
    report.user_properties = list(item.user_properties)  # which junit.xml has


def _whom(item: pytest.Item) -> str:
    """Return the name of the device or wire that a test is about, or "" for the rig."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    for name in _WHOM:
        if name in params:
            one = params[name]
            return str(getattr(getattr(one, "entry", one), "name", one))
    return ""


def _add(result: CheckResult, report: pytest.TestReport) -> None:
    if report.passed:
        return
    expected = getattr(report, "wasxfail", None)  # an expected failure, such as in quarantine
    if report.skipped and expected is None:
        text = skip_reason(report)
        result.status, result.reason = "skipped", text.removeprefix(NOT_APPLICABLE)
        result.applies = not text.startswith(NOT_APPLICABLE)
        return
    reason = _message(report)
    if report.skipped:
        result.status = "quarantined"
        why = str(expected).removeprefix("reason: ").removeprefix("quarantine: ")
        reason = ": ".join(filter(None, (why, reason)))
    elif report.when == "call":
        result.status = "failed"
    else:
        result.status = "failed" if result.status == "failed" else "error"
        reason = f"{report.when}: {reason}"
    result.reason = "\n".join(filter(None, (result.reason, reason)))
    result.detail = "\n\n".join(filter(None, (result.detail, report.longreprtext)))


def skip_reason(report: pytest.TestReport) -> str:
    """Return why a test was skipped."""
    found = report.longrepr
    reason = found[2] if isinstance(found, tuple) else report.longreprtext
    return reason.removeprefix("Skipped: ")


def _message(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    message = str(crash.message) if crash is not None else report.longreprtext
    for prefix in _PREFIXES:
        message = message.removeprefix(prefix)
    return message.strip()
