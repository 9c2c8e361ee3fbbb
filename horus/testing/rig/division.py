"""Which devices and wires of a rig go to which of several machines: whole buses, evenly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from horus.errors import ConfigError, did_you_mean
from horus.testing.rig.file import RigDevice, RigFile, Wire
from horus.testing.rig.kinds import CHECKS

_T = TypeVar("_T")
#: How long the tests of a wire take, and C11, which starts processes, in conformance checks.
_WIRE, _SAFE = 1, 10


@dataclass
class Part:
    """The devices and wires that one machine tests."""

    devices: list[str] = field(default_factory=list)
    wires: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Return the names of all."""
        return [*self.devices, *self.wires]


def chosen_devices(rig: RigFile, names: list[str], wires: list[str]) -> dict[str, RigDevice]:
    """Return the devices of these names; for none all, unless wires are named alone.

    An unknown one is a `ConfigError`.
    """
    if not names and wires:
        return {}
    return _chosen("--rig-device", "device", names, rig.devices, rig)


def chosen_wires(rig: RigFile, names: list[str], devices: list[str]) -> dict[str, Wire]:
    """Return the wires of these names; for none all, unless devices are named alone."""
    if not names and devices:
        return {}
    return _chosen("--rig-wire", "wire", names, rig.wires, rig)


def _chosen(
    option: str, what: str, names: list[str], known: Mapping[str, _T], rig: RigFile
) -> dict[str, _T]:
    faults = []
    for name in names:
        if name not in known:
            near = did_you_mean(name, known) or f"; it has {', '.join(known) or 'none'}"
            faults.append(f"{option} {name}: {rig.path} has no such {what}{near}")
    if faults:
        raise ConfigError(faults)
    return {name: one for name, one in known.items() if not names or name in names}


def divide(rig: RigFile, devices: list[str], wires: list[str], count: int) -> list[Part]:
    """Return at most ``count`` parts, each with a device; what shares a bus is in the same."""
    groups: dict[str, Part] = {}
    for name in devices:
        groups.setdefault(rig.root_of(rig.devices[name].entry.bus), Part()).devices.append(name)
    alone = []
    for name in wires:
        roots = [root for end in rig.wires[name].ends if (root := rig.root_of(end)) in groups]
        if not roots:
            alone.append(name)
            continue
        first, *others = (groups[root] for root in dict.fromkeys(roots))
        first.wires.append(name)
        for other in (part for part in others if part is not first):  # between two: they are one
            first.devices += other.devices
            first.wires += other.wires
            groups = {root: first if part is other else part for root, part in groups.items()}
    whole = list({id(part): part for part in groups.values()}.values())
    parts: list[Part] = [Part() for _ in range(max(1, min(count, len(whole))))]
    for group in sorted(whole, key=lambda part: -_work(rig, part)):
        least = min(parts, key=lambda part: _work(rig, part))
        least.devices += group.devices
        least.wires += group.wires
    for name in alone:
        min(parts, key=lambda part: _work(rig, part)).wires.append(name)
    return parts


def _work(rig: RigFile, part: Part) -> int:
    """Return how much there is to be done, in conformance checks."""
    work = _WIRE * len(part.wires)
    for device in (rig.devices[name] for name in part.devices):
        checks = frozenset(CHECKS) if device.checks is None else device.checks
        work += len(checks) + _SAFE * (device.moves and "C11" in checks)
    return work
