"""The fixtures of a rig; they exist only where a rig was named."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from horus.bus import session as topics
from horus.bus.ends import close_all
from horus.testing.bench import HandClock
from horus.testing.rig.buses import RigBuses
from horus.testing.rig.figures import Recorder
from horus.testing.rig.file import RigDevice
from horus.testing.rig.live import LiveDevice, NotSafeError
from horus.testing.rig.mock import MockDevice
from horus.testing.rig.under_test import DeviceUnderTest, Faults
from horus.testing.rig.wires import WireUnderTest, live_wire, mock_wire

if TYPE_CHECKING:
    from horus.testing.rig.session import RigSession


@pytest.fixture(scope="session")
def rig(request: pytest.FixtureRequest) -> RigSession:
    """Return the rig: checked, and locked for this run."""
    from horus.testing.rig.session import KEY

    return request.config.stash[KEY]


@pytest.fixture
def hil_session(rig: RigSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """Return the session whose topics a test uses; nothing is left of it at the end."""
    if rig.workshop is not None:  # calibrations are those of the devices
        yield rig.workshop.session.id
        return
    made = topics.new_session()
    monkeypatch.setenv("HORUS_SESSION_ID", made.id)
    monkeypatch.setenv("HORUS_CALIBRATION_DIR", str(tmp_path / "calibration"))
    try:
        yield made.id
    finally:
        os.environ["HORUS_SESSION_ID"] = made.id
        close_all()
        topics.end_session(made.id)


@pytest.fixture
def device(
    request: pytest.FixtureRequest, rig: RigSession, hil_session: str, tmp_path: Path
) -> Iterator[DeviceUnderTest]:
    """Return one device of the rig with its driver at work; there is a test for each device."""
    about: RigDevice = rig.devices[request.param.entry.name]
    make = _mock if rig.workshop is None else _live
    for made in make(rig, about, tmp_path / "robot", request.session):
        made.scale = rig.scale
        yield made


def _mock(
    rig: RigSession, about: RigDevice, folder: Path, _: pytest.Session
) -> Iterator[DeviceUnderTest]:
    clock = HandClock()
    with clock:
        made = MockDevice(rig.file, about, clock, folder, rig.journal)
        try:
            yield made
        finally:
            made.fault.clear()
            made.close()


def _live(
    rig: RigSession, about: RigDevice, folder: Path, session: pytest.Session
) -> Iterator[DeviceUnderTest]:
    assert rig.workshop is not None
    rig.workshop.keep_guarded()
    breakers = rig.workshop.breakers(about.entry.name)
    twins = rig.workshop.twins if rig.has_twins else None
    made = LiveDevice(rig.file, about, rig.journal, folder, breakers, twins)
    try:
        yield made
    finally:
        try:
            made.end()
        except NotSafeError as error:
            if twins is not None and twins.death():
                return  # there is nobody to be made safe, which the run tells
            session.shouldfail = f"{error}: nothing more is tried on this rig"
            raise


@pytest.fixture
def fault(device: DeviceUnderTest) -> Faults:
    """Return what can be done to the device on purpose; all of it is undone."""
    return device.fault


@pytest.fixture
def stimulus(device: DeviceUnderTest) -> Callable[..., None]:
    """Return what sets what the device senses: ``stimulus("rotation", 0, 0, 1)``."""
    return device.stimulate


@pytest.fixture
def bus(rig: RigSession, hil_session: str) -> Iterator[RigBuses]:
    """Return what opens a bus of the rig by name, for tests that talk to it without a driver."""
    mock = not rig.is_live
    made = RigBuses(rig.file, simulated=mock, own=mock and rig.workshop is None)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def wire(request: pytest.FixtureRequest, rig: RigSession) -> Iterator[WireUnderTest]:
    """Return one wire of the rig; there is a test for each of the kind that `needs` names."""
    if isinstance(request.param, str):
        pytest.skip(f"the rig has no wire that is {request.param}: see wires: in hil/README.md")
    make = live_wire if rig.is_live else mock_wire
    made = make(rig.file, request.param)
    made.scale = rig.scale
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def figure(request: pytest.FixtureRequest, rig: RigSession) -> Recorder:
    """Return what records a number that was measured, and fails when it is out of its limits."""
    callspec = getattr(request.node, "callspec", None)
    about = callspec.params.get("device") if callspec else None
    return rig.recorder(request.node, about.limits if about else {})
