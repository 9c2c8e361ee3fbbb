"""C8: plugged in again it is the same device, set up anew; nothing that was sent is replayed."""

from __future__ import annotations

from horus_hil.checks.common import (
    BACK,
    FOUND,
    WORKING,
    found,
    patience,
    period,
    ready,
    received,
    resting,
)
from horus_hil.checks.measuring import like_before, samples

from horus.hardware.node import DeviceState
from horus.testing import hil
from horus.testing.rig.figures import Recorder
from horus.testing.rig.under_test import DeviceUnderTest


@hil.check("C8")
@hil.hazard("unplug")
def test_plugged_in_again_it_is_found_and_set_up_anew(
    device: DeviceUnderTest, figure: Recorder
) -> None:
    first = found(device)
    identity = device.node.identity
    before = samples(device)[-1]
    for _ in range(2):
        device.fault.unplug()
        device.until(lambda: device.node.state not in WORKING, patience(device))
        received(device)
        device.run(1.0)
        assert device.data.recv() is None, "a sample came from a device that is unplugged"
        device.fault.plug()
        back = device.until(lambda: device.node.state in WORKING, BACK)
        figure("set_up_again_s", back, "s", high=BACK * device.scale)
        device.until(lambda: device.data.unread(), first + 2.0 + 2 * period(device))
        assert device.node.identity == identity, "another device came back"
        like_before(device, before, "plugged in again")


@hil.check("C8")
@hil.hazard("unplug")
def test_a_short_power_cut_is_noticed_and_mended(device: DeviceUnderTest) -> None:
    first = found(device)
    before = samples(device)[-1]
    device.fault.unplug()
    device.fault.plug()
    device.run(FOUND / 4 * device.scale)
    device.until(lambda: device.node.state in WORKING, BACK)
    received(device)
    device.until(lambda: device.data.unread(), first + 2.0 + 2 * period(device))
    like_before(device, before, "after a short power cut")


@hil.check("C8")
@hil.commanded
@hil.hazard("motion")
@hil.hazard("unplug")
def test_commands_are_not_replayed_after_it(device: DeviceUnderTest) -> None:
    ready(device)
    device.run(1.0, device.good)
    device.fault.unplug()
    device.until(lambda: device.node.state not in WORKING, patience(device))
    device.command(device.good)
    device.fault.plug()
    device.until(lambda: device.node.state in WORKING, BACK)
    device.run(1.0)
    assert device.node.state is DeviceState.READY, "it follows a command from before"
    assert resting(device), "it moves on after it was plugged in again, without a command"
