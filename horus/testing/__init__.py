"""For tests of drivers: a bench with a device, its twin and a clock moved by hand, and contracts.

A package with a driver of its own gets every test that the drivers of HORUS pass. In its
``conftest.py``::

    from horus.testing.fixtures import *

and in a test file::

    import pytest
    from horus.testing.driver_contract import *

    pytestmark = pytest.mark.parametrize("use", ["my_device"])

and, for a device that moves, the same with `horus.testing.actuator_contract`.
"""

from horus.testing.bench import Bench, HandClock, device_entry, required_options

__all__ = ["Bench", "HandClock", "device_entry", "required_options"]
