"""Samples beside the truth: how well they agree, and something that never stands still."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import pytest
from horus_hil.checks.common import period, received
from horus_hil.checks.quantities import SWEEPS, Numbers, Quantity, Truth, quantities

from horus.testing import hil
from horus.testing.rig.under_test import DeviceUnderTest

#: Samples that are averaged before they are compared.
AVERAGED = 5
#: How many times further apart than noise two measurements of different things are.
DIFFERENT = 8.0
#: Steps of a twin in another process in which its rate of change is measured.
STEPS = 10
#: Longest time (s), and 20 samples more, until filters have followed a step.
SETTLED = 3.0


class Seen(NamedTuple):
    """A sample, with the truth as it was known when the sample came."""

    message: Any
    truth: Truth | None
    #: Moment at which they were looked at, and of the sample itself (s).
    at: float
    taken: float


def samples(device: DeviceUnderTest, count: int = AVERAGED) -> list[Seen]:
    """Return the next samples; of a twin in another process, those of several of its steps."""
    received(device)
    seen: list[Seen] = []
    span = STEPS * device.truth_step if count > 1 else 0.0

    def enough() -> bool:
        for message, stamp in received(device):
            seen.append(Seen(message, device.truth(), device.clock() / 1e9, stamp / 1e9))
        return len(seen) >= count and seen[-1].at - seen[0].at >= span

    device.until(enough, 2.0 + 2 * count * period(device) + span)
    return seen


def moved_meanwhile(device: DeviceUnderTest, one: Quantity, seen: Sequence[Seen]) -> list[float]:
    """Return how far each number of the truth moves in the time by which a sample is older.

    The rate of change is the greatest between two looks at the truth that lie further apart than
    a step of the twin; the time is from when a sample was taken until the truth was looked at.
    """
    looks = [(s.at, one.true(s.truth, s.message)) for s in seen if s.truth is not None]
    numbers = [(at, true) for at, true in looks if true is not None]
    if len({len(true) for _, true in numbers}) != 1:
        return []  # it has no numbers that could be followed
    rates = [0.0] * len(numbers[0][1])
    for (before, first), (after, second) in combinations(numbers, 2):
        if after - before > 1.5 * device.truth_step:
            for place, (old, new) in enumerate(zip(first, second, strict=True)):
                rates[place] = max(rates[place], abs(one.apart(new, old)) / (after - before))
    age = max(s.at - s.taken for s in seen) + device.truth_step
    return [rate * age for rate in rates]


def measures(message: Any) -> bool:
    """Return whether a message measures anything; a position without a fix, say, does not."""
    known = quantities(message, None)
    return not known or any(math.isfinite(n) for one in known for n in one.measured(message))


def settled(device: DeviceUnderTest, when: str) -> dict[str, float]:
    """Wait until what is measured agrees with the truth; return the error of each quantity."""
    deadline = device.clock() + (SETTLED + 20 * period(device)) * 1e9 * device.scale
    while True:
        worst = _errors(device, when)
        wrong = [text for error, text in worst.values() if error > 1.0]
        if not wrong or device.clock() > deadline:
            assert not wrong, wrong[0]
            return {name: error for name, (error, _) in worst.items()}


def _errors(device: DeviceUnderTest, when: str) -> dict[str, tuple[float, str]]:
    """Compare the mean of some samples with that of the truth: the error of each quantity."""
    seen = samples(device)
    last = seen[-1]
    worst = {}
    for one in quantities(last.message, last.truth):
        pairs = [
            (one.measured(s.message), one.true(s.truth, s.message))
            for s in seen
            if s.truth is not None
        ]
        if any(true is None for _, true in pairs):
            continue
        if not device.stepped and one.error(pairs[0][1] or (), pairs[-1][1] or ()) > 1.0:
            continue  # it moves on between a sample and the look at its truth
        measured, true = _mean(one, [m for m, _ in pairs]), _mean(one, [t or () for _, t in pairs])
        text = f"{when}: it measures {one.name} {shown(measured)} {one.unit} where there is "
        error = one.error(measured, true, moved_meanwhile(device, one, seen))
        worst[one.name] = error, f"{text}{shown(true)} {one.unit}"
    return worst


def _mean(one: Quantity, seen: Sequence[Numbers]) -> list[float]:
    """Return the mean of a quantity; the last sample of what comes round or changes its size."""
    if one.turn or len({len(numbers) for numbers in seen}) > 1:
        return list(seen[-1])
    return [sum(numbers) / len(numbers) for numbers in zip(*seen, strict=True)]


def unlike(device: DeviceUnderTest, before: Any, after: Any, then: Truth | None = None) -> str:
    """Return what a device measures otherwise than before, or "".

    Its world stands still; by how much it did not, since the truth was ``then``, is allowed.
    """
    truth = device.truth()
    for one in quantities(after, truth):
        was, now = one.measured(before), one.measured(after)
        moved: list[float] = []
        if then is not None and truth is not None:
            old, new = one.true(then, after), one.true(truth, after)
            moved = [abs(one.apart(n, o)) for n, o in zip(new or (), old or (), strict=False)]
        if len(was) == len(now) and one.error(now, was, moved) > DIFFERENT:
            return f"{one.name} {shown(now)} {one.unit}, and before {shown(was)} {one.unit}"
    return ""


def like_before(device: DeviceUnderTest, before: Seen, when: str) -> None:
    """Wait until a device measures what it did before, but for what moved in the world itself."""
    deadline = device.clock() + (SETTLED + 20 * period(device)) * 1e9 * device.scale
    while wrong := unlike(device, before.message, samples(device, 1)[-1].message, before.truth):
        assert device.clock() < deadline, f"{when} it measures {wrong}"


def shown(numbers: Sequence[float]) -> str:
    """Return numbers for people, the first few of many."""
    return "[" + ", ".join(f"{n:.4g}" for n in numbers[:8]) + (", ..." * (len(numbers) > 8)) + "]"


def steps(device: DeviceUnderTest) -> Iterator[tuple[str, Sequence[float]]]:
    """Yield what its twin's stimuli are set to in turn; what nobody knows is moved by a tenth."""
    twin = device.entry.driver.twin
    for name, stimulus in (twin.stimuli if twin else {}).items():
        default = stimulus.default
        plain = default if isinstance(default, tuple) else (default,)
        for values in SWEEPS.get(name, [tuple(1.1 * n for n in plain)]):
            fits = len(values) == len(plain)
            if fits and all(stimulus.low <= n <= stimulus.high for n in values):
                yield name, values


def movable(device: DeviceUnderTest) -> None:
    """Skip the test where nothing of a device's surroundings can be set."""
    if device.moves:
        hil.not_applicable("what moves is looked at while it is commanded")
    if device.truth() is None:
        pytest.skip(f"{device.name}: on a bench its surroundings stay as they are: use its twin")


def restless(device: DeviceUnderTest) -> Callable[[], None]:
    """Return what steps a quantity of the twin's world at each call; the test is skipped else."""
    movable(device)
    known = [(name, values) for name, values in steps(device) if len(SWEEPS.get(name, ())) > 1]
    if not known:
        pytest.skip(f"{device.name}: nobody knows between which values its stimuli could go")
    name = known[0][0]
    values = [value for other, value in known if other == name]
    number = 0

    def step() -> None:
        nonlocal number
        number += 1
        device.stimulate(name, *values[number % len(values)])

    return step
