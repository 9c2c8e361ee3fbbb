"""Faults of what is on real wires: by the means of the rig's file, else by its twin."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from horus.testing.rig.faults import Breaker
from horus.testing.rig.twin_faults import TwinFaults
from horus.testing.rig.under_test import Faults, Journal


class BenchFaults(Faults):
    """Faults of a device on a bench: those for which its file gives means."""

    def __init__(self, device: str, journal: Journal, breakers: Mapping[str, Breaker]) -> None:
        super().__init__(device, journal)
        self._breakers = breakers
        self._cut = False

    def unplug(self) -> None:
        """Take the device away from its bus by the means that the rig's file gives."""
        breaker = self._breakers.get("unplug")
        if breaker is None:
            super().unplug()
        assert breaker is not None
        self.journal.did(self.device, "unplug", type(breaker).__name__)
        self._cut = True  # before it is: whatever goes wrong, it is put back
        breaker.cut()

    def plug(self) -> None:
        """Put it back."""
        if self._cut:
            self._breakers["unplug"].restore()
            self._cut = False
            self.journal.undone(self.device, "unplug")

    def clear(self) -> None:
        """Undo all faults."""
        self.plug()


class WiredFaults(TwinFaults):
    """Faults of a twin that is unplugged by the means of the rig's file, if that gives any."""

    def __init__(
        self,
        device: str,
        journal: Journal,
        send: Callable[[str, float | None], object],
        breakers: Mapping[str, Breaker],
    ) -> None:
        super().__init__(device, journal, send)
        self._breaker = breakers.get("unplug")
        self._cut = False

    def unplug(self) -> None:
        """Take the device away from its bus."""
        if self._breaker is None:
            super().unplug()
            return
        self.journal.did(self.device, "unplug", type(self._breaker).__name__)
        self._cut = True  # before it is: whatever goes wrong, it is put back
        self._breaker.cut()

    def plug(self) -> None:
        """Put it back."""
        if self._breaker is None:
            super().plug()
        elif self._cut:
            self._breaker.restore()
            self._cut = False
            self.journal.undone(self.device, "unplug")

    def clear(self) -> None:
        """Undo all faults."""
        self.plug()
        super().clear()
