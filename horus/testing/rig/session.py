"""A pytest run on a rig: which tests, in which order, on which device, and how it ends."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from horus.errors import ConfigError, did_you_mean
from horus.testing.rig import choice, rig_fixtures
from horus.testing.rig.figures import Recorder
from horus.testing.rig.file import RigDevice, RigFile
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
        """Put the figures of a test into its report."""
        recorder = item.stash.get(_FIGURES, None)
        if recorder is not None and call.when == "call":
            found = [asdict(figure) for figure in recorder.figures]
            item.user_properties.append(("hil_figures", found))
        return (yield)


def begin(config: pytest.Config, named: str) -> None:
    """Read the rig and let it take part in the run; what is wrong with it ends the run."""
    try:
        rig = choice.find(named)
    except ConfigError as error:
        stop(f"the rig cannot be used:\n{error}", USAGE)
    made = config.stash[KEY] = RigSession(config, rig)
    config.pluginmanager.register(made, "horus_rig")
    config.pluginmanager.register(rig_fixtures, "horus_rig_fixtures")


def stop(text: str, status: int) -> Any:
    """End the run with a text and an exit status."""
    raise pytest.exit.Exception(text, returncode=status)
