"""What the suite says when no rig is named."""

from __future__ import annotations

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """End the run with the cure, where each test would say that a fixture is not there."""
    if not metafunc.config.pluginmanager.has_plugin("horus_rig"):
        pytest.exit("the checks need a rig: --rig FILE, --rig mock or --rig mock:FILE", 2)
