"""Check real, emulated and simulated devices on a rig, and look at what was found."""

from __future__ import annotations

from horus.cli.main import Command

ACTIONS = {
    "report": Command("horus.cli.hil_report", "show what a run found", "horus hil report results"),
    "virtual": Command(
        "horus.cli.hil_virtual",
        "run a command in an emulated machine with a real kernel",
        "horus hil virtual -- python my_program.py",
    ),
}
