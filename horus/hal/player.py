"""Plays a tape in time: what the device sent by itself, and how it goes on with what it is told."""

from __future__ import annotations

from collections.abc import Callable

from horus.hal.tape import Event, Tape, Word

#: How long (ns) the device is without power between the end and beginning anew.
PAUSE = 1_000_000_000
#: Most time (ns) between the beginning and the first event.
LEAD = 2_000_000_000
#: How long (ns) the device waits for what the driver said then, before it goes on without.
GRACE = 200_000_000


class Player:
    """Plays a tape on a clock (ns) that its caller moves."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        #: A moment now and the same one on the tape; from there time is counted.
        self._anchor = (0, 0)
        self._over_ns: int | None = None
        #: Whether the driver has said anything since the beginning, and does not keep up with it.
        self._spoken = False
        self._adrift = False

    def begin(self, now_ns: int) -> None:
        """Play from the beginning."""
        tape = self.tape
        tape.rewind()
        self._over_ns = None
        self._spoken = self._adrift = False
        first = tape.time_ns(0) if tape.events else 0
        self._anchor = (now_ns, max(0, first - LEAD))

    def say(
        self, fits: Callable[[Word], bool], said: str, now_ns: int
    ) -> tuple[list[Event], Event | None]:
        """Go on behind what the driver says; return what came before it, and the event itself.

        None stands for what was not said then, and for a device that is without power.
        """
        tape = self.tape
        if self._dark(now_ns):
            return [], None
        place = tape.find(fits)
        if place is None:
            tape.deviate(tape.difference(said))
            self._adrift = True  # what was said instead will not come
            return [], None
        if place < tape.floor:  # it has begun anew
            tape.rewind()
            tape.at = tape.floor = place
        passed: list[Event] = []
        expected = tape.expected()
        if place >= tape.at and (place == expected or not tape.near(place)):
            if place != expected:
                on = f"; it goes on at {tape.time_ns(place) / 1e9:.6f} s"
                tape.deviate(tape.difference(said) + on)
            passed = [tape.events[n] for n in range(tape.at, place) if tape.words[n] is None]
            tape.at = place + 1
            self._anchor = (now_ns, tape.time_ns(place))
            self._adrift = False
        self._spoken = True
        tape.take(place)
        return passed, tape.events[place]

    def due(self, now_ns: int) -> list[Event]:
        """Return what the device sends by itself now."""
        tape = self.tape
        found: list[Event] = []
        if self._dark(now_ns):
            return found
        began, first = self._anchor
        while not tape.over:
            late = now_ns - began - (tape.time_ns(tape.at) - first)
            if late < 0:
                break
            word = tape.words[tape.at]
            if word is None:
                found.append(tape.events[tape.at])
            elif tape.at in tape.said:
                pass
            elif not self._spoken:
                if late > GRACE:  # it was not there yet when the device began to send
                    self.begin(now_ns)
                break
            elif not self._adrift:
                if late <= GRACE:
                    break
                tape.deviate(f"{tape.difference('nothing')}; the device goes on without it")
                self._adrift = True
                self._anchor = began, first = now_ns, tape.time_ns(tape.at)
            tape.at += 1
        return found

    def _dark(self, now_ns: int) -> bool:
        """Return whether the recording is over and the device without power."""
        tape = self.tape
        if not tape.over:
            return False
        if self._over_ns is None:
            self._over_ns = now_ns
            if tape.events:
                tape.tell(f"{tape.name} is over after {tape.length:.3f} s: it begins anew")
        if now_ns - self._over_ns < PAUSE or not tape.events:
            return True
        self.begin(now_ns)
        return False
