"""What a run on real wires has beside its tests: a session, a guardian, breakers, twins.

The guardian is that of `horus run`: should this process be killed while a motor turns, it sends
the motor's last words.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from horus.bus import leftovers, session
from horus.errors import HorusError
from horus.hal.backends import python_can
from horus.hal.faults import DeviceFault
from horus.hardware import alive
from horus.hardware.claims import Claims
from horus.runtime import hang, lastwords
from horus.runtime.guarding import Guardian
from horus.testing.rig.faults import Breaker, MeansError, breaker_type
from horus.testing.rig.file import RigFile
from horus.testing.rig.onefile import write_robot
from horus.testing.rig.ready import with_buses_found
from horus.testing.rig.twin_processes import START_WAIT, TwinProcesses

_SESSION = "HORUS_SESSION_ID"
#: How long (s) processes may take to stop once this one was killed.
GRACE = 3.0


class Workshop:
    """The surroundings of a run on real wires; `close` removes all of it."""

    def __init__(
        self,
        rig: RigFile,
        devices: Iterable[str],
        *,
        twins: bool = False,
        scale: float = 1.0,
        person: bool = False,
    ) -> None:
        self.rig = rig
        self._person = person
        self._scale = scale
        self._before = os.environ.get(_SESSION)
        self._made: dict[tuple[str, str], Breaker] = {}
        #: Those that no other run uses, and the locks that say so.
        self._mine: list[Breaker] = []
        self._locks: list[Claims] = []
        #: The buses that may just now have got their adapters back, by `restore`.
        self.given_back: set[str] = set()
        self.session = session.new_session()
        os.environ[_SESSION] = self.session.id
        if scale > 1:  # a machine that is slower is not one that hangs
            os.environ.setdefault(hang.LIMIT_VARIABLE, f"{hang.DEFAULT_LIMIT * scale:g}")
        self._guardian = Guardian(self.session.id, GRACE, self.session.path)
        #: The processes of the simulated devices; none on a bench.
        self.twins = TwinProcesses(self._guardian.watch)
        try:
            self._guardian.watch(os.getpid())
            self._guardian.prepare()
            if twins:
                self._start_twins(list(devices))
        except BaseException:
            self.close()
            raise

    def breakers(self, device: str) -> Mapping[str, Breaker]:
        """Return by what a device can be given which fault; those of one bus share them."""
        found = {}
        for fault in ("unplug",):
            means = self.rig.means_for(device, fault)
            if means is not None and (self._person or means.by != "person"):
                place = next(
                    place for place, of in self.rig.means.items() if of.get(fault) is means
                )
                if (place, fault) not in self._made:
                    self._made[place, fault] = breaker_type(means.by)(place, means.options)
                found[fault] = self._made[place, fault]
        return found

    def keep_guarded(self) -> None:
        """Put another guardian in the place of one that was killed; a `HorusError` if none can."""
        _, trouble = self._guardian.keep(time.monotonic())
        if trouble:
            raise HorusError(trouble)

    def restore(self, devices: Iterable[str]) -> list[str]:
        """Put right what a run that was killed may have left cut; return what goes wrong.

        Before that the means are locked: what another run has cut at this moment stays so.
        """
        for device in devices:
            if self.breakers(device):
                self.given_back.add(self.rig.root_of(self.rig.robot.hardware[device].bus))
        wrong = []
        for (place, fault), breaker in self._made.items():
            means = self.rig.means[place][fault]
            named = " ".join(f"{name} {value}" for name, value in asdict(means.options).items())
            lock = Claims(f"rig {means.by} {named}", whole=True)
            try:
                lock.take(f"rig {self.rig.name}", ())
                self._locks.append(lock)
                self._mine.append(breaker)
                breaker.restore()
            except DeviceFault as held:
                wrong.append(f"{place}: {held}")
            except MeansError as error:
                wrong.append(str(error))
        return wrong

    def close(self) -> None:
        """End all and remove the session."""
        why = "its check was interrupted while it was stopped"
        for line in lastwords.speak(self.session.path, os.getpid(), why):
            print(line, file=sys.stderr)
        for sign in (self.session.path / alive.FOLDER).glob(f"{os.getpid()}-*"):
            sign.unlink(missing_ok=True)  # else the guardian would take us for one that hangs
        for breaker in self._mine:
            with contextlib.suppress(MeansError):
                breaker.restore()
        for lock in self._locks:
            lock.release()
        self.twins.stop()
        self._guardian.release()
        os.environ.pop(_SESSION, None)
        if self._before is not None:
            os.environ[_SESSION] = self._before
        session.end_session(self.session.id)
        leftovers.clean()

    def _start_twins(self, names: list[str]) -> None:
        rig = self.rig
        ends = {rig.robot.hardware[name].bus for name in names}
        if rig.kind == "virtual":  # twins at the far end of real buses
            rig = with_buses_found(rig)
            ends |= {end for wire in rig.wires.values() for end in wire.ends}
        roots_used = {rig.root_of(end) for end in ends}
        robot = rig.robot  # with what is beside a device on its bus, as on a bench
        devices = [d for d in robot.hardware.values() if rig.root_of(d.bus) in roots_used]
        if not devices:
            return  # wires alone, with nothing on them
        path = write_robot(robot, devices, self.session.path / "twins")
        on_bus: dict[str, list[str]] = {}
        for device in devices:
            on_bus.setdefault(self.rig.root_of(device.bus), []).append(device.name)
        start = self.twins.start
        if self.rig.kind == "virtual":  # where each process costs seconds
            python_can.preload()  # once for the twins' process and this one
            start = self.twins.fork
        start(path, on_bus, START_WAIT * self._scale)
