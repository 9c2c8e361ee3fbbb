"""The protocol of the rings, tried exhaustively on a machine with weak memory: `protocol.py`."""

from __future__ import annotations

import pytest

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
from tests.proof.protocol import PARTS

NEEDS = [(part, need) for part in PARTS for need in PARTS[part].needs]
SPARES = [(part, spare) for part in PARTS for spare in PARTS[part].spares]


@pytest.mark.parametrize("part", PARTS)
def test_nothing_goes_wrong_in_any_order_of_events(part: str) -> None:
    assert PARTS[part].world().search() > 1000


@pytest.mark.parametrize(("part", "need"), NEEDS)
def test_each_barrier_is_missed_when_it_is_left_out(part: str, need: str) -> None:
    with pytest.raises(Wrong):
        PARTS[part].world(need).search()


@pytest.mark.parametrize(("part", "spare"), SPARES)
def test_what_is_called_needless_is(part: str, spare: str) -> None:
    PARTS[part].world(spare).search()


# ---- the machine itself does what is known of such machines ------------------------------------


def outcomes(*bodies: object, memory: dict[str, int]) -> set[tuple[int, ...]]:
    """Return every pair that two processes may leave in r0 and r1."""
    found = set()
    starts = [(body,) for body in bodies]
    world = World(
        starts,
        memory | {"r0": -1, "r1": -1},
        ["lock"],
        at_end=lambda end: found.add((end.final("r0"), end.final("r1"))),
    )
    world.search()
    return found


@pytest.mark.parametrize(("order", "weak"), [(RELAXED, True), (RELEASE, True), (FULL, False)])
def test_two_who_write_and_then_read_the_other_may_both_miss_it_without_a_full_fence(
    order: str, weak: bool
) -> None:
    def one(mine: str, other: str, result: str) -> Body:
        yield store(mine, 1)
        yield fence(order)
        yield store(result, (yield load(other)))

    got = outcomes(
        lambda: one("x", "y", "r0"), lambda: one("y", "x", "r1"), memory={"x": 0, "y": 0}
    )
    assert ((0, 0) in got) == weak
    assert {(0, 1), (1, 0), (1, 1)} <= got


@pytest.mark.parametrize("release", [RELAXED, RELEASE])
@pytest.mark.parametrize("acquire", [RELAXED, ACQUIRE])
def test_a_flag_tells_of_its_data_only_with_release_and_acquire(release: str, acquire: str) -> None:
    def writer() -> Body:
        yield store("data", 1)
        yield store("flag", 1, release)

    def reader() -> Body:
        yield store("r0", (yield load("flag", acquire)))
        yield store("r1", (yield load("data")))

    got = outcomes(writer, reader, memory={"data": 0, "flag": 0})
    assert ((1, 0) in got) == ((release, acquire) != (RELEASE, ACQUIRE))


def test_one_place_is_never_read_backwards() -> None:
    def writer() -> Body:
        yield store("x", 1)
        yield store("x", 2)

    def reader() -> Body:
        yield store("r0", (yield load("x")))
        yield store("r1", (yield load("x")))

    got = outcomes(writer, reader, memory={"x": 0})
    assert got == {(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)}


def test_who_takes_a_lock_knows_what_its_last_holder_knew() -> None:
    def adder(result: str) -> Body:
        yield lock("lock")
        value = yield load("x")
        yield store("x", value + 1)
        yield unlock("lock")
        yield store(result, value)

    got = outcomes(lambda: adder("r0"), lambda: adder("r1"), memory={"x": 0})
    assert got == {(0, 1), (1, 0)}
