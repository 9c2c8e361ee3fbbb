"""The end of a run whose simulated devices died in the middle: it says so, and not what followed.

A driver whose twin has gone is no worse for it, and what a check says of it then is misleading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from horus.testing.rig.session import RigSession


class LossOfTwins:
    """A pytest plugin that looks after each phase of a test whether all twins are there."""

    def __init__(self, rig: RigSession) -> None:
        self._rig = rig
        self._told = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Any:
        """Put their end in place of what a test found without them, and end the run."""
        report: pytest.TestReport = yield
        death = self._rig.workshop.twins.death() if self._rig.workshop is not None else ""
        if not death or self._told or report.skipped:
            return report
        self._told = True
        crash = getattr(report.longrepr, "reprcrash", None)
        found = f"\nwhat the check found without them: {crash.message}" if crash else ""
        report.outcome = "failed"
        report.longrepr = f"{death}{found}"
        text = f"{death}\nthe run ended with that: what is not here was not run"
        item.session.shouldfail = text
        if self._rig.collector is not None:
            self._rig.collector.reason = text
        return report
