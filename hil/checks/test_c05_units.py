"""C5: what it measures is what there is, in the units of the message and within what can be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from horus_hil.checks.common import found, moving, period, received
from horus_hil.checks.quantities import SWEEPS, Numbers, Quantity, Truth, quantities

from horus.msgs import Imu, MotorCommand
from horus.testing import hil
from horus.testing.rig.figures import Recorder
from horus.testing.rig.under_test import DeviceUnderTest

GRAVITY = 9.80665  # m/s²
#: Samples that are averaged before they are compared.
AVERAGED = 5
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


def errors(device: DeviceUnderTest, when: str) -> dict[str, tuple[float, str]]:
    """Compare the mean of some samples with that of the truth: the error of each quantity."""
    seen = samples(device)
    last, truth = seen[-1]
    worst = {}
    for one in quantities(last, truth):
        pairs = [(one.measured(m), one.true(t, m)) for m, t in seen if t is not None]
        if any(true is None for _, true in pairs):
            continue
        measured, true = mean(one, [m for m, _ in pairs]), mean(one, [t or () for _, t in pairs])
        text = f"{when}: it measures {one.name} {shown(measured)} {one.unit} where there is "
        worst[one.name] = one.error(measured, true), f"{text}{shown(true)} {one.unit}"
    return worst


def settled(device: DeviceUnderTest, when: str) -> dict[str, float]:
    """Wait until the measurement agrees with the truth; return the error of each quantity."""
    deadline = device.clock() + (SETTLED + 20 * period(device)) * 1e9 * device.scale
    while True:
        worst = errors(device, when)
        wrong = [text for error, text in worst.values() if error > 1.0]
        if not wrong or device.clock() > deadline:
            assert not wrong, wrong[0]
            return {name: error for name, (error, _) in worst.items()}


def mean(one: Quantity, seen: Sequence[Numbers]) -> list[float]:
    """Return the mean of a quantity; the last sample of what comes round or changes its size."""
    if one.turn or len({len(numbers) for numbers in seen}) > 1:
        return list(seen[-1])
    return [sum(numbers) / len(numbers) for numbers in zip(*seen, strict=True)]


def shown(numbers: Sequence[float]) -> str:
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


@hil.check("C5")
def test_on_a_twin_it_measures_what_there_is(device: DeviceUnderTest, figure: Recorder) -> None:
    found(device)
    if device.truth() is None:
        hil.not_applicable("nobody knows the truth on a bench, where facts are compared instead")
    worst = settled(device, "at first")
    if not worst:
        pytest.skip(f"the truth of {device.use}'s twin has nothing that its message has")
    for name, values in () if device.moves else steps(device):
        device.stimulate(name, *values)
        device.run(2 * period(device))
        for what, error in settled(device, f"{name} is {shown(values)}").items():
            worst[what] = max(error, worst.get(what, 0.0))
    for name, error in worst.items():
        figure(f"error of {name}", 100 * error, "% of allowed", high=100)


@hil.check("C5")
@hil.hazard("motion")
def test_what_moves_goes_where_it_is_told_and_says_so(
    device: DeviceUnderTest, figure: Recorder
) -> None:
    moving(device)
    found(device)
    velocity = isinstance(device.good, MotorCommand)
    worst: dict[str, float] = {}
    for value in (5.0, -3.0) if velocity else (0.5, -0.4):
        device.run(1.5, device.order(value))
        state, truth = device.data.latest(), device.truth()
        assert state is not None
        name = "velocity" if velocity else "position"
        told = [value] if velocity else [value] * device.joints
        seen = {"it says": plain(getattr(state, name))}
        if truth is not None:
            seen["it does"] = plain(truth[name])
        off = 0.3 if velocity else 0.05
        for who, numbers in seen.items():
            for number, wanted in zip(numbers, told, strict=False):
                error = abs(number - wanted) / off
                worst[who] = max(error, worst.get(who, 0.0))
                assert error <= 1.0, f"told {wanted:g}, {who} {number:.4g}"
    for who, error in worst.items():
        figure(f"error of what {who}", 100 * error, "% of allowed", high=100)


def plain(value: Any) -> list[float]:
    return [float(n) for n in value] if hasattr(value, "__len__") else [float(value)]


@hil.check("C5")
def test_its_values_can_be(device: DeviceUnderTest) -> None:
    found(device)
    for message, _ in samples(device):
        for one in quantities(message, None):
            wrong = one.impossible(message)
            assert not wrong, f"{one.name} {shown(wrong)} {one.unit} cannot be"


@hil.check("C5")
def test_on_a_bench_it_measures_what_the_file_knows(
    device: DeviceUnderTest, figure: Recorder
) -> None:
    """``facts:`` of the rig's file: ``still`` and ``up`` of a body, or a field and its value."""
    facts = dict(device.facts)
    facts.pop("identity", None)
    if not facts and device.truth() is not None:
        hil.not_applicable("its twin knows the truth, with which another test compares it")
    if not facts:
        pytest.skip("the rig's file has no facts: about it, such as {still: true, up: z}")
    found(device)
    seen = [message for message, _ in samples(device, 20)]
    last = seen[-1]
    if facts.pop("still", False) and isinstance(last, Imu):
        force = average(seen, ("accel_x", "accel_y", "accel_z"))
        turn = average(seen, ("gyro_x", "gyro_y", "gyro_z"))
        figure("|a|", math.hypot(*force), "m/s²", 0.95 * GRAVITY, 1.05 * GRAVITY)
        figure("|rotation|", math.hypot(*turn), "rad/s", high=0.2)
        up = str(facts.pop("up", ""))
        if up:
            along = force["xyz".index(up[-1])] * (-1 if up.startswith("-") else 1)
            figure(f"a along {up}", along, "m/s²", low=0.9 * GRAVITY)
    for name, wanted in facts.items():
        if isinstance(wanted, (int, float)) and not isinstance(wanted, bool):
            (value,) = average(seen, (name,))
            slack = 0.05 * abs(wanted) + 1e-9
            figure(name, value, "", wanted - slack, wanted + slack)


def average(seen: Sequence[Any], names: Sequence[str]) -> list[float]:
    return [sum(float(getattr(message, n)) for message in seen) / len(seen) for n in names]
