"""C15: two devices on one bus each have their own samples and commands, and keep their rates."""

from __future__ import annotations

import pytest
from horus_hil.checks.common import FOUND, following, found, period
from horus_hil.checks.measuring import movable, steps, unlike
from horus_hil.checks.quantities import SWEEPS

from horus.hardware.node import DeviceState
from horus.testing import hil
from horus.testing.rig.figures import Recorder
from horus.testing.rig.under_test import DeviceUnderTest


@hil.check("C15")
def test_two_on_one_bus_keep_their_rates(device: DeviceUnderTest, figure: Recorder) -> None:
    other = device.neighbour()
    device.until(lambda: device.node.samples and other.node.samples, FOUND)
    seconds = max(2.0, 20 / min(one.device.config.rate for one in (device.node, other.node)))
    before = device.node.samples, other.node.samples
    faults = device.node.faults, other.node.faults
    device.run(seconds)
    for name, node, samples in (
        ("rate_hz", device.node, before[0]),
        ("rate_of_the_other_hz", other.node, before[1]),
    ):
        asked = node.device.config.rate
        slack = (0.05 + 2 / (seconds * asked)) * asked
        figure(name, (node.samples - samples) / seconds, "Hz", asked - slack, asked + slack)
    assert (device.node.faults, other.node.faults) == faults, (device.node.text, other.node.text)


@hil.check("C15")
def test_each_has_its_own_samples(device: DeviceUnderTest) -> None:
    """The world of one makes steps, that of the other stands still: each shows its own."""
    movable(device)
    other = device.neighbour()
    device.until(lambda: device.node.samples and other.node.samples, FOUND)
    wait = max(1.0, 10 * period(device))
    device.run(wait)
    before = other.data.recv_all()[-1]
    for name, values in steps(device):
        if name not in SWEEPS:
            continue
        device.stimulate(name, *values)
        device.run(wait)
        wrong = unlike(device, before, other.data.recv_all()[-1])
        assert not wrong, f"{name} of {device.name} is {values}, and {other.name} measures {wrong}"


@hil.check("C15")
@hil.commanded
@hil.hazard("motion")
def test_each_follows_its_own_commands(device: DeviceUnderTest) -> None:
    other = device.neighbour()
    if other.truth() is None:
        pytest.skip("nobody sees what the other one does")
    device.until(lambda: device.node.samples and other.node.samples, FOUND)
    device.run(1.0, device.good)
    assert following(device), "it does not follow its commands"
    assert (other.truth() or {})["at_rest"], "the other one follows commands that are not its own"
    assert other.node.state is DeviceState.READY
    found(device)
