"""Check real, emulated and simulated devices on a rig, and look at what was found."""

from __future__ import annotations

from horus.cli.main import Command

ACTIONS = {
    "list": Command(
        "horus.cli.hil_list", "list what is plugged in, for a rig's file", "horus hil list --yaml"
    ),
    "check": Command(
        "horus.cli.hil_check", "see whether a rig is ready; move nothing", "horus hil check pi"
    ),
    "run": Command("horus.cli.hil_run", "run the checks on a rig", "horus hil run mock -k imu"),
    "report": Command("horus.cli.hil_report", "show what a run found", "horus hil report results"),
    "virtual": Command(
        "horus.cli.hil_virtual",
        "run a command in an emulated machine with a real kernel",
        "horus hil virtual -- python my_program.py",
    ),
}
