"""The pytest plugin: ``pytest --rig FILE`` runs checks on a rig; without a rig it does nothing.

It is loaded in every run of pytest where HORUS is installed, so it imports nothing until a rig is
named, by ``--rig`` or by the environment variable HORUS_RIG.
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_MARKERS = (
    "hil_check(number): which of the conformance checks C1 to C15 of a rig this is",
    "hil_needs(wire): runs for each wire of this kind that the rig has",
    "hil_commanded: is about devices that take commands, and does not apply to others",
    "hil_hazard(kind): runs where the rig's file and the command line both allow this",
    "hil_quarantine(why): runs and is reported, but its failure does not count",
    "hil_soak: goes on for as long as --hil-soak says",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of a rig."""
    add = parser.getgroup("horus", "hardware in the loop").addoption
    add(
        "--rig",
        metavar="RIG",
        help="the rig to run on: a rig file, mock, mock:FILE or twins:FILE (or set HORUS_RIG)",
    )
    add(
        "--rig-device",
        action="append",
        default=[],
        metavar="NAME",
        help="test this device of the rig alone; may be given several times",
    )
    add(
        "--rig-wire",
        action="append",
        default=[],
        metavar="NAME",
        help="test this wire of the rig alone; may be given several times",
    )
    add(
        "--allow",
        action="append",
        default=[],
        metavar="HAZARD",
        help="allow motion, heat, memory or unplug, where the rig's file allows it too",
    )
    add("--hil-report", metavar="DIR", help="write report.json and report.html into this folder")
    add("--hil-baseline", metavar="FILE", help="compare with this report.json of an earlier run")
    add(
        "--hil-scale",
        type=_above_zero,
        metavar="X",
        help="multiply limits of time by X (default: 1; 4 on a virtual rig)",
    )
    add(
        "--hil-hang",
        type=_above_zero,
        metavar="S",
        help="end the run when a check takes longer than this (default: 600, times X)",
    )
    add("--hil-strict", action="store_true", help="a check that is skipped fails")
    add("--hil-person", action="store_true", help="somebody is at the terminal, to pull plugs")
    add(
        "--hil-machines",
        type=at_least_one,
        metavar="N",
        help="virtual machines of a virtual rig (default: one for each core, at most one a bus)",
    )
    # A part of a run in several machines, which has these devices, with commas.
    add("--hil-part", default="", help=argparse.SUPPRESS)
    add("--hil-soak", type=_above_zero, metavar="S", help="run the long checks, for S seconds each")


def _above_zero(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0.0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text}")
    return number


def at_least_one(text: str) -> int:
    """Return a whole number above 0, of an option."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not {text}")
    return int(text)


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known; begin with the rig if there is one."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    choice = config.getoption("rig")
    if choice is None:
        choice = os.environ.get("HORUS_RIG") or None
    if choice is not None and not config.getoption("help"):
        from horus.testing.rig import session

        session.begin(config, choice)
