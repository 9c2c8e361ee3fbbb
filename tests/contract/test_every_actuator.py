"""Every registered driver of something that moves, on its twin."""

import pytest

from horus.hal import Actuator
from horus.plugins import drivers
from horus.testing.actuator_contract import *  # noqa: F403

USES = [
    name
    for name, found in drivers().items()
    if found.plugin.package.startswith("horus ") and issubclass(found.load(), Actuator)
]
pytestmark = pytest.mark.parametrize("use", USES)
