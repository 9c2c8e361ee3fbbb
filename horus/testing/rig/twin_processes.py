"""The processes of a run's simulated devices: started, watched while the run goes on, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from horus.errors import HorusError
from horus.hardware.processes import READY_FILE
from horus.runtime import child
from horus.testing.virtual import twins as wired
from horus.testing.virtual.forked import Forked

#: How long (s) they may take to start; to end.
START_WAIT, STOP_WAIT = 30.0, 10.0
#: What holds the twins of a simulated bus.
MODULE = "horus.hardware.twins"
#: How much (bytes) is shown of what one printed before it ended.
SHOWN = 1500
_LOOK_EVERY = 0.01


class TwinsError(HorusError, RuntimeError):
    """The processes of the simulated devices do not start."""


class TwinsDiedError(HorusError, RuntimeError):
    """A process of simulated devices has ended in the middle of a run: nobody is there to check."""


_Running = Union["subprocess.Popen[bytes]", Forked]
_Begin = Callable[[list[str], Path, Path], _Running]


@dataclass(frozen=True)
class _Process:
    running: _Running
    #: Its buses, with commas.
    bus: str
    devices: Sequence[str]
    config: Path
    begin: _Begin
    ready: Path
    log: Path

    @property
    def what(self) -> str:
        """Return which devices it holds, in words."""
        return f"the simulated devices on {self.bus} ({', '.join(self.devices)})"

    def end(self) -> str:
        """Return how it ended, with what it printed at last; "" while it runs."""
        code = self.running.poll()
        if code is None:
            return ""
        how = f"ended with status {code}" if code >= 0 else f"was killed by {_signal(-code)}"
        try:
            printed = self.log.read_bytes()[-SHOWN:].decode(errors="replace").strip()
        except OSError:  # with the session's folder
            printed = ""
        said = f"; it printed:\n{printed}" if printed else ""
        return f"their process (pid {self.running.pid}) {how}{said}"


class TwinProcesses:
    """One process for the twins of each bus; in an emulated machine one for all of them."""

    def __init__(self, watch: Callable[[int], object]) -> None:
        self._watch = watch
        self._all: list[_Process] = []

    def start(self, config: Path, buses: Mapping[str, Sequence[str]], seconds: float) -> None:
        """Start those of each bus of a horus.yaml, with the names of the devices on it.

        Raises:
            TwinsError: they do not start within ``seconds``.

        """
        for bus, devices in buses.items():
            self._add(bus, devices, config, self._popen)
        self._wait(seconds)

    def fork(self, config: Path, buses: Mapping[str, Sequence[str]], seconds: float) -> None:
        """Start them as one copy of this process, at the far end of a kernel's buses.

        Raises:
            TwinsError: they do not start within ``seconds``.

        """
        devices = [device for on_bus in buses.values() for device in on_bus]
        self._add(",".join(buses), devices, config, self._forked)
        self._wait(seconds)

    def death(self) -> str:
        """Return which twins are no more and how they ended; "" while all are there."""
        ends = ((one.what, one.end()) for one in self._all)
        return "\n".join(f"{what} died: {end}" for what, end in ends if end)

    def check(self) -> None:
        """Raise `TwinsDiedError` if some are no more."""
        death = self.death()
        if death:
            raise TwinsDiedError(death)

    def swap(
        self, device: str, other: Callable[[Path], Path], seconds: float
    ) -> Callable[[], None]:
        """Begin those of a device's bus again from another horus.yaml, made from theirs.

        What is returned begins them again as they were.

        Raises:
            TwinsError: they do not start within ``seconds``.

        """
        place, before = next((i, p) for i, p in enumerate(self._all) if device in p.devices)

        def begin_again(config: Path) -> None:
            _end([self._all[place]])
            self._add(before.bus, before.devices, config, before.begin)
            self._all[place] = self._all.pop()
            self._wait(seconds)

        try:
            begin_again(other(before.config))
        except BaseException:
            begin_again(before.config)
            raise
        return lambda: begin_again(before.config)

    def stop(self) -> None:
        """End all."""
        _end(self._all)
        self._all.clear()

    def _add(
        self,
        bus: str,
        devices: Sequence[str],
        config: Path,
        begin: _Begin,
    ) -> None:
        ready, log = config.parent / f"{bus}.ready", config.parent / f"{bus}.log"
        ready.unlink(missing_ok=True)
        running = begin(["--config", str(config), "--bus", bus], ready, log)
        self._all.append(_Process(running, bus, devices, config, begin, ready, log))
        self._watch(running.pid)

    def _popen(self, arguments: list[str], ready: Path, log: Path) -> _Running:
        command = [sys.executable, child.__file__, str(os.getpid()), "module", MODULE, *arguments]
        with log.open("wb") as printed:
            return subprocess.Popen(
                command,
                env={**os.environ, READY_FILE: str(ready)},
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # the terminal's Ctrl-C is not for it
            )

    def _forked(self, arguments: list[str], ready: Path, log: Path) -> _Running:
        def hold() -> int:  # a new Python takes ten seconds there
            os.environ[READY_FILE] = str(ready)
            with log.open("wb") as printed:
                for end in (1, 2):
                    os.dup2(printed.fileno(), end)
            return wired.main(arguments)

        return Forked(hold)

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while waiting := [one for one in self._all if not one.ready.exists()]:
            for one in waiting:
                end = one.end()
                if end and not one.ready.exists():
                    raise TwinsError(f"{one.what} do not start: {end}")
            if time.monotonic() > deadline:
                raise TwinsError(f"{waiting[0].what} do not start within {seconds:g} s")
            time.sleep(_LOOK_EVERY)


def _end(processes: Sequence[_Process]) -> None:
    for one in processes:
        one.running.send_signal(signal.SIGTERM)
    for one in processes:
        try:
            one.running.wait(STOP_WAIT)
        except subprocess.TimeoutExpired:
            one.running.kill()
            one.running.wait()


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
