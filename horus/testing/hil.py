"""Markers for checks that run on a rig.

In a test file::

    from horus.testing import hil

    @hil.check("C4")
    def test_it_keeps_its_rate(device, figure): ...

`check` says which of the conformance checks a test belongs to, `needs` which wire the rig must
have, `commanded` that it is about devices that take commands, `hazard` what the test does that
must be allowed, `quarantine` that its failure does not count for now, `soak` that it takes as long
as ``--hil-soak`` says.
"""

from __future__ import annotations

from typing import NoReturn

import pytest

from horus.testing.report.results import NOT_APPLICABLE
from horus.testing.rig.kinds import CHECKS, HAZARDS, WIRES

__all__ = [
    "CHECKS",
    "HAZARDS",
    "WIRES",
    "applies",
    "check",
    "commanded",
    "hazard",
    "needs",
    "not_applicable",
    "quarantine",
    "soak",
]


def check(number: str) -> pytest.MarkDecorator:
    """Mark a test as one of the conformance checks, C1 to C15."""
    if number not in CHECKS:
        raise ValueError(f"{number!r} is no check; there are {', '.join(CHECKS)}")
    return pytest.mark.hil_check(number)


def needs(wire: str) -> pytest.MarkDecorator:
    """Mark a test that needs a kind of wire: it runs once for each, with the fixture ``wire``."""
    if wire not in WIRES:
        raise ValueError(f"{wire!r} is no kind of wire; there are {', '.join(WIRES)}")
    return pytest.mark.hil_needs(wire)


def hazard(kind: str) -> pytest.MarkDecorator:
    """Mark a test that runs only where both the rig's file and the command line allow this."""
    if kind not in HAZARDS:
        raise ValueError(f"{kind!r} is no hazard; there are {', '.join(HAZARDS)}")
    return pytest.mark.hil_hazard(kind)


#: Marks tests of devices that are commanded; they do not apply to one that only measures, which is
#: not even opened for them.
commanded = pytest.mark.hil_commanded


def applies(item: pytest.Item, *, moves: bool) -> None:
    """Skip a test that is about devices that take commands, for one that does not."""
    if item.get_closest_marker("hil_commanded") and not moves:
        not_applicable("it only measures: there is nothing to command or to stop")


def quarantine(why: str) -> pytest.MarkDecorator:
    """Mark a test that runs and is reported, but whose failure does not fail the run."""
    return pytest.mark.hil_quarantine(why)


def not_applicable(why: str) -> NoReturn:
    """Skip a test that has no meaning for this device or this kind of rig.

    Unlike with another skip nothing lacks: no wire and no permission would let it run.
    """
    pytest.skip(f"{NOT_APPLICABLE}{why}")


#: A test that goes on for the seconds that ``--hil-soak`` says, and is skipped without.
soak = pytest.mark.hil_soak
