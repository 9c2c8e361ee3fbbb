"""Check real, emulated and simulated devices on a rig, and look at what was found."""

from __future__ import annotations

from horus.cli.main import Command

ACTIONS = {
    "report": Command("horus.cli.hil_report", "show what a run found", "horus hil report results"),
}
