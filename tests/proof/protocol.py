"""The protocol of `horus/bus/LAYOUT.md` as processes on a `machine`, small enough to try all of it.

Each barrier and each order of steps that the protocol asks for has a name. A process is told which
of them to leave out (``without``), so that a test can show that the model misses each one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.proof.machine import (
    ACQUIRE,
    FULL,
    RELAXED,
    RELEASE,
    Body,
    End,
    Op,
    World,
    Wrong,
    fence,
    load,
    lock,
    post,
    sleep,
    store,
    unlock,
)

#: One barrier or order of the protocol that is left out; "" for none.
Without = str


class Part(NamedTuple):
    """One part of the protocol: how it is tried, and what it cannot do without."""

    world: Callable[..., World]
    needs: tuple[str, ...]
    spares: tuple[str, ...] = ()  # what the cores do although it is proved here to be needless
    larger: tuple[int, ...] = ()  # sizes for the long form


class Size(NamedTuple):
    """How large a ring is, and how many messages go through it."""

    slots: int
    messages: int
    seldom: bool  # a reader reads what it knows to be there before it looks at `next` again


# ---- a ring: sequence words, next, loss -------------------------------------------------------


def writer(without: Without, size: Size, number: int) -> Body:
    if number == size.messages:
        return None
    slot = number % size.slots
    odd = RELAXED if without == "release of the odd word" else RELEASE
    whole = RELAXED if without == "release of the even word" else RELEASE
    published = RELAXED if without == "release of next" else RELEASE
    yield store(f"word{slot}", 2 * number + 1, odd)
    if without != "release fence after the odd word":
        yield fence(RELEASE)
    yield store(f"first{slot}", number)
    yield store(f"second{slot}", number)
    yield store(f"word{slot}", 2 * number + 2, whole)
    yield store("next", number + 1, published)
    return writer, without, size, number + 1


def reader(
    without: Without, size: Size, cursor: int, lost: int, received: int, known: int = 0
) -> Body:
    again = (reader, without, size, cursor, lost, received)
    slots, messages, seldom = size
    seen = RELAXED if without == "acquire of next" else ACQUIRE
    held = RELAXED if without == "acquire of the word" else ACQUIRE
    end = known
    if known <= cursor:
        end = yield load("next", seen)
        if end < cursor:
            raise Wrong("next went backwards")
        if end == cursor:
            return again
        skipped = max(0, end - cursor - (slots - 1))
        cursor, lost = cursor + skipped, lost + skipped
    again = (reader, without, size, cursor, lost, received)
    slot = cursor % slots
    word = yield load(f"word{slot}", held)
    if word != 2 * cursor + 2:
        if word > 2 * cursor + 2:
            newest = yield load("next", seen)
            if newest - cursor > slots - 1:
                return again  # overwritten
        raise Wrong(f"a sound ring is taken for damaged: message {cursor}, word {word}")
    first = yield load(f"first{slot}")
    second = yield load(f"second{slot}")
    if without != "acquire fence after the copy":
        yield fence(ACQUIRE)
    if without != "second look at the word" and (yield load(f"word{slot}")) != word:
        return again
    if (first, second) != (cursor, cursor):
        raise Wrong(f"torn: message {cursor} is made of {first} and {second}")
    received += 1
    if cursor + 1 == messages:
        if received + lost != messages:
            raise Wrong(f"{received} received and {lost} lost of {messages}")
        return None
    return reader, without, size, cursor + 1, lost, received, end if seldom else 0


def ring(without: Without = "", slots: int = 2, messages: int = 4, seldom: bool = False) -> World:
    """Each slot is overwritten once; a reader's window is all slots but one."""
    size = Size(slots, messages, seldom)
    memory = {"next": 0}
    for slot in range(slots):
        memory |= {f"word{slot}": 0, f"first{slot}": -1, f"second{slot}": -1}
    return World(
        [(writer, without, size, 0), (reader, without, size, 0, 0, 0)],
        memory,
        mortal=frozenset({0, 1}),
    )


# ---- waiting: a byte, a semaphore, two fences -------------------------------------------------


def sender(without: Without, me: int, left: int, number: int = 0) -> Body:
    if not left:
        return None
    yield store(f"next{me}", number + 1, RELEASE)
    if without != "full fence of the publisher":
        yield fence(FULL)
    if (yield load("waiting")):
        if without == "clearing before posting":
            yield post("bell")
            yield store("waiting", 0)
        else:
            yield store("waiting", 0)
            yield post("bell")
    return sender, without, me, left - 1, number + 1


def sleeper(without: Without, messages: int, cursors: tuple[int, ...]) -> Body:
    if sum(cursors) == messages:
        return None
    yield store("waiting", 1)
    if without != "full fence of the sleeper":
        yield fence(FULL)
    ends = list(cursors)
    for me in range(len(cursors)):
        ends[me] = yield load(f"next{me}", ACQUIRE)
    if tuple(ends) == cursors or (without == "looking once more" and not sum(cursors)):
        yield sleep("bell")
        return sleeper, without, messages, cursors
    yield store("waiting", 0)
    return sleeper, without, messages, tuple(ends)


def _nobody_sleeps_on(end: End) -> None:
    """A sleeper with something unread is excused only by a publisher that died before its post."""
    *senders, reader = range(len(end.state.processes))
    if any(end.waits(me) for me in senders):
        raise Wrong("a publisher waits")
    if end.waits(reader) and not any(map(end.was_killed, senders)):
        raise Wrong("the reader sleeps, everything was sent, and nobody will post")


def waiting(without: Without = "", senders: int = 1, each: int = 3) -> World:
    """The last process sleeps for the others' messages; any of them may be killed."""
    starts = [(sender, without, me, each) for me in range(senders)]
    return World(
        [*starts, (sleeper, without, senders * each, (0,) * senders)],
        {"waiting": 0, **{f"next{me}": 0 for me in range(senders)}},
        ["bell"],
        mortal=frozenset(range(senders + 1)),
        at_end=_nobody_sleeps_on,
    )


# ---- growth: the next part of a ring, its name, the generation ---------------------------------

BEFORE, AFTER = 2, 1  # messages in the first part, of 2 slots, and in the second, of 4
SIZES = (2, 4)


def _send(part: int, number: int) -> list[Op]:
    """A message is one word here: that larger ones are whole is the first model's."""
    return [
        store(f"part{part} slot{number % SIZES[part]}", number + 1, RELEASE),
        store(f"part{part} next", number + 1, RELEASE),
        store("sent", number + 1),
    ]


def raise_generation(without: Without) -> Body:
    """Raise it, as one does who adds or replaces a ring; its return value is of no use."""
    order = RELAXED if without == "release of the generation" else RELEASE
    yield store("generation", (yield load("generation")) + 1, order)
    return None


def grower(without: Without) -> Body:
    for number in range(BEFORE):
        for op in _send(0, number):
            yield op
    yield lock("lock")
    if without == "generation after the name":
        yield from raise_generation(without)
    if without == "name after the content":
        yield store("folder", 1, RELEASE)
    yield store("part1 base", BEFORE - 1)
    for number in range(BEFORE - 1, BEFORE):
        yield store(f"part1 slot{number % SIZES[1]}", number + 1)
    yield store("part1 next", BEFORE)
    if without != "name after the content":
        yield store("folder", 1, RELEASE)
    if without != "generation after the name":
        yield from raise_generation(without)
    yield unlock("lock")
    for number in range(BEFORE, BEFORE + AFTER):
        for op in _send(1, number):
            yield op
    yield post("ended")
    return None


def neighbour(without: Without) -> Body:
    """Another publisher comes: readers look at the folder at any moment, not under the lock."""
    if without != "lock around the generation":
        yield lock("lock")
    yield from raise_generation(without)
    if without != "lock around the generation":
        yield unlock("lock")
    return None


def undertaker() -> Body:
    yield sleep("ended")
    yield store("over", 1, RELEASE)
    return None


class Followed(NamedTuple):
    """How far a reader has come; in part -1 it has not noticed that there is a ring."""

    part: int = 0
    base: int = 0
    noted: int = 0  # the generation at its last look
    cursor: int = 0
    received: int = 0
    lost: int = 0


def follower(without: Without, at: Followed) -> Body:
    """Read on from part to part, all the while looking whether the publisher has ended."""
    over = yield load("over", ACQUIRE)
    order = RELAXED if without == "acquire of the generation" else ACQUIRE
    generation = yield load("generation", order)
    if generation != at.noted:
        newest = yield load("folder", order)
        if newest > at.part:
            base = yield load(f"part{newest} base")
            if at.part < 0 and without == "counting from the first message":
                at = at._replace(cursor=base)
            at = at._replace(part=newest, base=base)
        if without == "noting the generation before looking":
            generation = yield load("generation", order)
        at = at._replace(noted=generation)
    part, cursor = at.part, at.cursor
    if part < 0:
        return follower, without, at
    end = yield load(f"part{part} next", ACQUIRE)
    if end < cursor or end < at.base:
        raise Wrong(f"next went backwards: part {part}, next {end}, cursor {cursor}")
    if end == cursor:
        if over:
            sent = yield load("sent")
            if cursor < sent:
                raise Wrong(f"{sent} sent, the reader never gets further than {cursor}")
            if at.received + at.lost < sent:
                raise Wrong(f"{at.received} received and {at.lost} lost of {sent}")
            return None
        return follower, without, at
    cursor = max(cursor, at.base, end - (SIZES[part] - 1))
    at = at._replace(lost=at.lost + cursor - at.cursor, cursor=cursor)
    word = yield load(f"part{part} slot{cursor % SIZES[part]}", ACQUIRE)
    if word != cursor + 1:
        if word > cursor + 1 and (yield load(f"part{part} next", ACQUIRE)) - cursor >= SIZES[part]:
            return follower, without, at
        raise Wrong(f"a sound ring is taken for damaged: part {part}, message {cursor}: {word}")
    return follower, without, at._replace(cursor=cursor + 1, received=at.received + 1)


def growth(without: Without = "", late: bool = False) -> World:
    """A reader follows a ring that grows; ``late``, it has yet to notice that there is one."""
    memory = {"over": 0, "generation": 0, "folder": 0, "part1 base": 0, "part0 base": 0, "sent": 0}
    for part, slots in enumerate(SIZES):
        memory |= {f"part{part} next": 0}
        memory |= {f"part{part} slot{slot}": 0 for slot in range(slots)}
    at = Followed(part=-1, noted=-1) if late else Followed()
    return World(
        [(grower, without), (neighbour, without), (undertaker,), (follower, without, at)],
        memory,
        ["lock", "ended"],
        mortal=frozenset({0}),
        tells_death="ended",
    )


RING_NEEDS = (
    "release of the odd word",
    "release fence after the odd word",
    "release of next",
    "acquire of next",
    "acquire of the word",
    "acquire fence after the copy",
    "second look at the word",
)
PARTS = {
    "ring": Part(
        ring,
        RING_NEEDS,
        # A reader comes to a slot only after `next`, whose release tells all that the word's would.
        spares=("release of the even word",),
        larger=(4, 7),
    ),
    "ring, looking seldom": Part(
        lambda without="": ring(without, 4, 6, True),
        RING_NEEDS,
        spares=("release of the even word",),
    ),
    "waiting": Part(
        waiting,
        (
            "full fence of the publisher",
            "full fence of the sleeper",
            "clearing before posting",
            "looking once more",
        ),
    ),
    "waiting for several": Part(
        lambda without="": waiting(without, 2, 1),
        ("full fence of the publisher", "full fence of the sleeper", "looking once more"),
    ),
    "growth, noticed late": Part(
        lambda without="": growth(without, True),
        ("name after the content", "generation after the name", "counting from the first message"),
    ),
    "growth": Part(
        growth,
        (
            "name after the content",
            "generation after the name",
            "release of the generation",
            "acquire of the generation",
            "noting the generation before looking",
            "lock around the generation",
        ),
    ),
}
