"""The process of the simulated devices on one bus: ``python -m horus.hardware.twins``.

Told to stop, it goes on until its motors have come to rest and nobody commands them any more: like
real motors, the twins must still be there when their driver, or the supervisor, makes them safe.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from types import FrameType

from horus.bus import Publisher
from horus.errors import HorusError
from horus.hardware import topics
from horus.hardware.config import DeviceEntry
from horus.hardware.processes import parser, say_ready, show_log, tree_and_devices
from horus.hardware.simhosts import OpenSimulation, Simulation
from horus.hardware.steering import Steering

TRUTH_EVERY = 0.05  # s
#: Told to stop: it ends after this much silence (s) with all at rest, or after the last time (s).
QUIET, AT_LAST = 0.3, 3.0


class TwinProcess:
    """Moves twins on in real time until they are told to stop and have come to rest."""

    def __init__(self, simulation: Simulation, truth_every: float = TRUTH_EVERY) -> None:
        self.simulation = simulation
        self.truth_every = truth_every
        self.host = simulation.host
        self.twins = simulation.twins
        self._stop_ns = 0
        self._truth_ns = 0
        self._topics = {name: Publisher(topics.truth_topic(name)) for name in self.twins}
        self._steering = Steering(self.twins)

    def stop(self, _signum: int = 0, _frame: FrameType | None = None) -> None:
        """Ask for the end; may be a signal handler."""
        self._stop_ns = self._stop_ns or time.monotonic_ns()

    def run(self) -> None:
        """Simulate until the end."""
        while not self._over():
            self.host.step(self.simulation.step)
            self._steering.serve()
            now = time.monotonic_ns()
            if now - self._truth_ns >= self.truth_every * 1e9:
                self._truth_ns = now
                self._show()
        self._show()
        self._steering.close()
        for publisher in self._topics.values():
            publisher.close()

    def _show(self) -> None:
        for name, twin in self.twins.items():
            self._topics[name].send({"mock": True, **twin.truth()})

    def _over(self) -> bool:
        if not self._stop_ns:
            return False
        now = time.monotonic_ns()
        quiet = now - max(self._stop_ns, self.host.commanded_ns) > QUIET * 1e9
        rest = all(twin.truth().get("at_rest", True) for twin in self.twins.values())
        return (quiet and rest) or now - self._stop_ns > AT_LAST * 1e9


def _shown(device: DeviceEntry) -> str:
    replay = device.sim and device.sim.replay
    return f"{device.name} ({device.use}{f', replayed from {replay.name}' if replay else ''})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Hold the simulated devices of one bus until told to stop."""
    args = parser("Hold the simulated devices of one bus.").parse_args(arguments)
    show_log()
    try:
        tree, devices = tree_and_devices(args.config, args.bus)
        simulation = OpenSimulation(tree, devices)
        try:
            process = TwinProcess(simulation)
            for signum in (signal.SIGINT, signal.SIGTERM):
                signal.signal(signum, process.stop)
            print(f"simulates {', '.join(map(_shown, devices))}", flush=True)
            say_ready()
            process.run()
        finally:
            simulation.close()
    except HorusError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
