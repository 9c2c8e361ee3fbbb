"""Faults of a twin, in this process or in one of its own: it can be given all of them."""

from __future__ import annotations

from collections.abc import Callable

from horus.testing.rig.under_test import Faults, Journal


class TwinFaults(Faults):
    """Faults of one twin; ``send`` gives it one by name, with its number, if it has one."""

    def __init__(
        self, device: str, journal: Journal, send: Callable[[str, float | None], object]
    ) -> None:
        super().__init__(device, journal)
        self._send = send
        #: Those that are on, with their numbers.
        self._on: dict[str, float | None] = {}

    def unplug(self) -> None:
        """Take the twin's power and bus away."""
        self._set("unplug", None)

    def plug(self) -> None:
        """Give them back."""
        self._send("plug", None)
        self._on.pop("unplug", None)
        self.journal.undone(self.device, "unplug")

    def silence(self, on: bool = True) -> None:
        """Let the twin stop answering, or answer again."""
        if on:
            self._set("silence", None)
            return
        others = {kind: value for kind, value in self._on.items() if kind != "silence"}
        self.clear()
        for kind, value in others.items():
            self._set(kind, value)

    def nak(self, share: float) -> None:
        """Let the twin miss this share of what is sent to it."""
        self._set("nak", share)

    def corrupt(self, share: float) -> None:
        """Damage this share of what the twin sends."""
        self._set("corrupt", share)

    def drop(self, share: float) -> None:
        """Lose this share of what the twin sends."""
        self._set("drop", share)

    def slow(self, seconds: float) -> None:
        """Let the twin answer this much later."""
        self._set("slow", seconds)

    def _set(self, kind: str, value: float | None) -> None:
        self._send(kind, value)
        if value == 0.0:
            self._on.pop(kind, None)
            self.journal.undone(self.device, kind)
        else:
            self._on[kind] = value
            self.journal.did(self.device, kind, "twin", value)

    def clear(self) -> None:
        """Undo all."""
        self._send("clear", None)
        self._on.clear()
        self.journal.undone(self.device)
