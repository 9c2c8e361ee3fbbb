"""What every driver must do, on its twin."""

import pytest
from horus.testing.driver_contract import *  # noqa: F403

pytestmark = pytest.mark.parametrize("use", ["ltr303"])
