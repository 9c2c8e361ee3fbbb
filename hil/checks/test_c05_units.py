"""C5: what it measures is what there is, in the units of the message and within what can be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from horus_hil.checks.common import found, period
from horus_hil.checks.measuring import samples, settled, shown, steps
from horus_hil.checks.quantities import quantities

from horus.hardware.node import DeviceState
from horus.msgs import MotorCommand
from horus.testing import hil
from horus.testing.rig.facts import measured
from horus.testing.rig.figures import Recorder
from horus.testing.rig.under_test import DeviceUnderTest

GRAVITY = 9.80665  # m/s²


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
        figure(f"error_of_{name}_percent", 100 * error, "% of allowed", high=100)


@hil.check("C5")
@hil.commanded
@hil.hazard("motion")
def test_what_moves_goes_where_it_is_told_and_says_so(
    device: DeviceUnderTest, figure: Recorder
) -> None:
    found(device)
    velocity = isinstance(device.good, MotorCommand)
    worst: dict[str, float] = {}
    for value in (5.0, -3.0) if velocity else (0.5, -0.4):
        device.run(1.5, device.order(value))
        state, truth = device.data.latest(), device.truth()
        assert device.node.state is DeviceState.ACTIVE, "a command does not arm it"
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
        figure(
            f"error_of_what_{who.replace(' ', '_')}_percent", 100 * error, "% of allowed", high=100
        )


def plain(value: Any) -> list[float]:
    return [float(n) for n in value] if hasattr(value, "__len__") else [float(value)]


@hil.check("C5")
def test_its_values_can_be(device: DeviceUnderTest) -> None:
    found(device)
    for seen in samples(device):
        for one in quantities(seen.message, None):
            wrong = one.impossible(seen.message)
            assert not wrong, f"{one.name} {shown(wrong)} {one.unit} cannot be"


@hil.check("C5")
def test_on_a_bench_it_measures_what_the_file_knows(
    device: DeviceUnderTest, figure: Recorder
) -> None:
    """``facts:`` of the rig's file: ``still`` and ``up`` of a body, or a field and its value."""
    facts = measured(device.facts)
    if not facts and device.truth() is not None:
        hil.not_applicable("its twin knows the truth, with which another test compares it")
    if not facts:
        pytest.skip("the rig's file has no facts: that it measures, such as {still: true, up: z}")
    found(device)
    seen = [one.message for one in samples(device, 20)]
    if facts.pop("still", False):
        force = average(seen, ("accel_x", "accel_y", "accel_z"))
        turn = average(seen, ("gyro_x", "gyro_y", "gyro_z"))
        figure("acceleration_m_s2", math.hypot(*force), "m/s²", 0.95 * GRAVITY, 1.05 * GRAVITY)
        figure("rotation_rad_s", math.hypot(*turn), "rad/s", high=0.2)
        up = str(facts.pop("up", ""))
        if up:
            along = force["xyz".index(up[-1])] * (-1 if up.startswith("-") else 1)
            figure("acceleration_up_m_s2", along, "m/s²", low=0.9 * GRAVITY)
    for name, wanted in facts.items():
        (value,) = average(seen, (name,))
        slack = 0.05 * abs(wanted) + 1e-9
        figure(name, value, "", wanted - slack, wanted + slack)


def average(seen: Sequence[Any], names: Sequence[str]) -> list[float]:
    return [sum(float(getattr(message, n)) for message in seen) / len(seen) for n in names]
