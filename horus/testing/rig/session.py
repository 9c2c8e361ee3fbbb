"""A pytest run on a rig: which tests, in which order, on which device, and how it ends."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from horus.errors import ConfigError, HorusError
from horus.hardware.plugged import ROOT
from horus.testing import hil
from horus.testing.report import collect, machine, results
from horus.testing.rig import choice, hazards, limits, ready, reporting, rig_fixtures
from horus.testing.rig.choice import LIVE, STEPPED, TWINS, Choice
from horus.testing.rig.division import chosen_devices, chosen_wires
from horus.testing.rig.figures import Recorder
from horus.testing.rig.file import RigDevice, RigFile, Wire
from horus.testing.rig.loss import LossOfTwins
from horus.testing.rig.patience import LONGEST, Patience
from horus.testing.rig.stopping import OrderlyEnd, ThreadsLeft
from horus.testing.rig.under_test import Journal
from horus.testing.rig.workshop import Workshop
from horus.testing.virtual import inside

#: How a run on a rig ends, beside 0 (passed) and 1 (failed); the last by Ctrl-C.
USAGE, NOT_READY, REFUSED, NOTHING_RAN, INTERRUPTED = 2, 3, 4, 5, 130
KEY = pytest.StashKey["RigSession"]()
_FIGURES = pytest.StashKey[Recorder]()
#: Where the kernel's files are, for tests of what is plugged in where.
SYSTEM_ROOT = "HORUS_HIL_SYSTEM"
#: By how much limits of time are longer on a rig, unless ``--hil-scale`` says.
SCALES = {"virtual": 4.0}
#: Fixtures that need the rig to be there.
_NEED_IT = {"rig", "device", "wire", "bus"}
#: Begins the reason of a test that was skipped for a hazard.
_HAZARD = "hazard not allowed: "


class RigSession:
    """The rig of a run and what the command line says about it; a pytest plugin."""

    def __init__(self, config: pytest.Config, chosen: Choice) -> None:
        self.config = config
        self.how = chosen.how
        self.journal = Journal()
        self.workshop: Workshop | None = None
        #: What puts the report together; None in a process of pytest-xdist.
        self.collector: collect.Collector | None = None
        self.soak: float | None = config.getoption("hil_soak")
        self.person = bool(config.getoption("hil_person"))
        self.scale: float = config.getoption("hil_scale") or SCALES.get(chosen.rig.kind, 1.0)
        named: list[str] = config.getoption("rig_device")
        wires: list[str] = config.getoption("rig_wire")
        try:
            self.devices = chosen_devices(chosen.rig, named, wires)
            self.wires = chosen_wires(chosen.rig, wires, named)
        except ConfigError as error:
            end(str(error), USAGE)
        self._known_wires = chosen.rig.wires
        #: A wire that is not tested need not be there.
        self.file: RigFile = replace(chosen.rig, wires=self.wires)
        #: The devices of the whole run, of which this may be a part.
        self.whole = frozenset(filter(None, config.getoption("hil_part").split(",")))
        self.whole |= frozenset(self.devices)
        self.allow: frozenset[str] = frozenset()
        self._strict = bool(config.getoption("hil_strict"))
        self._readiness: ready.Readiness | None = None
        self._told = 0  # so many faults of the journal are in the report
        self._end = OrderlyEnd(self.stop)

    @property
    def is_live(self) -> bool:
        """Return whether what is tested is really plugged in."""
        return self.how == LIVE

    @property
    def has_twins(self) -> bool:
        """Return whether the devices are twins in processes of their own."""
        return self.how == TWINS or (self.is_live and self.file.kind == "virtual")

    # which tests, and in which order ------------------------------------------------------------

    def pytest_report_header(self) -> list[str]:
        """Say which rig it is, and what may be done on it."""
        about = {STEPPED: "simulated, in simulated time", TWINS: "simulated, behind real wires"}
        how = about.get(self.how, f"{self.file.kind}; nothing may move, heat or be unplugged")
        if self.is_live and self.allow:
            how = f"{self.file.kind}; allowed: {', '.join(sorted(self.allow))}"
        return [f"rig: {self.file.name} ({self.file.path}): {how}"]

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Let signals end it in order; processes of pytest-xdist are ended by their own means."""
        if self.collector is not None:
            self._end.install()
            self.config.add_cleanup(ThreadsLeft(session).end)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make a test of each device, or of each wire of the kind that is needed."""
        if "device" in metafunc.fixturenames:
            ids = [device.id for device in self.devices.values()]
            metafunc.parametrize("device", list(self.devices.values()), ids=ids, indirect=True)
        if "wire" in metafunc.fixturenames:
            kinds = [mark.args[0] for mark in metafunc.definition.iter_markers("hil_needs")]
            wires = [w for w in self._known_wires.values() if not kinds or w.kind in kinds]
            # Without one there is a test all the same, which says what is missing.
            values: list[Any] = wires or [" or ".join(kinds) or "wire"]
            ids = [wire.id for wire in wires] or ["none"]
            metafunc.parametrize("wire", values, ids=ids, indirect=True)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put what only reads first, then what is unplugged, then what moves or heats."""
        items.sort(key=_danger)
        left_out = [item for item in items if self._is_left_out(item)]
        if left_out:
            self.config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]

    def _is_left_out(self, item: pytest.Item) -> bool:
        """Return whether a test is about a wire that was not chosen, or about devices at all."""
        if not self.devices and "device" in getattr(item, "fixturenames", ()):
            return True
        about = getattr(getattr(item, "callspec", None), "params", {}).get("wire")
        return isinstance(about, Wire) and about.name not in self.wires

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Look whether the rig is ready, when there are tests that need it."""
        needed = any(_NEED_IT & set(getattr(item, "fixturenames", ())) for item in session.items)
        if self.how == STEPPED or not needed or self.config.option.collectonly:
            return
        try:
            self.workshop = Workshop(
                self.file,
                self.devices,
                twins=self.has_twins,
                scale=self.scale,
                person=self.person,
            )
        except HorusError as error:
            self.stop(str(error), NOT_READY)
        self.config.pluginmanager.register(LossOfTwins(self), "horus_rig_twins")
        if self.is_live:
            self._get_ready(self.workshop)

    def _get_ready(self, workshop: Workshop) -> None:
        wrong = workshop.restore(self.devices)
        root = Path(os.environ.get(SYSTEM_ROOT) or ROOT)
        back = dict.fromkeys(workshop.given_back, time.monotonic() + ready.RETURN * self.scale)
        patience = ready.PATIENCE * self.scale
        found = ready.look(self.file, self.devices, root, patience=patience, back=back)
        self._readiness = found
        wrong += found.problems
        if wrong:
            self.stop("\n".join(["the rig is not ready; nothing was moved:", *wrong]), NOT_READY)
        self.file = workshop.rig = found.rig
        self.devices = {name: self.file.devices[name] for name in self.devices}
        if self.collector is not None:
            report = self.collector.report
            report.rig.facts = machine.facts(self.file.robot.buses.values(), mock=False)
            for device in report.devices:
                device.identity = found.identities.get(device.name, "")

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip a test for what it does, before its fixtures touch anything."""
        about = getattr(getattr(item, "callspec", None), "params", {}).get("device")
        device = about if isinstance(about, RigDevice) else None
        for check in item.iter_markers("hil_check"):
            if device and device.checks is not None and check.args[0] not in device.checks:
                hil.not_applicable(
                    f"{self.file.name} leaves it to another rig: checks: in its file"
                )
        if device is not None:
            hil.applies(item, moves=device.moves)
        for hazard in item.iter_markers("hil_hazard"):
            why = hazards.reason(str(hazard.args[0]), device, self.file, self.allow)
            if why:
                pytest.skip(f"{_HAZARD}{why}")
        if item.get_closest_marker("hil_soak") and self.soak is None:
            pytest.skip("it takes long: only with --hil-soak SECONDS")

    # what a test found --------------------------------------------------------------------------

    def recorder(self, item: pytest.Item, limits: Any) -> Recorder:
        """Return what records the figures of a test."""
        made = item.stash[_FIGURES] = Recorder(limits)
        return made

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        """Put what a test found into its report; in quarantine its failure is expected."""
        report: pytest.TestReport = yield
        marker = item.get_closest_marker("hil_quarantine")
        if marker is not None and call.when == "call" and report.failed:
            report.outcome = "skipped"
            report.wasxfail = f"quarantine: {(*marker.args, 'no reason given')[0]}"
        elif self._strict and report.skipped and _might_have_run(report):
            report.outcome = "failed"
            report.longrepr = (
                f"with --hil-strict a skip is a failure: {collect.skip_reason(report)}"
            )
        recorder = item.stash.get(_FIGURES, None)
        faults: list[results.Fault] = []
        if call.when == "teardown":  # when all that is undone at its end was undone
            faults, self._told = self.journal.faults[self._told :], len(self.journal.faults)
        figures = recorder.figures if recorder is not None and call.when == "call" else []
        collect.note(item, report, figures, faults)
        return report

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Tell which limits of the rig's file limited nothing."""
        if self.collector is not None:
            everything = not terminalreporter.stats.get("deselected")
            checks = self.collector.report.checks
            for text in limits.unused(self.file, self.devices.values(), checks, everything):
                terminalreporter.write_line(text, yellow=True)

    # how it ends --------------------------------------------------------------------------------

    def stop(self, text: str, status: int) -> NoReturn:
        """End the run with a text and an exit status, having reported it."""
        if self.collector is not None:
            self.collector.reason = text
        end(text, status)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        """Give the rig back, and decide how the run ended."""
        try:
            yield
        except KeyboardInterrupt:  # a second one, while what the first had ended was torn down
            session.exitstatus = pytest.ExitCode.INTERRUPTED
        finally:
            try:
                if self.workshop is not None:
                    self.workshop.close()
            finally:
                self._end.remove()
                if self._readiness is not None:
                    self._readiness.release()
        if self.collector is not None and not self.config.option.collectonly:
            session.exitstatus = self._status(int(session.exitstatus), self.collector)

    def _status(self, status: int, collector: collect.Collector) -> int:
        """Return what pytest's own exit status is on a rig."""
        if collector.reason:
            return status
        if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            interrupted = status == pytest.ExitCode.INTERRUPTED and not collector.unloaded
            return INTERRUPTED if interrupted else int(pytest.ExitCode.TESTS_FAILED)
        checks = collector.report.checks
        if any(check.status != "skipped" for check in checks):
            return 0
        hazardous = [check for check in checks if check.reason.startswith(_HAZARD)]
        return REFUSED if checks and len(hazardous) == len(checks) else NOTHING_RAN


def _might_have_run(report: pytest.TestReport) -> bool:
    """Return whether a test was skipped for what the rig lacks, not since it does not apply."""
    applies = not collect.skip_reason(report).startswith(results.NOT_APPLICABLE)
    return applies and not hasattr(report, "wasxfail")


def _danger(item: pytest.Item) -> int:
    """Return what a test does: 0 reads, 1 unplugs, 2 moves, heats or writes for good."""
    kinds = {str(mark.args[0]) for mark in item.iter_markers("hil_hazard")}
    if kinds - {"unplug"}:
        return 2
    return 1 if kinds or "fault" in getattr(item, "fixturenames", ()) else 0


def begin(config: pytest.Config, named: str) -> None:
    """Read the rig and let it take part in the run; what is wrong with it ends the run."""
    try:
        chosen = choice.find(named)
    except ConfigError as error:
        end(f"the rig cannot be used:\n{error}", USAGE)
    if chosen.how == LIVE and chosen.rig.kind == "virtual" and not inside.is_inside():
        end(f"{named} is a virtual machine: horus hil run {named}", NOT_READY)
    made = config.stash[KEY] = RigSession(config, chosen)
    is_worker = hasattr(config, "workerinput")  # of pytest-xdist, which sends what it finds
    if not is_worker:
        try:
            made.collector = reporting.collector(config, made)
        except results.ReportError as error:
            end(str(error), USAGE)
        config.pluginmanager.register(made.collector, "horus_rig_report")
    if made.how != STEPPED and (is_worker or getattr(config.option, "numprocesses", None)):
        end("a bench has one of everything: run without -n (pytest-xdist)", USAGE)
    try:
        made.allow = hazards.allowed(made.file, config.getoption("allow"))
    except hazards.UnknownHazardError as error:
        end(str(error), USAGE)
    except hazards.HazardRefusedError as error:
        if made.collector is not None:
            made.collector.end("hazard refused", str(error))
        end(str(error), REFUSED)
    if made.collector is not None and made.is_live:
        made.collector.report.rig.allow = sorted(made.allow)
    pytest.register_assert_rewrite("horus_hil.checks")
    config.pluginmanager.register(made, "horus_rig")
    config.pluginmanager.register(rig_fixtures, "horus_rig_fixtures")
    if not made.person:  # who thinks for as long as he likes
        longest = config.getoption("hil_hang") or LONGEST * made.scale
        patience = Patience(made, longest + (made.soak or 0.0))
        config.pluginmanager.register(patience, "horus_rig_patience")


#: Ends a run before it has begun; pytest prints the name of the class before its text.
_Ended: Any = type("rig", (pytest.exit.Exception,), {})


def end(text: str, status: int) -> NoReturn:
    """End the run with a text and an exit status."""
    raise _Ended(text, returncode=status)
