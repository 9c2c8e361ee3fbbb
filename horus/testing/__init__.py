"""For tests of drivers and robots: a bench, contracts, and a whole robot in simulated time.

A package with a driver of its own gets every test that the drivers of HORUS pass. In its
``conftest.py``::

    from horus.testing.fixtures import *

and in a test file::

    import pytest
    from horus.testing.driver_contract import *

    pytestmark = pytest.mark.parametrize("use", ["my_device"])

and, for a device that moves, the same with `horus.testing.actuator_contract`.

They are the conformance checks C1 to C15, on the driver's twin, and what no rig can ask.

The same driver on hardware: `horus.testing.hil`, and ``pytest --pyargs horus_hil.checks --rig
FILE``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from horus.hardware.simrobot import SimRobot
    from horus.testing.bench import Bench, HandClock, device_entry, required_options

__all__ = ["Bench", "HandClock", "SimRobot", "device_entry", "required_options"]


def __getattr__(name: str) -> Any:
    """Import what is asked for: pytest imports this package in every run, for its plugin."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "horus.hardware.simrobot" if name == "SimRobot" else "horus.testing.bench"
    return getattr(import_module(module), name)
