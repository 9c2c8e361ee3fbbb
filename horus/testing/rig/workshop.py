"""What a run on real wires has beside its tests: a session, a guardian, breakers, twins.

The guardian is that of `horus run`: should this process be killed while a motor turns, it sends
the motor's last words.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from horus.bus import leftovers, session
from horus.errors import HorusError
from horus.hal.backends import python_can
from horus.hardware.processes import READY_FILE
from horus.runtime import child, hang
from horus.runtime.process import Guardian
from horus.testing.rig.faults import Breaker, MeansError, breaker_type
from horus.testing.rig.file import RigFile
from horus.testing.rig.onefile import write_robot
from horus.testing.rig.ready import with_buses_found
from horus.testing.virtual import twins as wired
from horus.testing.virtual.forked import Forked

_SESSION = "HORUS_SESSION_ID"
#: How long (s) processes may take to stop once this one was killed; to start; to end.
GRACE, START_WAIT, STOP_WAIT = 3.0, 30.0, 10.0


#: What holds the twins of a simulated bus.
TWINS = "horus.hardware.twins"


class TwinsError(HorusError, RuntimeError):
    """The processes of the simulated devices do not start."""


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
        self._twins: list[subprocess.Popen[bytes] | Forked] = []
        self._made: dict[tuple[str, str], Breaker] = {}
        self.session = session.new_session()
        os.environ[_SESSION] = self.session.id
        if scale > 1:  # a machine that is slower is not one that hangs
            os.environ.setdefault(hang.LIMIT_VARIABLE, f"{hang.DEFAULT_LIMIT * scale:g}")
        self._guardian = Guardian(self.session.id, GRACE, self.session.path)
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

    def restore(self, devices: Iterable[str]) -> list[str]:
        """Put right what a run that was killed may have left cut; return what goes wrong."""
        wrong = []
        for breaker in {id(b): b for d in devices for b in self.breakers(d).values()}.values():
            try:
                breaker.restore()
            except MeansError as error:
                wrong.append(str(error))
        return wrong

    def close(self) -> None:
        """End all and remove the session."""
        for breaker in self._made.values():
            with contextlib.suppress(MeansError):
                breaker.restore()
        self._stop_twins()
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
        path = write_robot(robot, devices, self.session.path / "twins")
        roots = list(dict.fromkeys(self.rig.root_of(device.bus) for device in devices))
        if self.rig.kind == "virtual":  # where each process costs seconds
            roots = [",".join(roots)]
            python_can.preload()  # once for the twins' process and this one
        waiting = dict(self._start_twin(path, bus) for bus in roots)
        deadline = time.monotonic() + START_WAIT * self._scale
        while not all(ready.exists() for ready in waiting.values()):
            for bus, ready in waiting.items():
                ended = any(twin.poll() is not None for twin in self._twins)
                if (ended or time.monotonic() > deadline) and not ready.exists():
                    raise TwinsError(f"the simulated devices on {bus} do not start")
            time.sleep(0.01)

    def _start_twin(self, path: Path, bus: str) -> tuple[str, Path]:
        ready = path.parent / f"{bus}.ready"
        arguments = ["--config", str(path), "--bus", bus]
        twin: subprocess.Popen[bytes] | Forked
        if self.rig.kind == "virtual":  # where a new Python takes ten seconds

            def hold() -> int:
                os.environ[READY_FILE] = str(ready)
                return wired.main(arguments)

            twin = Forked(hold)
        else:
            module = ("module", TWINS, *arguments)
            twin = subprocess.Popen(
                [sys.executable, child.__file__, str(os.getpid()), *module],
                env={**os.environ, READY_FILE: str(ready)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # the terminal's Ctrl-C is not for it
            )
        self._twins.append(twin)
        self._guardian.watch(twin.pid)
        return bus, ready

    def _stop_twins(self) -> None:
        for twin in self._twins:
            twin.send_signal(signal.SIGTERM)
        for twin in self._twins:
            try:
                twin.wait(STOP_WAIT)
            except subprocess.TimeoutExpired:
                twin.kill()
                twin.wait()
        self._twins.clear()
