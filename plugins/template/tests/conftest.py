"""What the tests get: a clock moved by hand, a bench, and topics of their own."""

from pathlib import Path

import pytest
from horus.testing.fixtures import *  # noqa: F403


@pytest.fixture(autouse=True)
def own_topics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the topics of a test apart from those of other tests and of robots that run."""
    monkeypatch.setenv("HORUS_SHM_DIR", str(tmp_path / "topics"))
