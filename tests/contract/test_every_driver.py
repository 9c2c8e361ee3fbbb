"""Every registered driver on its twin; a new one is tested by being registered."""

import pytest

from horus.plugins import drivers
from horus.testing.driver_contract import *  # noqa: F403

USES = [name for name, found in drivers().items() if found.plugin.package.startswith("horus ")]
pytestmark = pytest.mark.parametrize("use", USES)
