"""C7: a device that is pulled out is told in time, with where it was; nobody else is disturbed."""

from __future__ import annotations

from horus_hil.checks.common import BACK, FOUND, WORKING, found, patience, received

from horus.hardware.node import DeviceState
from horus.msgs import DiagnosticLevel
from horus.testing import hil
from horus.testing.rig.figures import Recorder
from horus.testing.rig.under_test import DeviceUnderTest

#: Longest time (s) that one look at a lost device may take: others on the bus wait meanwhile.
LOOK = 0.5


@hil.check("C7")
@hil.hazard("unplug")
def test_unplugged_it_is_a_fault_in_time_and_nothing_hangs(
    device: DeviceUnderTest, figure: Recorder
) -> None:
    found(device)
    device.run(1.0)
    device.status.recv_all()
    device.fault.unplug()
    noticed = device.until(lambda: device.node.state not in WORKING, patience(device))
    figure("noticed_s", noticed, "s", high=patience(device) * device.scale)
    text = device.node.text
    assert "in the driver" not in text, f"the driver does not expect to lose its device: {text}"
    assert text.startswith(f"{device.name} on {device.node.bus.name}: "), (
        f"the fault does not say which device it is, and where: {text}"
    )
    levels = {status.level for status in device.status.recv_all()}
    assert levels & {DiagnosticLevel.ERROR, DiagnosticLevel.STALE}
    longest = 0.0
    end = device.clock() + 3e9
    while device.clock() < end:
        began = device.clock()
        device.run(1.0 / device.rate)
        longest = max(longest, (device.clock() - began) / 1e9 - 1.0 / device.rate)
    figure("longest_look_s", longest, "s", high=LOOK * device.scale)


@hil.check("C7")
@hil.hazard("unplug")
def test_absent_from_the_start_it_is_looked_for_and_found_once_it_is_there(
    device: DeviceUnderTest, figure: Recorder
) -> None:
    found(device)
    device.close()
    device.fault.unplug()
    device.reopen()
    received(device)
    device.run(3.0)
    assert device.node.state not in WORKING
    assert device.data.recv() is None, "a sample of a device that is not there"
    status = device.status.latest()
    assert status.level in (DiagnosticLevel.STALE, DiagnosticLevel.ERROR)
    device.fault.plug()
    seconds = device.until(lambda: device.node.state in WORKING, FOUND + BACK)
    figure("found_after_plug_s", seconds, "s", high=(FOUND + BACK) * device.scale)


@hil.check("C7")
@hil.hazard("unplug")
def test_the_others_on_its_bus_go_on(device: DeviceUnderTest, figure: Recorder) -> None:
    other = device.neighbour()
    device.until(lambda: device.node.samples and other.node.samples, FOUND)
    asked = device.node.device.config.rate
    seconds = max(2.0, 20 / asked)
    other.fault.unplug()
    device.until(lambda: other.node.state not in WORKING, patience(device))
    samples, faults = device.node.samples, device.node.faults
    device.run(seconds)
    assert device.node.faults == faults, device.node.text
    assert device.node.state in (DeviceState.READY, DeviceState.ACTIVE)
    share = (device.node.samples - samples) / (seconds * asked)
    slack = 0.1 + 2 / (seconds * asked)
    figure("rate_beside_a_lost_one_percent", 100 * share, "%", 100 * (1 - slack), 100 * (1 + slack))
    other.fault.plug()
    device.until(lambda: other.node.state in WORKING, BACK)
