"""The fixtures of a rig; they exist only where a rig was named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from horus.bus import session as topics
from horus.bus.ends import close_all
from horus.testing.bench import HandClock
from horus.testing.rig.figures import Recorder
from horus.testing.rig.mock import MockDevice
from horus.testing.rig.under_test import DeviceUnderTest

if TYPE_CHECKING:
    from horus.testing.rig.session import RigSession


@pytest.fixture(scope="session")
def rig(request: pytest.FixtureRequest) -> RigSession:
    """Return the rig: checked, and locked for this run."""
    from horus.testing.rig.session import KEY

    return request.config.stash[KEY]


@pytest.fixture
def hil_session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """Return the session whose topics a test uses; nothing is left of it at the end."""
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
    with HandClock() as clock:
        assert isinstance(clock, HandClock)
        made = MockDevice(rig.file, request.param, clock, tmp_path / "robot", rig.faults)
        made.scale = rig.scale
        try:
            yield made
        finally:
            made.fault.clear()
            made.close()


@pytest.fixture
def figure(request: pytest.FixtureRequest, rig: RigSession) -> Recorder:
    """Return what records a number that was measured, and fails when it is out of its limits."""
    callspec = getattr(request.node, "callspec", None)
    about = callspec.params.get("device") if callspec else None
    return rig.recorder(request.node, about.limits if about else {})
