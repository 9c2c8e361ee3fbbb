"""Samples beside the truth: how well they agree, and something that never stands still."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from horus_hil.checks.common import period, received
from horus_hil.checks.quantities import SWEEPS, Numbers, Quantity, Truth, quantities

from horus.testing import hil
from horus.testing.rig.under_test import DeviceUnderTest

#: Samples that are averaged before they are compared.
AVERAGED = 5
#: How many times further apart than noise two measurements of different things are.
DIFFERENT = 8.0
#: Longest time (s), and 20 samples more, until filters have followed a step.
SETTLED = 3.0


def samples(device: DeviceUnderTest, count: int = AVERAGED) -> list[tuple[Any, Truth | None]]:
    """Return the next samples, each with the truth of that moment."""
    received(device)
    seen: list[tuple[Any, Truth | None]] = []

    def enough() -> bool:
        seen.extend((message, device.truth()) for message, _ in received(device))
        return len(seen) >= count

    device.until(enough, 2.0 + 2 * count * period(device))
    return seen


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
    last, truth = seen[-1]
    worst = {}
    for one in quantities(last, truth):
        pairs = [(one.measured(m), one.true(t, m)) for m, t in seen if t is not None]
        if any(true is None for _, true in pairs):
            continue
        if not device.stepped and one.error(pairs[0][1] or (), pairs[-1][1] or ()) > 1.0:
            continue  # it moves on between a sample and the look at its truth
        measured, true = _mean(one, [m for m, _ in pairs]), _mean(one, [t or () for _, t in pairs])
        text = f"{when}: it measures {one.name} {shown(measured)} {one.unit} where there is "
        worst[one.name] = one.error(measured, true), f"{text}{shown(true)} {one.unit}"
    return worst


def _mean(one: Quantity, seen: Sequence[Numbers]) -> list[float]:
    """Return the mean of a quantity; the last sample of what comes round or changes its size."""
    if one.turn or len({len(numbers) for numbers in seen}) > 1:
        return list(seen[-1])
    return [sum(numbers) / len(numbers) for numbers in zip(*seen, strict=True)]


def unlike(device: DeviceUnderTest, before: Any, after: Any) -> str:
    """Return what a device whose world stands still measures otherwise than before, or ""."""
    truth = device.truth()
    for one in quantities(after, truth):
        was, now = one.measured(before), one.measured(after)
        if len(was) == len(now) and one.error(now, was) > DIFFERENT:
            return f"{one.name} {shown(now)} {one.unit}, and before {shown(was)} {one.unit}"
    return ""


def like_before(device: DeviceUnderTest, before: Any, when: str) -> None:
    """Wait until a device measures what it did before, in a world that stands still."""
    deadline = device.clock() + (SETTLED + 20 * period(device)) * 1e9 * device.scale
    while wrong := unlike(device, before, samples(device, 1)[-1][0]):
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
