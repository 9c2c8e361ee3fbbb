"""Whether a rig is as its file says, before anything on it moves.

Each bus is looked for, asked whether it can be opened, and locked; each device is asked who it is,
which its driver does by reading. All that is wrong is told at once, with what to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from horus.hal.faults import DeviceFault, FaultKind
from horus.hardware.buses import BusHandle
from horus.hardware.claims import Claims, place_of
from horus.hardware.config import BusEntry, DeviceEntry
from horus.hardware.plugged import ROOT
from horus.hardware.worker import Buses
from horus.testing.rig import matching
from horus.testing.rig.file import RigFile

#: So long (s) a device may take to answer; an adapter to appear whose power has just come back.
PATIENCE, RETURN = 3.0, 10.0
_PAUSE = 0.01
#: Faults that do not pass by waiting.
_FINAL = frozenset({FaultKind.REJECTED, FaultKind.DENIED, FaultKind.BUSY, FaultKind.ABSENT})


@dataclass
class Readiness:
    """What was found of a rig; it holds its locks until `release`."""

    #: The rig, with its buses as they were found.
    rig: RigFile
    #: What is wrong, a text each; nothing when the rig is ready.
    problems: list[str] = field(default_factory=list)
    #: What each device says that it is; "" for one that cannot say.
    identities: dict[str, str] = field(default_factory=dict)
    locks: list[Claims] = field(default_factory=list)

    def release(self) -> None:
        """Give the rig back."""
        for lock in self.locks:
            lock.release()
        self.locks.clear()


def look(
    rig: RigFile,
    devices: Iterable[str],
    root: Path = ROOT,
    *,
    probe: bool = True,
    patience: float = PATIENCE,
    back: Mapping[str, float] = MappingProxyType({}),
) -> Readiness:
    """Look whether a rig is ready for tests of these devices, and of its wires; lock it.

    ``back`` is until when (monotonic s) a bus may take to appear that was given back just now.
    """
    devices = list(devices)
    found = Readiness(rig)
    wanted = [rig.robot.hardware[name].bus for name in devices]
    wanted += [end for wire in rig.wires.values() for end in wire.ends]
    needed = {bus.name for name in wanted for bus in _above(rig, name)}
    good = _find(found, [name for name in rig.robot.buses if name in needed], root, back)
    for name in [name for name in good if not rig.robot.buses[name].parent]:
        _prepare(found, found.rig.robot.buses[name], good, back.get(name, 0.0))
    if probe:
        for name in devices:
            if all(bus.name in good for bus in _above(rig, rig.robot.hardware[name].bus)):
                _ask(found, found.rig.robot.hardware[name], patience)
    if found.problems:
        found.release()
    return found


def with_buses_found(rig: RigFile, root: Path = ROOT) -> RigFile:
    """Return a rig with those of its buses found that are there; nothing is asked or locked."""
    found = Readiness(rig)
    _find(found, list(rig.robot.buses), root)
    return found.rig


def _above(rig: RigFile, name: str) -> list[BusEntry]:
    """Return a bus and all that it hangs from."""
    found = []
    while name:
        found.append(rig.robot.buses[name])
        name = found[-1].parent
    return found


def _find(
    found: Readiness,
    names: list[str],
    root: Path,
    back: Mapping[str, float] = MappingProxyType({}),
) -> list[str]:
    """Look for the buses that are to be matched; return those that are there."""
    rig = found.rig
    buses = dict(rig.robot.buses)
    good = []
    taken: dict[str, str] = {}
    for name in names:
        entry = buses[name]
        if name in rig.matches:
            try:
                candidate = _match(entry.use, rig.matches[name], root, back.get(name, 0.0))
            except matching.MatchError as error:
                found.problems.append(f"{name}: {error}")
                continue
            _, option = matching.FAMILIES[entry.use]
            config = replace(entry.config, **{option: candidate.resource})
            entry = buses[name] = replace(entry, config=config)
        other = taken.setdefault(entry.resource or name, name)
        if other != name:
            text = f"{name}: {entry.resource} is already the bus {other}: correct match: of one"
            found.problems.append(text)
            continue
        good.append(name)
    found.rig = rig.with_buses(buses)
    return good


def _match(use: str, match: Mapping[str, str], root: Path, until: float) -> matching.Candidate:
    """Return what has the marks of a bus; the last attempt is after a moment (monotonic s)."""
    while True:
        last = time.monotonic() >= until
        try:
            return matching.find(use, match, root)
        except matching.MatchError:
            if last:
                raise
        time.sleep(_PAUSE)


def _prepare(found: Readiness, entry: BusEntry, good: list[str], until: float) -> None:
    """Ask whether a bus can be opened, by a moment (monotonic s), and lock it for this run."""
    while (problem := entry.backend.preflight(entry.name, entry.config)) and (
        time.monotonic() < until  # what appears is let be opened by others a little later
    ):
        time.sleep(_PAUSE)
    if not problem:
        lock = Claims(f"rig {place_of(entry.use, entry.config)}", whole=True)
        try:
            lock.take(f"rig {found.rig.name}", ())
            found.locks.append(lock)
        except DeviceFault as fault:
            problem = f"{entry.name}: {fault}"
    if problem:
        good.remove(entry.name)
        found.problems.append(problem)


def _ask(found: Readiness, device: DeviceEntry, patience: float) -> None:
    """Learn who a device is; one that is absent or another one is a problem."""
    rig = found.rig
    buses = Buses(rig.robot.tree(rig.root_of(device.bus)), mock=False)
    try:
        found.identities[device.name] = identify(device, buses.handles[device.bus], patience)
    except DeviceFault as fault:
        found.problems.append(str(fault.at(device.name, device.bus)))
    finally:
        buses.close()


def identify(
    device: DeviceEntry,
    bus: BusHandle,
    patience: float = PATIENCE,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> str:
    """Return what a device says that it is, having read and not written.

    Raises:
        DeviceFault: it does not answer, is another one, or its place is in use.

    """
    end = clock() + patience
    place = f" at {device.place}" if device.place else ""
    last = DeviceFault(
        FaultKind.NO_ACK,
        f"no {device.use} answers{place}",
        cure="is it powered, wired to this bus, and set to this address and speed?",
    )
    bus.claim(device.name, *filter(None, device.place.split(",")))
    while True:
        try:
            driver = device.driver(device.config, bus.link(device.name, device.station))
            while not driver.probe():
                if clock() > end:
                    raise last
                sleep(_PAUSE)
                bus.poll()
            return driver.identity()
        except DeviceFault as fault:
            if fault.kind in _FINAL or clock() > end:
                raise
            sleep(_PAUSE)
