"""Recorded traffic held against what a driver says now: how it goes on, and where they differ.

The events are those of `horus.hal.wire`; ``at_ns``, where they have it, is when each was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from horus.hal.can import CanFrame

Event = Mapping[str, Any]
#: What a driver says, so that it can be compared: the kind of bus, then what was said.
Word = tuple[Any, ...]

#: How many of the driver's recorded words may be left out to find the one that it says now.
LOOKAHEAD = 256
#: How far apart (ns) words may be to come in another order: those of a driver that asks by the age
#: of what it has do so by themselves.
ORDER = 250_000_000
#: How many differences are kept and told word for word; further ones are counted.
KEPT = 20
FLAGS = ("extended", "remote", "fd", "error")


def word_of(event: Event) -> Word | None:
    """Return what the driver said in an event; None for what came by itself."""
    if "unit" in event:
        if "values" in event:
            values = tuple(event["values"])
            return ("modbus", event["unit"], event["address"], values, event["single"])
        return ("modbus", event["unit"], event["table"], event["address"], event["count"])
    if "address" in event:
        wanted = event["wanted"] if "fault" in event else len(event["read"])
        return ("i2c", event["address"], bytes(event["write"]), wanted)
    if not event["sent"]:
        return None
    if "id" in event:
        return ("can", event["id"], bytes(event["data"]), *(bool(event.get(f)) for f in FLAGS))
    return ("serial", bytes(event["data"]))


def shown(word: Word) -> str:
    """Return a word for people."""
    kind, *rest = word
    if kind == "i2c":
        address, write, read = rest
        return f"write [{write.hex(' ')}] read {read} at 0x{address:02X}"
    if kind == "can":
        id, data, *flags = rest
        return str(CanFrame(id, data, **dict(zip(FLAGS, flags, strict=True))))
    if kind == "serial":
        return f"[{rest[0].hex(' ')}]"
    unit, *rest = rest
    if isinstance(rest[1], tuple):
        return f"write {list(rest[1])} to registers from {rest[0]} of unit {unit}"
    return f"read {rest[2]} {rest[0]} registers from {rest[1]} of unit {unit}"


class Tape:
    """Events one after the other, and how far they have been played.

    ``tell`` is told of each difference that is kept.
    """

    def __init__(
        self,
        events: Sequence[Event],
        name: str = "",
        tell: Callable[[str], object] = lambda text: None,
    ) -> None:
        self.events = events
        self.name = name
        self.words = [word_of(event) for event in events]
        #: The first thing that the driver said; None where it said nothing.
        self.first = next((word for word in self.words if word is not None), None)
        #: The next event, the first that may still be said, and those behind it that were said.
        self.at = 0
        self.floor = 0
        self.said: set[int] = set()
        #: How often driver and recording differed, and the first differences in words.
        self.deviations = 0
        self.differences: list[str] = []
        self.tell = tell

    @property
    def over(self) -> bool:
        """Whether all of it has been played."""
        return self.at >= len(self.events)

    def time_ns(self, place: int) -> int:
        """Return when an event was; 0 where that is not known."""
        return int(self.events[place].get("at_ns", 0))

    @property
    def length(self) -> float:
        """Return when the last event was, in seconds."""
        return self.time_ns(len(self.events) - 1) / 1e9 if self.events else 0.0

    def rewind(self) -> None:
        """Go back to the beginning."""
        self.at = self.floor = 0
        self.said.clear()

    def expected(self) -> int | None:
        """Return the place of the driver's next word; None when it said nothing more."""
        for place in range(self.at, len(self.events)):
            if self.words[place] is not None and place not in self.said:
                return place
        return None

    def find(self, fits: Callable[[Word], bool]) -> int | None:
        """Return the place of the driver's next word that fits, if it is not too far ahead.

        A driver that begins anew finds the recording's beginning.
        """
        left = LOOKAHEAD
        for place in range(self.floor, len(self.events)):
            word = self.words[place]
            if word is None or place in self.said:
                continue
            if fits(word):
                return place
            left -= 1
            if not left:
                break
        if self.first is None or not fits(self.first):
            return None
        # One that says the same all the time has come to the recording's end instead.
        again = left < LOOKAHEAD or self.words.count(self.first) == 1
        return self.words.index(self.first) if again else None

    def near(self, place: int) -> bool:
        """Return whether a word may be said now, before others that were said before it."""
        return self.time_ns(place) - self.time_ns(self.at) <= ORDER

    def take(self, place: int) -> None:
        """Take note that a word was said; ``at`` moves over what was said out of order."""
        self.said.add(place)
        while not self.over and self.at in self.said:
            self.at += 1
        oldest = self.time_ns(min(self.at, len(self.events) - 1)) - ORDER
        while self.floor < self.at and (
            self.words[self.floor] is None
            or self.floor in self.said
            or self.time_ns(self.floor) < oldest
        ):
            self.said.discard(self.floor)
            self.floor += 1

    def difference(self, said: str) -> str:
        """Return in words when, what the driver says, and what the recording has."""
        place = self.expected()
        word = None if place is None else self.words[place]
        recorded = "nothing more of the driver" if word is None else f"{shown(word)} next"
        when = ""
        if self.events and "at_ns" in self.events[-1]:
            at = self.time_ns(len(self.events) - 1 if place is None else place)
            when = f"{self.name} at {at / 1e9:.6f} s: "
        return f"{when}the driver says {said}, the recording has {recorded}"

    def deviate(self, text: str) -> None:
        """Take note of a difference."""
        self.deviations += 1
        if self.deviations <= KEPT:
            self.differences.append(text)
            self.tell(text)
        if self.deviations == KEPT:
            self.tell(f"these were {KEPT} differences; further ones are only counted")
