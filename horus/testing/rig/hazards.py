"""What a run may do to the world: only what the rig's file and the command line both allow."""

from __future__ import annotations

from collections.abc import Iterable

from horus.errors import HorusError, did_you_mean
from horus.testing.rig.file import RigDevice, RigFile
from horus.testing.rig.kinds import HAZARDS


class UnknownHazardError(HorusError, ValueError):
    """There is no such hazard."""


class HazardRefusedError(HorusError, PermissionError):
    """The command line allows what the rig's file does not."""


def allowed(rig: RigFile, asked: Iterable[str]) -> frozenset[str]:
    """Return what may be done on a rig when the command line asks for these hazards.

    On a rig that is simulated, or an emulated machine, nobody can be hurt: all may be.
    """
    words = [word for text in asked for word in text.replace(",", " ").split()]
    for word in words:
        if word not in HAZARDS:
            near = did_you_mean(word, HAZARDS) or f"; there are {', '.join(HAZARDS)}"
            raise UnknownHazardError(f"--allow {word}: there is no such hazard{near}")
    if rig.kind != "real":
        return frozenset(HAZARDS)
    for word in words:
        if word not in rig.allow:
            raise HazardRefusedError(
                f"--allow {word}: {rig.path} does not allow it: {HAZARDS[word]}. If nobody can be "
                f"hurt on this bench and nothing can break, add it there: "
                f"rig: {{allow: [{', '.join(sorted({*rig.allow, word}))}]}}"
            )
    return frozenset(words)


def reason(hazard: str, device: RigDevice | None, rig: RigFile, allow: frozenset[str]) -> str:
    """Return why a test with a hazard does not run, and what to do; "" when it may."""
    if hazard not in allow:
        if hazard in rig.allow:
            return f"{HAZARDS[hazard]}: only with --allow {hazard}"
        return (
            f"{HAZARDS[hazard]}: only where {rig.path} allows it (rig: {{allow: [{hazard}]}}), "
            f"and with --allow {hazard}"
        )
    if device is not None and device.hazards is not None and hazard not in device.hazards:
        name = device.entry.name
        return f"{HAZARDS[hazard]}: hardware.{name}.hazard in {rig.path} does not name {hazard}"
    return ""
