"""The conformance checks of `horus_hil` for tests of a driver on its twin, in simulated time.

`checks` finds them; ``device`` and ``figure`` are what they need when no rig is named.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from horus.hal.driver import Actuator
from horus.plugins import drivers
from horus.testing import hil
from horus.testing.bench import HandClock
from horus.testing.rig.figures import Recorder
from horus.testing.rig.mock import MockDevice, on_its_own

__all__ = ["checks", "device", "figure"]

pytest.register_assert_rewrite("horus_hil.checks")
#: Starts processes, for which `horus hil run` is.
_WITH_PROCESSES = "test_however_its_process_ends_it_comes_to_rest"


def checks(*, motion: bool) -> dict[str, Callable[..., None]]:
    """Return the tests of C1 to C15 by name: those that move something, or those that do not."""
    suite = import_module("horus_hil.checks")
    names = [
        one.name for one in pkgutil.iter_modules(suite.__path__) if one.name.startswith("test_c")
    ]
    modules = [import_module(f"{suite.__name__}.{name}") for name in names]
    return {
        name: test
        for module in modules
        for name, test in vars(module).items()
        if name.startswith("test_") and name != _WITH_PROCESSES and _moves(test) == motion
    }


def _moves(test: Any) -> bool:
    marks = getattr(test, "pytestmark", ())
    return any(mark.name == "hil_hazard" and "motion" in mark.args for mark in marks)


@pytest.fixture
def device(
    request: pytest.FixtureRequest,
    use: str,
    clock: HandClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[MockDevice]:
    """Return the device ``use``, simulated, with its driver at work."""
    driver = drivers()[use].load()
    hil.applies(request.node, moves=issubclass(driver, Actuator))
    if driver.twin is None:
        pytest.fail(f"{use} has no twin: declare one, with twin_of=")
    monkeypatch.setenv("HORUS_CALIBRATION_DIR", str(tmp_path / "calibration"))
    with clock:
        made = on_its_own(use, clock, tmp_path)
        try:
            yield made
        finally:
            made.fault.clear()
            made.end()


@pytest.fixture
def figure() -> Recorder:
    """Return what fails when what was measured is out of its limits."""
    return Recorder()
