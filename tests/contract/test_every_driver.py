"""Every registered driver on its twin; a new one is tested by being registered."""

import pytest

from horus.plugins import drivers
from horus.testing.driver_contract import *  # noqa: F403

USES = [name for name, found in drivers().items() if found.plugin.package.startswith("horus ")]
pytestmark = pytest.mark.parametrize("use", USES)

# C14 takes as long as most others together. `horus hil run mock`, which CI runs, asks it of each.
del test_many_lives_leave_nothing_behind  # noqa: F821
