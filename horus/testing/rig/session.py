"""A pytest run on a rig: which tests, in which order, on which device, and how it ends."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

import pytest

from horus.errors import ConfigError, did_you_mean
from horus.testing.report import collect, machine, results
from horus.testing.report.results import Fault
from horus.testing.rig import choice, rig_fixtures
from horus.testing.rig.figures import Recorder
from horus.testing.rig.file import RigDevice, RigFile
from horus.testing.rig.kinds import CHECKS
from horus.testing.rig.under_test import FaultRecord

#: How a run on a rig ends; 1 (failed) is pytest's own.
USAGE, NOT_READY, REFUSED, NOTHING_RAN = 2, 3, 4, 5
KEY = pytest.StashKey["RigSession"]()
_FIGURES = pytest.StashKey[Recorder]()


class RigSession:
    """The rig of a run and what the command line says about it; a pytest plugin."""

    def __init__(self, config: pytest.Config, rig: RigFile) -> None:
        self.config = config
        self.file = rig
        self.faults: list[FaultRecord] = []
        self._told = 0
        self._began = time.monotonic()
        self.scale: float = config.getoption("hil_scale") or (20 if rig.kind == "virtual" else 1)
        self.devices = self._chosen(config.getoption("rig_device"))

    def _chosen(self, names: list[str]) -> dict[str, RigDevice]:
        """Return the devices to be tested; a name that is not in the rig ends the run."""
        devices = self.file.devices
        for name in names:
            if name not in devices:
                near = did_you_mean(name, devices) or f"; it has {', '.join(devices)}"
                stop(f"--rig-device {name}: {self.file.path} has no such device{near}", USAGE)
        return {name: device for name, device in devices.items() if not names or name in names}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make a test of each device."""
        if "device" in metafunc.fixturenames:
            ids = [device.id for device in self.devices.values()]
            metafunc.parametrize("device", list(self.devices.values()), ids=ids, indirect=True)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Say that a run in which nothing ran has shown nothing."""
        if session.exitstatus == pytest.ExitCode.OK and not self._passed(session):
            session.exitstatus = NOTHING_RAN

    def _passed(self, session: pytest.Session) -> bool:
        reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
        return reporter is None or bool(reporter.stats.get("passed"))

    def recorder(self, item: pytest.Item, limits: Any) -> Recorder:
        """Return what records the figures of a test."""
        made = item.stash[_FIGURES] = Recorder(limits)
        return made

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        """Put what a test found into its report; in quarantine its failure is expected."""
        report = yield
        marker = item.get_closest_marker("hil_quarantine")
        if marker is not None and call.when == "call" and report.failed:
            report.outcome = "skipped"
            report.wasxfail = f"quarantine: {(*marker.args, 'no reason given')[0]}"
        recorder = item.stash.get(_FIGURES, None)
        ended = call.when == "teardown"  # when all that is undone at its end was undone
        collect.note(
            item,
            report,
            recorder.figures if recorder is not None and call.when == "call" else [],
            self._new_faults() if ended else [],
        )
        return report

    def _new_faults(self) -> list[Fault]:
        """Return the faults that were injected since the last call."""
        new, self._told = self.faults[self._told :], len(self.faults)
        at = round(time.monotonic() - self._began, 1)
        return [Fault(one.device, one.kind, one.how, at, one.undone) for one in new]


def begin(config: pytest.Config, named: str) -> None:
    """Read the rig and let it take part in the run; what is wrong with it ends the run."""
    try:
        rig = choice.find(named)
    except ConfigError as error:
        stop(f"the rig cannot be used:\n{error}", USAGE)
    made = config.stash[KEY] = RigSession(config, rig)
    config.pluginmanager.register(made, "horus_rig")
    config.pluginmanager.register(rig_fixtures, "horus_rig_fixtures")
    if not hasattr(config, "workerinput"):  # of pytest-xdist, which sends what it finds
        config.pluginmanager.register(_collector(config, made), "horus_rig_report")


def _collector(config: pytest.Config, made: RigSession) -> collect.Collector:
    """Return what puts the report of the run together."""
    mock = made.file.kind == "mock"
    named = config.getoption("hil_baseline")
    try:
        baseline = None if named is None else results.read(Path(named))
    except results.ReportError as error:
        stop(f"--hil-baseline: {error}", USAGE)
    folder = config.getoption("hil_report")
    robot = made.file.robot
    return collect.Collector(
        results.Rig(
            made.file.name,
            cast("results.Kind", made.file.kind),
            str(made.file.path),
            sorted(made.file.allow),
            machine.facts(robot.buses.values(), mock=mock),
        ),
        machine.devices([device.entry for device in made.devices.values()], mock=mock),
        CHECKS,
        None if folder is None else Path(folder),
        baseline,
    )


def stop(text: str, status: int) -> Any:
    """End the run with a text and an exit status."""
    raise pytest.exit.Exception(text, returncode=status)
