"""The protocol of frames in `horus/bus/LAYOUT.md`: a slot, its pins, who writes it and who looks.

One slot is enough: slots know nothing of each other. Every frame goes into it, so a publisher that
finds it pinned tries again.
"""

from __future__ import annotations

from tests.proof.machine import (
    ACQUIRE,
    FULL,
    RELAXED,
    RELEASE,
    Body,
    World,
    Wrong,
    fence,
    load,
    lock,
    store,
    unlock,
)


def publisher(without: str, readers: int, number: int, last: int) -> Body:
    """Write frame after frame into the slot, each when nobody looks at the one before."""
    if number > last:
        return None
    again = (publisher, without, readers, number, last)
    seen = RELAXED if without == "acquire of the pins" else ACQUIRE
    for reader in range(readers):
        if (yield load(f"pin{reader}", seen)):
            return again
    yield store("word", 2 * number + 1)
    if without != "full fence after the odd word":
        yield fence(FULL)
    if without != "second look at the pins":
        for reader in range(readers):
            if (yield load(f"pin{reader}", seen)):
                yield store("word", 2 * number)  # as it was
                return again
    yield store("first", number)
    yield store("second", number)
    yield store("word", 2 * number + 2, RELAXED if without == "release of the word" else RELEASE)
    yield store("told", number, RELAXED if without == "release of the message" else RELEASE)
    return publisher, without, readers, number + 1, last


def looker(without: str, reader: int, looks: int) -> Body:
    """Look at the frame that the ring tells of, twice, and let it go."""
    if not looks:
        return None
    number = yield load("told", RELAXED if without == "acquire of the message" else ACQUIRE)
    yield store(f"pin{reader}", 1)
    if without != "full fence after the pin":
        yield fence(FULL)
    word = 2 * number + 2
    if without != "look at the word":
        word = yield load("word", RELAXED if without == "acquire of the word" else ACQUIRE)
    if word == 2 * number + 2:
        first = yield load("first")
        second = yield load("second")
        later = yield load("first")
        if {first, second, later} != {number}:
            raise Wrong(f"frame {number} is made of {first}, {second} and, later, {later}")
    yield store(f"pin{reader}", 0, RELAXED if without == "release of the pin" else RELEASE)
    return looker, without, reader, looks - 1


def frame(without: str = "", readers: int = 1, frames: int = 2, looks: int = 2) -> World:
    """Return a publisher of some frames and readers that look some times each."""
    lookers = [(looker, without, reader, looks) for reader in range(readers)]
    memory = {"word": 2, "first": 0, "second": 0, "told": 0}
    memory |= {f"pin{reader}": 0 for reader in range(readers)}
    return World([(publisher, without, readers, 1, frames), *lookers], memory)


# ---- the dead: an entry with a pin, its next owner, and who takes the pin back -----------------


def cleaner(without: str) -> Body:
    """Take back the pin of a reader that has died, as a publisher does that finds no slot."""
    yield lock("structure")
    alive = yield load("owner")
    if not alive:
        if without == "the lock while a dead reader's pin is taken back":
            yield unlock("structure")
            yield store("pin0", 0)
            return None
        yield store("pin0", 0)
    yield unlock("structure")
    return None


def newcomer(without: str) -> Body:
    """Take the entry of the dead, clear what is pinned by it, and look at a frame."""
    yield lock("structure")
    yield store("owner", 1)
    if without != "clearing at the entry's next owner":
        yield store("pin0", 0)
    yield unlock("structure")
    if (yield load("pin0")):
        raise Wrong("a reader begins with a pin that it has not set")
    yield store("pin0", 1)
    yield fence(FULL)
    if not (yield load("pin0")):
        raise Wrong("somebody has taken the pin of a living reader")
    yield store("pin0", 0, RELEASE)
    return None


def entry(without: str = "") -> World:
    """Return a dead reader's entry with its pin, a publisher that cleans and a new reader."""
    return World([(cleaner, without), (newcomer, without)], {"owner": 0, "pin0": 1}, ["structure"])


# ---- what is given up: a frame that every reader with an entry has taken ------------------------


def giver(without: str, places: tuple[int, ...], last: int) -> Body:
    """Write frame after frame, into the slot of the one before the newest when all have taken it.

    ``places`` are the slots of the frames so far, as the ring tells them. While somebody has still
    to take that frame, there is always a new slot. Pins are left out here.
    """
    number = len(places)
    if number > last:
        return None
    slot, before = places[-2], number - 2
    for reader in ("old", "new"):
        if without != "look at what was taken" and (yield load(f"entry {reader}")):
            taken = yield load(f"taken by {reader}")
            if taken <= before:
                slot = max(places) + 1
    yield store(f"slot{slot}", number, RELEASE)
    places = (*places, slot)
    yield store("told", places, RELEASE)
    if without != "full fence after the message":
        yield fence(FULL)
    return giver, without, places, last


def taker(without: str, reader: str, next_frame: int, last: int) -> Body:
    """Take each frame from this one on."""
    if next_frame > last:
        return None
    places = yield load("told", ACQUIRE)
    if next_frame >= len(places):
        return taker, without, reader, next_frame, last
    if (yield load(f"slot{places[next_frame]}", ACQUIRE)) != next_frame:
        raise Wrong(f"the {reader} reader has lost frame {next_frame}")
    yield store(f"taken by {reader}", next_frame + 1)
    return taker, without, reader, next_frame + 1, last


def entrant(without: str, latch: bool, last: int) -> Body:
    """Enter as a new reader, and take what comes; with ``latch``, the newest that is there, too."""
    yield store("entry new", 1)
    if without != "full fence after the entry":
        yield fence(FULL)
    places = yield load("told", ACQUIRE)
    return taker, without, "new", len(places) - latch, last


def given_up(without: str = "", latch: bool = True, last: int = 3) -> World:
    """Return a publisher, a reader that was there before and one that enters meanwhile.

    Frames 0 and 1 are there, and the first reader has taken the older one.
    """
    memory = {"told": (0, 1), "entry old": 1, "taken by old": 1, "entry new": 0, "taken by new": 0}
    memory |= {f"slot{slot}": slot if slot < 2 else -1 for slot in range(last + 1)}
    starts = [(giver, without, (0, 1), last), (taker, without, "old", 1, last)]
    return World([*starts, (entrant, without, latch, last)], memory)
