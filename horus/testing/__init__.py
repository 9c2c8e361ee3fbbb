"""For tests of drivers and robots: a bench, contracts, and a whole robot in simulated time.

A package with a driver of its own gets every test that the drivers of HORUS pass. In its
``conftest.py``::

    from horus.testing.fixtures import *

and in a test file::

    import pytest
    from horus.testing.driver_contract import *

    pytestmark = pytest.mark.parametrize("use", ["my_device"])

and, for a device that moves, the same with `horus.testing.actuator_contract`.
"""

from horus.hardware.simrobot import SimRobot
from horus.testing.bench import Bench, HandClock, device_entry, required_options

__all__ = ["Bench", "HandClock", "SimRobot", "device_entry", "required_options"]
