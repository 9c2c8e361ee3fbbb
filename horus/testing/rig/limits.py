"""Limits of a rig's file that limit nothing, since no figure has their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from horus.errors import did_you_mean
from horus.testing.report.results import CheckResult
from horus.testing.rig.file import RigDevice, RigFile


def unused(
    rig: RigFile, devices: Iterable[RigDevice], checks: Sequence[CheckResult], everything: bool
) -> list[str]:
    """Return a text for each limit that no figure of a run was compared with.

    Where not all checks were run (``everything``) only those that look misspelt are told.
    """
    texts = []
    for device in devices:
        about = device.entry
        mine = [check for check in checks if check.device == about.name]
        figures = {figure.name for check in mine for figure in check.figures}
        for name in device.limits if mine else ():
            near = did_you_mean(name, figures).replace("'", "")
            if name not in figures and (near or everything):
                texts.append(
                    f"{rig.path}:{about.line}: hardware.{about.name}.limits.{name}: no figure of "
                    f"this run has this name{near}: it limited nothing"
                )
    return texts
