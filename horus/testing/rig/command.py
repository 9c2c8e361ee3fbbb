"""`horus hil run`: pytest with the conformance suite, on a rig."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from horus.errors import HorusError
from horus.testing.rig import choice
from horus.testing.rig.file import RigFile
from horus.testing.virtual import inside


class NoPytestError(HorusError, ImportError):
    """pytest is not installed."""

    exit_code = 2


def checks_folder() -> Path:
    """Return the folder of the conformance suite."""
    return Path(str(files("horus_hil"))) / "checks"


def _virtual(named: str) -> RigFile | None:
    """Return the rig if it is a virtual machine's."""
    try:
        chosen = choice.find(named)
    except HorusError:  # which the run itself tells
        return None
    return chosen.rig if chosen.how == choice.LIVE and chosen.rig.kind == "virtual" else None


def run(rig: str, arguments: Sequence[str] = ()) -> int:
    """Run the checks on a rig; ``arguments`` are pytest's. Return the exit status of the run."""
    if find_spec("pytest") is None:
        raise NoPytestError('the checks run on pytest: `pip install "horus[hil]"`')
    virtual = None if inside.is_inside() else _virtual(rig)
    if virtual is not None:
        from horus.testing.rig import several

        return several.run(virtual, rig, arguments)
    import pytest

    class Begun:
        """Tells a run that began from a command line that pytest refused."""

        began = False

        @pytest.hookimpl(tryfirst=True)
        def pytest_configure(self) -> None:
            self.began = True

    folder, begun = checks_folder(), Begun()
    own = ["-c", str(folder / "pytest.ini"), "--rig", rig, "-p", "no:cacheprovider"]
    # What runs pytest is itself among what pytest would like to rewrite.
    own += ["-W", "ignore::pytest.PytestAssertRewriteWarning", str(folder)]
    status = int(pytest.main([*own, *arguments], plugins=[begun]))
    return status if begun.began else 2
